"""Which tasks a feed shows, and each as a calendar knows it.

One statement reads them. What a calendar shows follows from its rows alone, so their digest is the
ETag: a program that asks every hour costs that statement, and no calendar is written for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from todo_app.database import db
from todo_app.tenancy import CurrentUser
from todo_app.todos import recurrence, workflow
from todo_app.todos.access import visible_lists
from todo_app.todos.ical import EVENTS, Entry
from todo_app.todos.models import Tag, Task, TaskAssignee, TaskTag, TodoList
from todo_app.todos.rrule import parse
from todo_app.todos.schedule import moment_of, zone_of

MOST_TASKS = 1000
"""In one calendar; those that are done go first, then those that are due last."""
MOST_CHARACTERS = 2000
"""Of a description."""
CLOSED_SHOWN_FOR = timedelta(days=30)
"""For so long is a task shown after it was done or rejected."""

FORMAT = b"1"
"""Another one whenever the same rows are written in another way."""


def rows_of(actor: CurrentUser, list_id: int | None, kind: str) -> list[sa.Row[*tuple[Any, ...]]]:
    """The tasks of a calendar, those that the actor may see now.

    Args:
        actor: whose calendar it is.
        list_id: the list whose tasks it shows. Without one it shows those of all lists that are
            assigned to the actor, and those that the actor has made and nobody is to do.
        kind: ical.TODOS, or ical.EVENTS, of which only those with a date are any use.
    """
    is_open = Task.status.in_(workflow.OPEN)
    closed_since = sa.func.coalesce(Task.completed_at, Task.updated_at)
    lists = visible_lists(actor).where(TodoList.archived_at.is_(None))
    statement = (
        sa.select(
            Task.uuid,
            Task.title,
            sa.func.left(Task.description, MOST_CHARACTERS).label("description"),
            Task.status,
            Task.priority,
            Task.start_at,
            Task.due_at,
            Task.is_all_day,
            Task.timezone,
            Task.recurrence,
            Task.recurs_from,
            Task.completed_at,
            Task.version,
            Task.created_at,
            Task.updated_at,
            _tags().label("tags"),
        )
        .where(
            Task.deleted_at.is_(None),
            Task.list_id.in_(lists),
            sa.or_(is_open, closed_since > sa.func.now() - CLOSED_SHOWN_FOR),
            _is_mine(actor) if list_id is None else Task.list_id == list_id,
        )
        .order_by(is_open.desc(), Task.due_at.asc().nulls_last(), Task.id)
        .limit(MOST_TASKS)
    )
    if kind == EVENTS:
        statement = statement.where(sa.or_(Task.start_at.is_not(None), Task.due_at.is_not(None)))
    return list(db.session.execute(statement))


def _is_mine(actor: CurrentUser) -> sa.ColumnElement[bool]:
    # Each half has an index, where OR would have all tasks of the tenant looked at.
    made = aliased(Task)
    is_assigned = sa.exists().where(TaskAssignee.task_id == made.id)
    to_me = sa.select(TaskAssignee.task_id).where(TaskAssignee.user_id == actor.id)
    by_me = sa.select(made.id).where(made.created_by_id == actor.id, ~is_assigned)
    return Task.id.in_(to_me.union_all(by_me))


def _tags() -> Any:
    names = sa.func.array_agg(aggregate_order_by(Tag.name, Tag.name))
    of_task = sa.select(names).join(TaskTag, TaskTag.tag_id == Tag.id)
    return of_task.where(TaskTag.task_id == Task.id).correlate(Task).scalar_subquery()


def etag_of(name: str, kind: str, rows: Iterable[sa.Row[*tuple[Any, ...]]]) -> str:
    """What changes whenever the calendar does."""
    digest = hashlib.sha256(FORMAT)
    digest.update(repr((name, kind)).encode())
    for row in rows:
        digest.update(repr(tuple(_plain(value) for value in row)).encode())
    return digest.hexdigest()[:32]


def _plain(value: Any) -> Any:
    # The same moment, whatever zone the connection shows it in.
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def entry_of(row: Any) -> Entry:
    """A task as a calendar knows it."""
    is_counted = row.recurrence is not None and row.recurs_from != recurrence.FROM_COMPLETION
    return Entry(
        uid=str(row.uuid),
        title=row.title,
        status=row.status,
        last_modified=row.updated_at,
        sequence=row.version,
        description=row.description,
        start=row.start_at and moment_of(row.start_at, row),
        due=row.due_at and moment_of(row.due_at, row),
        zone=zone_of(row),
        rule=parse(row.recurrence) if is_counted else None,
        priority=row.priority,
        created=row.created_at,
        completed=row.completed_at,
        categories=tuple(row.tags or ()),
    )
