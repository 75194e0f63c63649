"""How long a task has had each of its statuses, as its timeline tells."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from todo_app.activity.models import Activity
from todo_app.database import db
from todo_app.errors import NotFoundError
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import visible_lists
from todo_app.todos.models import Task
from todo_app.todos.shown import NO_SUCH_TASK
from todo_app.todos.workflow import Entered, time_in_status


class Times(NamedTuple):
    """The way of a task through its statuses."""

    seconds: dict[str, float]
    """By status, of those that it had, up to now."""
    entries: list[Entered]
    """In their order, the first one that with which it was made."""


def times_of(actor: CurrentUser, task_uuid: uuid.UUID) -> Times:
    """How long a task has had each of its statuses.

    Raises:
        NotFoundError: there is no such task, or it is not for the actor to see.
    """
    task = db.session.execute(
        sa.select(Task.id, Task.status, Task.created_at, sa.func.now().label("now")).where(
            Task.uuid == task_uuid,
            Task.deleted_at.is_(None),
            Task.list_id.in_(visible_lists(actor)),
        )
    ).one_or_none()
    if task is None:
        raise NotFoundError(NO_SUCH_TASK)
    status = Activity.changes["status"]
    rows = db.session.execute(
        sa.select(Activity.at, status.label("status"))
        .where(
            Activity.task_id == task.id,
            status.is_not(None),
            Activity.list_id.in_(visible_lists(actor)),
        )
        .order_by(Activity.id)
    ).all()
    entries = _entries(task, rows)
    return Times(time_in_status(entries, max(task.now, entries[-1].at)), entries)


def _entries(task: Any, rows: Any) -> list[Entered]:
    changes: list[tuple[str | None, str, datetime]] = [(*row.status, row.at) for row in rows]
    # Of tasks from before there was a timeline, it does not tell how they were made.
    first = changes[0][0] or changes[0][1] if changes else task.status
    entries = [Entered(first, task.created_at)]
    for old, new, at in changes:
        if old is not None:
            # A transaction that began first may have had to wait for one that began later.
            entries.append(Entered(new, max(at, entries[-1].at)))
    return entries
