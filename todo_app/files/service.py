"""Files of tasks: who sees them, what they may take up, and which content they share.

Rows and contents cannot be committed together. A content is stored before its row is written, and
deleted after its row is gone: what a crash leaves between is an object that nothing names, which
the nightly sweep finds. Whoever changes what refers to contents holds one lock of the tenant.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.activity.changes import changed
from todo_app.activity.service import record
from todo_app.database import current_session, db
from todo_app.errors import ConflictError, NotFoundError, UnavailableError
from todo_app.files.models import Attachment, Content
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.tenancy import CurrentUser
from todo_app.todos import access
from todo_app.todos.access import visible_lists
from todo_app.todos.locks import lock_task
from todo_app.todos.models import Task
from todo_app.todos.shown import NO_SUCH_TASK, person

NO_SUCH_FILE = "This task has no such file."

LOCK = 7_301_011
"""Key of the advisory lock of a tenant's contents."""
LOCK_CONTENTS = sa.select(
    sa.func.pg_advisory_xact_lock(LOCK, sa.func.hashtext(sa.func.current_schema()))
)

ORDER_BY = {
    "created_at": Attachment.created_at,
    "name": Attachment.name,
    "size": Content.size,
}

FILES = sa.select(
    Attachment.uuid,
    Attachment.name,
    Attachment.media_type,
    Content.size,
    sa.func.encode(Attachment.sha256, "hex").label("sha256"),
    Attachment.created_at,
    person(Attachment.created_by_id).label("created_by"),
    sa.select(Task.uuid)
    .where(Task.id == Attachment.task_id)
    .correlate(Attachment)
    .scalar_subquery()
    .label("task_uuid"),
    # A file never changes: for its ETag.
    sa.literal(1).label("version"),
).join(Content, Content.sha256 == Attachment.sha256)
"""All files, as they are shown; the caller says which."""
_OF_TASK = Attachment.task_id == sa.bindparam("task_id", type_=sa.BigInteger)
_PAGES = PageQuery(FILES.where(_OF_TASK), ORDER_BY, Attachment.id)
_SEARCH = PageQuery(FILES.where(_OF_TASK, matches(Attachment.name)), ORDER_BY, Attachment.id)

_USED = sa.select(sa.func.coalesce(sa.func.sum(Content.size), 0)).where(
    Content.unused_since.is_(None)
)


class QuotaError(ConflictError):
    """The files of the company would take up more than they may."""

    code = "quota-exceeded"

    def __init__(self, quota: int) -> None:
        super().__init__(f"The files of your company may have {quota:,} bytes together.")


@dataclass
class Stored:
    """A content that lies in the storage.

    Args:
        sha256: its hash, in hexadecimal.
        size: in bytes.
        media_type: what it is.
        key: its name in the storage.
        is_new: whether it was stored for this file; another one had it already otherwise.
        is_wanted: whether a row refers to `key` now.
    """

    sha256: str
    size: int
    media_type: str
    key: uuid.UUID
    is_new: bool
    is_wanted: bool = False


def page_of_files(actor: CurrentUser, task_uuid: uuid.UUID, request: PageRequest) -> Page:
    """A page of a task's files; `search` looks into the name.

    Raises:
        NotFoundError: there is no such task, or it is not for the actor to see.
    """
    task_id = _find_task(actor, task_uuid).id
    if request.search:
        return _SEARCH.fetch(request, task_id=task_id, search=request.search)
    return _PAGES.fetch(request, task_id=task_id)


def get_file(actor: CurrentUser, task_uuid: uuid.UUID, file_uuid: uuid.UUID) -> Any:
    """A file as it is shown.

    Raises:
        NotFoundError: there is no such task or file, or it is not for the actor to see.
    """
    return _one(FILES, _find_task(actor, task_uuid).id, file_uuid)


def get_content(actor: CurrentUser, task_uuid: uuid.UUID, file_uuid: uuid.UUID) -> Any:
    """What it takes to send a file: name, media_type, size, sha256 and key.

    Raises:
        NotFoundError: as of `get_file`.
    """
    return _one(FILES.add_columns(Content.key), _find_task(actor, task_uuid).id, file_uuid)


def check_may_add(actor: CurrentUser, task_uuid: uuid.UUID, size: int, quota: int) -> None:
    """See, before a file is received, whether a task would take it.

    Args:
        actor: who sends it.
        task_uuid: for which task.
        size: bytes that it has at least.
        quota: bytes that all files of the company may have; 0 for any number.

    Raises:
        NotFoundError, ForbiddenError: as of `access.check`.
        FolderError, ListArchivedError: nobody may write there.
        QuotaError: there is no room for it, even where its content should be there already.
    """
    access.hold(actor, _find_task(actor, task_uuid).list_id)
    _check_quota(quota, size)
    _end_reading()


