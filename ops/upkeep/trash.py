"""Empties the trash of a tenant."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.todos.models import Task, TodoList

OLDEST_REVISION = "0005"
"""Of tenants that have a trash."""
ROWS_AT_ONCE = 1_000
"""Tasks that one transaction deletes, each with all that belongs to it."""


def empty(connection: sa.Connection, schema_name: str, keep: timedelta) -> dict[str, int]:
    """Delete for good what was put into the trash too long ago.

    Clients that sync have known since then that it is gone.

    Args:
        connection: an own one, in autocommit mode.
        schema_name: of the tenant, at OLDEST_REVISION at least.
        keep: how long things stay in the trash.

    Returns:
        How many lists and tasks were deleted, without the subtasks that a task took along.
    """
    inside = connection.execution_options(schema_translate_map={None: schema_name})
    try:
        since = sa.func.now() - keep
        return {
            "trashed_tasks": _delete(inside, _tasks(since)) + _delete(inside, _contents(since)),
            "trashed_lists": _delete(inside, _lists(since)),
        }
    finally:
        connection.execution_options(schema_translate_map=None)


def _tasks(since: sa.ColumnElement[datetime]) -> sa.Delete:
    """Deletes some tasks; those that somebody brings back just now are left."""
    some = sa.select(Task.id).where(Task.deleted_at < since).limit(ROWS_AT_ONCE)
    return sa.delete(Task).where(Task.id.in_(some.with_for_update(skip_locked=True)))


def _contents(since: sa.ColumnElement[datetime]) -> sa.Delete:
    """Deletes some tasks of lists; those of a list that comes back just now are left."""
    some = sa.select(Task.id).join(TodoList, TodoList.id == Task.list_id)
    some = some.where(TodoList.deleted_at < since).limit(ROWS_AT_ONCE)
    return sa.delete(Task).where(Task.id.in_(some.with_for_update(skip_locked=True)))


def _lists(since: sa.ColumnElement[datetime]) -> sa.Delete:
    """Deletes some lists in which nothing is any more; what they are in goes after them."""
    child = aliased(TodoList)
    is_empty = ~sa.or_(
        sa.exists().where(Task.list_id == TodoList.id),
        sa.exists().where(child.parent_id == TodoList.id),
    )
    some = sa.select(TodoList.id).where(TodoList.deleted_at < since, is_empty).limit(ROWS_AT_ONCE)
    return sa.delete(TodoList).where(TodoList.id.in_(some.with_for_update(skip_locked=True)))


def _delete(connection: sa.Connection, some: sa.Delete) -> int:
    total = 0
    while rows := connection.execute(some).rowcount:
        total += rows
    return total
