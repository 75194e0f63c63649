"""Time that people spend on tasks. Of each user one entry at most is running.

Whoever starts or changes entries of a user holds the user's row.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.accounts.models import User
from todo_app.activity.changes import changed
from todo_app.activity.service import record
from todo_app.database import Versions, db
from todo_app.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
)
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import visible_lists
from todo_app.todos.locks import lock_task
from todo_app.todos.models import Task, TimeEntry
from todo_app.todos.shown import NO_SUCH_TASK, person

NO_SUCH_ENTRY = "This task has no such time entry."
NOT_RUNNING = "You have no running time entry."
ENDS_EARLY = "An entry does not end before it has started."
IN_FUTURE = "This is in the future."
NOT_YOURS = "This time entry is somebody else's."

ORDER_BY = {"started_at": TimeEntry.started_at, "created_at": TimeEntry.created_at}

_SPENT_ON = aliased(Task)
ENTRIES = sa.select(
    TimeEntry.uuid,
    TimeEntry.started_at,
    TimeEntry.ended_at,
    TimeEntry.note,
    TimeEntry.version,
    TimeEntry.created_at,
    TimeEntry.updated_at,
    sa.cast(sa.extract("epoch", TimeEntry.ended_at - TimeEntry.started_at), sa.BigInteger).label(
        "seconds"
    ),
    sa.select(_SPENT_ON.uuid)
    .where(_SPENT_ON.id == TimeEntry.task_id)
    .scalar_subquery()
    .label("task_uuid"),
    person(TimeEntry.user_id).label("user"),
)
_OF_TASK = TimeEntry.task_id == sa.bindparam("task_id", type_=sa.BigInteger)
_PAGES = PageQuery(ENTRIES.where(_OF_TASK), ORDER_BY, TimeEntry.id)
_SEARCH = PageQuery(
    ENTRIES.where(_OF_TASK, matches(sa.func.coalesce(TimeEntry.note, sa.literal("")))),
    ORDER_BY,
    TimeEntry.id,
)


class NotRunningError(ConflictError):
    """The user has no running entry of the task."""

    code = "not-running"
    detail = "You have no running time entry of this task."


class StillRunningError(ConflictError):
    """An entry that has ended does not run again, but a new one is started."""

    code = "still-running"
    detail = "Start a new entry rather than let one run on; a running one is stopped by `stop`."


def page_of_entries(actor: CurrentUser, task_uuid: uuid.UUID, request: PageRequest) -> Page:
    """A page of a task's time entries, of all users; `search` looks into the note.

    Raises:
        NotFoundError: there is no such task, or it is not for the actor to see.
    """
    task_id = _find_task(actor, task_uuid)
    if request.search:
        return _SEARCH.fetch(request, task_id=task_id, search=request.search)
    return _PAGES.fetch(request, task_id=task_id)


def get_entry(actor: CurrentUser, task_uuid: uuid.UUID, entry_uuid: uuid.UUID) -> Any:
    """One time entry as it is shown.

    Raises:
        NotFoundError: there is no such task or entry, or it is not for the actor to see.
    """
    task_id = _find_task(actor, task_uuid)
    found = ENTRIES.where(TimeEntry.uuid == entry_uuid, TimeEntry.task_id == task_id)
    row = db.session.execute(found).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_ENTRY)
    return row


def get_running(actor: CurrentUser) -> Any:
    """The running entry of `actor`.

    Raises:
        NotFoundError: none is, or its task is in the trash or no more for the actor to see.
    """
    found = ENTRIES.join(Task, Task.id == TimeEntry.task_id).where(
        TimeEntry.user_id == actor.id,
        TimeEntry.ended_at.is_(None),
        Task.deleted_at.is_(None),
        Task.list_id.in_(visible_lists(actor)),
    )
    row = db.session.execute(found.order_by(TimeEntry.id.desc()).limit(1)).one_or_none()
    if row is None:
        raise NotFoundError(NOT_RUNNING)
    return row


def start(actor: CurrentUser, task_uuid: uuid.UUID, note: str | None) -> Any:
    """Let time run on a task; what ran for `actor` on another ends.

    Where it runs on this task already, that entry goes on.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `locks.lock_task`.
    """
    _lock_user(actor)
    task = lock_task(actor, task_uuid)
    running = _running(actor)
    if running is not None and running.task_id == task.id:
        return _show(running)
    if running is not None:
        _end(actor, running)
    entry = TimeEntry(task_id=task.id, user_id=actor.id, started_at=sa.func.now(), note=note)
    db.session.add(entry)
    db.session.flush()
    _tell(actor, "time.started", entry, task.list_id, {"started_at": (None, entry.started_at)})
    return _show(entry)


def stop(actor: CurrentUser, task_uuid: uuid.UUID) -> Any:
    """End what runs for `actor` on a task.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `locks.lock_task`.
        NotRunningError
    """
    _lock_user(actor)
    task = lock_task(actor, task_uuid)
    running = _running(actor)
    if running is None or running.task_id != task.id:
        raise NotRunningError
    _end(actor, running)
    return _show(running)


def add_entry(actor: CurrentUser, task_uuid: uuid.UUID, values: dict[str, Any]) -> Any:
    """Add time that `actor` has spent on a task.

    Args:
        actor: who.
        task_uuid: on what.
        values: `started_at`, `ended_at` and `note`.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `locks.lock_task`.
        InvalidInputError: it would end before it starts, or in the future.
    """
    task = lock_task(actor, task_uuid)
    entry = TimeEntry(**values, task_id=task.id, user_id=actor.id)
    _check(entry)
    db.session.add(entry)
    db.session.flush()
    _tell(actor, "time.added", entry, task.list_id, _told({}, values))
    return _show(entry)


def change_entry(
    actor: CurrentUser,
    task_uuid: uuid.UUID,
    entry_uuid: uuid.UUID,
    changes: dict[str, Any],
    versions: Versions,
) -> Any:
    """Change only what `changes` names.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `locks.lock_task`; it
            is somebody else's.
        PreconditionFailedError: `versions` are given and the current one is not among them.
        InvalidInputError: it would end before it starts, or in the future.
        StillRunningError: a running one would be ended, or an ended one run on.
    """
    task, entry = _lock(actor, task_uuid, entry_uuid, versions)
    before = {name: getattr(entry, name) for name in changes}
    if "ended_at" in changes and (entry.ended_at is None) != (changes["ended_at"] is None):
        raise StillRunningError
    for name, value in changes.items():
        setattr(entry, name, value)
    _check(entry)
    told = _told(before, changes)
    if told:
        db.session.flush()
        _tell(actor, "time.changed", entry, task.list_id, told)
    return _show(entry)


def delete_entry(
    actor: CurrentUser, task_uuid: uuid.UUID, entry_uuid: uuid.UUID, versions: Versions
) -> None:
    """Delete a time entry.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError, PreconditionFailedError: as
            of `change_entry`.
    """
    task, entry = _lock(actor, task_uuid, entry_uuid, versions)
    told = {"started_at": (entry.started_at, None), "ended_at": (entry.ended_at, None)}
    db.session.delete(entry)
    db.session.flush()
    record(actor, "time.deleted", list_id=task.list_id, task_id=task.id, changes=told)
    changed("time_entry", entry_uuid, list_id=task.list_id, deleted=True)
    changed("task", task.uuid, list_id=task.list_id)


def _check(entry: TimeEntry) -> None:
    now = datetime.now(UTC)
    problems = {}
    if entry.ended_at is not None and entry.ended_at < entry.started_at:
        problems["ended_at"] = [ENDS_EARLY]
    for name in ("started_at", "ended_at"):
        at = getattr(entry, name)
        if at is not None and at > now:
            problems[name] = [IN_FUTURE]
    if problems:
        raise InvalidInputError(errors={"json": problems})


def _end(actor: CurrentUser, entry: TimeEntry) -> None:
    entry.ended_at = sa.func.greatest(sa.func.now(), TimeEntry.started_at)
    db.session.flush()
    list_id = db.session.scalars(sa.select(Task.list_id).where(Task.id == entry.task_id)).one()
    _tell(actor, "time.stopped", entry, list_id, {"ended_at": (None, entry.ended_at)})


def _running(actor: CurrentUser) -> TimeEntry | None:
    found = sa.select(TimeEntry).where(TimeEntry.user_id == actor.id, TimeEntry.ended_at.is_(None))
    newest = found.order_by(TimeEntry.id.desc()).limit(1).with_for_update()
    return db.session.scalars(newest.execution_options(populate_existing=True)).one_or_none()


def _lock_user(actor: CurrentUser) -> None:
    """Nobody else starts or stops anything for the actor meanwhile."""
    found = sa.select(User.id).where(User.id == actor.id)
    db.session.execute(found.with_for_update(key_share=True))


def _lock(
    actor: CurrentUser, task_uuid: uuid.UUID, entry_uuid: uuid.UUID, versions: Versions
) -> tuple[Task, TimeEntry]:
    task = lock_task(actor, task_uuid)
    found = sa.select(TimeEntry).where(TimeEntry.uuid == entry_uuid, TimeEntry.task_id == task.id)
    locked = found.with_for_update().execution_options(populate_existing=True)
    entry = db.session.scalars(locked).one_or_none()
    if entry is None:
        raise NotFoundError(NO_SUCH_ENTRY)
    if entry.user_id != actor.id:
        raise ForbiddenError(NOT_YOURS)
    if versions is not None and entry.version not in versions:
        raise PreconditionFailedError
    return task, entry


def _find_task(actor: CurrentUser, task_uuid: uuid.UUID) -> int:
    task_id = db.session.scalar(
        sa.select(Task.id).where(
            Task.uuid == task_uuid,
            Task.deleted_at.is_(None),
            Task.list_id.in_(visible_lists(actor)),
        )
    )
    if task_id is None:
        raise NotFoundError(NO_SUCH_TASK)
    return task_id


def _show(entry: TimeEntry) -> Any:
    return db.session.execute(ENTRIES.where(TimeEntry.id == entry.id)).one()


def _told(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (before.get(name), value) for name, value in now.items() if before.get(name) != value
    }


def _tell(
    actor: CurrentUser,
    action: str,
    entry: TimeEntry,
    list_id: int,
    told: dict[str, tuple[Any, Any]],
) -> None:
    record(actor, action, list_id=list_id, task_id=entry.task_id, changes=told)
    changed("time_entry", entry.uuid, list_id=list_id)
    # A task shows how much time was spent on it.
    task_uuid = db.session.scalars(sa.select(Task.uuid).where(Task.id == entry.task_id)).one()
    changed("task", task_uuid, list_id=list_id)
