"""The next task of a series, when one is completed or skipped, and what happens to its subtasks.

Whoever makes the next task holds the list alone.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.database import Versions, db
from todo_app.errors import ConflictError
from todo_app.reminders.models import Reminder
from todo_app.tenancy import CurrentUser
from todo_app.todos import recurrence
from todo_app.todos.locks import lock_rows, lock_task, tell
from todo_app.todos.marks import mark_reminders
from todo_app.todos.models import FieldValue, Task, TaskAssignee, TaskTag
from todo_app.todos.numbers import take_numbers
from todo_app.todos.rrule import parse
from todo_app.todos.schedule import moment_of, shifted, time_of, told, zone_of
from todo_app.todos.subtasks import below
from todo_app.todos.workflow import DONE, NEW, OPEN

COPIED = (
    "list_id",
    "section_id",
    "title",
    "description",
    "priority",
    "is_all_day",
    "timezone",
    "estimate_seconds",
    # Equal ones are in the order of their keys: it stands right behind the one before.
    "position",
    "created_by_id",
)
"""What the next task has from the one before."""


class NotRecurringError(ConflictError):
    """A task does not recur, so there is nothing to skip to."""

    code = "not-recurring"
    detail = "This task does not recur."


class SeriesEndedError(ConflictError):
    """Nothing follows a task; it can be completed or deleted."""

    code = "series-ended"
    detail = "This is the last task of its series."


class Shift(NamedTuple):
    """From one date of a series to another."""

    old: datetime
    new: datetime
    zone: ZoneInfo

    def of(self, at: datetime | None) -> datetime | None:
        """A time that is moved as far; None where there is none."""
        return shifted(at, self.old, self.new, self.zone)


def follow(actor: CurrentUser, task: Task) -> Task | None:
    """Make the task that comes after one which has just been completed; None where none does.

    The rule goes on to the next task. Of the subtasks those that are open go on, too, as new ones;
    of those that are done the next task gets copies.
    """
    if task.recurrence is None or task.due_at is None or task.completed_at is None:
        return None
    rule, due = task.recurrence, task.due_at
    found = _next(task, task.completed_at)
    task.recurrence = None
    db.session.flush()
    tell(actor, "task.changed", task, {"recurrence": (rule, None)})
    if found is None:
        return None
    at, zone = time_of(found.due, zone_of(task)), zone_of(task)
    following = _copy(
        actor,
        task,
        parent_id=task.parent_id,
        start_at=shifted(task.start_at, due, at, zone),
        due_at=at,
        recurrence=str(found.rule),
        recurs_from=task.recurs_from,
        recurs_since=task.recurs_since,
        recurs_at=at,
    )
    _hand_on(actor, task, following, Shift(task.recurs_at or due, at, zone))
    return following


def skip_task(actor: CurrentUser, task_uuid: uuid.UUID, versions: Versions) -> Task:
    """Put a task off to the next date of its series, new again, and its subtasks with it.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError, PreconditionFailedError: as
            of `locks.lock_task`.
        NotRecurringError, SeriesEndedError
    """
    task = lock_task(actor, task_uuid, versions, alone=True)
    if task.recurrence is None or task.due_at is None:
        raise NotRecurringError
    # Never back, where it was put off by hand. A day and a half on from its first moment, a day is
    # over, whatever the clocks.
    is_day = task.is_all_day and task.recurs_from != recurrence.FROM_COMPLETION
    floor = task.due_at + timedelta(hours=36 if is_day else 0)
    found = _next(task, max(floor, db.session.scalars(sa.select(sa.func.now())).one()))
    if found is None:
        raise SeriesEndedError
    names = ("start_at", "due_at", "recurrence", "status", "completed_at")
    before = {name: getattr(task, name) for name in names}
    at, zone = time_of(found.due, zone_of(task)), zone_of(task)
    shift = Shift(task.recurs_at or task.due_at, at, zone)
    task.start_at = shifted(task.start_at, task.due_at, at, zone)
    task.due_at = task.recurs_at = at
    task.recurrence, task.status, task.completed_at = str(found.rule), NEW, None
    db.session.flush()
    tell(actor, "task.skipped", task, told(before, task))
    _reset(actor, task, shift)
    return task


def _next(task: Task, moment: datetime) -> recurrence.Next | None:
    """The date and the rule of what comes after a task that is completed at a moment."""
    assert task.recurrence is not None and task.due_at is not None  # noqa: PT018, S101
    return recurrence.next_task(
        parse(task.recurrence),
        due=moment_of(task.recurs_at or task.due_at, task),
        completed=moment,
        zone=zone_of(task),
        start=moment_of(task.recurs_since or task.due_at, task),
        anchor=task.recurs_from or recurrence.FROM_DUE,
        skip_missed=True,
    )


def _hand_on(actor: CurrentUser, old: Task, new: Task, shift: Shift) -> None:
    """Give the subtasks of a task to the one that follows it."""
    # No recursion: tasks are inside each other to any depth.
    waiting = [(old, new)]
    while waiting:
        old, new = waiting.pop()
        for child in lock_rows((Task.parent_id == old.id) & Task.deleted_at.is_(None)):
            if child.status in OPEN:
                child.parent_id = new.id
                _renew(actor, child, shift, {"parent_uuid": (old.uuid, new.uuid)})
                _reset(actor, child, shift)
            elif child.status == DONE and child.recurs_at is None:
                # One of a series of its own has been followed already.
                dates = {"start_at": shift.of(child.start_at), "due_at": shift.of(child.due_at)}
                waiting.append((child, _copy(actor, child, parent_id=new.id, **dates)))


def _reset(actor: CurrentUser, task: Task, shift: Shift) -> None:
    """Let all that is inside a task be new again."""
    inside = below(task.id, Task.deleted_at.is_(None))
    for child in lock_rows(Task.id.in_(inside) & (Task.id != task.id)):
        _renew(actor, child, shift, {})


def _renew(
    actor: CurrentUser, task: Task, shift: Shift, changes: dict[str, tuple[Any, Any]]
) -> None:
    names = ("start_at", "due_at", "status", "completed_at")
    before = {name: getattr(task, name) for name in names}
    if task.recurrence is None:
        task.start_at, task.due_at = shift.of(task.start_at), shift.of(task.due_at)
        task.status, task.completed_at = NEW, None
    changes = changes | told(before, task)
    if changes:
        db.session.flush()
        tell(actor, "task.changed", task, changes)


def _copy(actor: CurrentUser, task: Task, **values: Any) -> Task:
    """A new task that is as another was, with its assignees, tags and values."""
    number = take_numbers(task.list_id, 1)
    kept = {name: getattr(task, name) for name in COPIED}
    copy = Task(**kept, **values, number=number, status=NEW)
    db.session.add(copy)
    db.session.flush()
    for table in (TaskAssignee, TaskTag, FieldValue):
        columns = [column for column in table.__table__.c if column.name != "task_id"]
        rows = sa.select(sa.literal(copy.id), *columns).where(table.task_id == task.id)
        names = ["task_id", *(column.name for column in columns)]
        db.session.execute(insert(table).from_select(names, rows))
    reminders = sa.select(sa.literal(copy.id), Reminder.user_id, Reminder.seconds_before).where(
        Reminder.task_id == task.id, Reminder.seconds_before.is_not(None)
    )
    names = ["task_id", "user_id", "seconds_before"]
    copied = insert(Reminder).from_select(names, reminders).returning(Reminder.id)
    if db.session.scalars(copied).first() is not None:
        mark_reminders(Reminder.task_id == copy.id)
    about = {name: (None, getattr(copy, name)) for name in ("title", "status", "due_at")}
    tell(actor, "task.added", copy, {**about, "follows_uuid": (None, task.uuid)})
    return copy