def known_key(sha256: str) -> uuid.UUID | None:
    """Where a content lies, or should lie; None where it has no place yet."""
    found = sa.select(Content.key).where(Content.sha256 == bytes.fromhex(sha256))
    key = db.session.scalar(found)
    _end_reading()
    return key


def add_file(
    actor: CurrentUser, task_uuid: uuid.UUID, name: str, stored: Stored, quota: int
) -> Any:
    """Give a task a file.

    Args:
        actor: who does it.
        task_uuid: which task.
        name: from `names.clean_name`.
        stored: what it holds; told whether that is wanted in the storage.
        quota: as of `check_may_add`.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `locks.lock_task`.
        QuotaError: there is no room for it.
        UnavailableError: the content was deleted in this very moment; it can be sent again.
    """
    task = lock_task(actor, task_uuid)
    db.session.execute(LOCK_CONTENTS)
    _use_content(stored)
    _check_quota(quota)
    file = Attachment(
        task_id=task.id,
        created_by_id=actor.id,
        sha256=bytes.fromhex(stored.sha256),
        name=name,
        media_type=stored.media_type,
    )
    db.session.add(file)
    db.session.flush()
    _tell(actor, "attachment.added", task, file.uuid, (None, name))
    return _one(FILES, task.id, file.uuid)


def delete_file(actor: CurrentUser, task_uuid: uuid.UUID, file_uuid: uuid.UUID) -> None:
    """Take a file away from a task. What it held is kept for a while, for restores.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `locks.lock_task`.
    """
    task = lock_task(actor, task_uuid)
    db.session.execute(LOCK_CONTENTS)
    file = db.session.scalars(
        sa.select(Attachment).where(Attachment.uuid == file_uuid, Attachment.task_id == task.id)
    ).one_or_none()
    if file is None:
        raise NotFoundError(NO_SUCH_FILE)
    db.session.delete(file)
    db.session.flush()
    db.session.execute(mark_unused().where(Content.sha256 == file.sha256))
    _tell(actor, "attachment.deleted", task, file_uuid, (file.name, None))


def mark_unused() -> sa.Update:
    """Note of contents since when no file refers to them."""
    return (
        sa.update(Content)
        .where(Content.unused_since.is_(None), ~is_used())
        .values(unused_since=sa.func.now())
    )


def is_used() -> sa.ColumnElement[bool]:
    """Whether a file refers to a content."""
    return sa.exists().where(Attachment.sha256 == Content.sha256).correlate(Content)


def usage(quota: int) -> dict[str, int | None]:
    """What the files of the company take up, and may take up; None for any number."""
    return {"used_bytes": db.session.scalar(_USED), "quota_bytes": quota or None}


def _use_content(stored: Stored) -> None:
    sha256 = bytes.fromhex(stored.sha256)
    if stored.is_new:
        row = insert(Content).values(sha256=sha256, key=stored.key, size=stored.size)
        statement = row.on_conflict_do_update(
            index_elements=[Content.sha256], set_={"unused_since": None}
        ).returning(Content.key)
        key = db.session.scalar(statement)
    else:
        key = db.session.scalar(
            sa.update(Content)
            .where(Content.sha256 == sha256)
            .values(unused_since=None)
            .returning(Content.key)
        )
    if key is None:
        raise UnavailableError
    stored.is_wanted = key == stored.key


def _check_quota(quota: int, more: int = 0) -> None:
    if quota and (db.session.scalar(_USED) or 0) + more > quota:
        raise QuotaError(quota)


def _tell(
    actor: CurrentUser,
    action: str,
    task: Task,
    file_uuid: uuid.UUID,
    name: tuple[str | None, str | None],
) -> None:
    record(actor, action, list_id=task.list_id, task_id=task.id, changes={"name": name})
    is_gone = name[1] is None
    changed("attachment", file_uuid, list_id=task.list_id, deleted=is_gone)


def _end_reading() -> None:
    """Give the connection back: it does not wait for a client, nor for the storage."""
    if not current_session().depth:
        db.session.rollback()


def _one(rows: sa.Select[*tuple[Any, ...]], task_id: int, file_uuid: uuid.UUID) -> Any:
    found = rows.where(Attachment.uuid == file_uuid, Attachment.task_id == task_id)
    row = db.session.execute(found).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_FILE)
    return row


def _find_task(actor: CurrentUser, task_uuid: uuid.UUID) -> Any:
    task = db.session.execute(
        sa.select(Task.id, Task.list_id).where(
            Task.uuid == task_uuid,
            Task.deleted_at.is_(None),
            Task.list_id.in_(visible_lists(actor)),
        )
    ).one_or_none()
    if task is None:
        raise NotFoundError(NO_SUCH_TASK)
    return task
