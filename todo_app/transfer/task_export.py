"""Tasks written into a file, with the columns that the import takes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.orm import aliased

from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import visible_lists
from todo_app.todos.models import Section, Tag, Task, TaskAssignee, TaskTag, TodoList
from todo_app.todos.rrule import parse
from todo_app.transfer.csv_files import joined

ROWS_AT_ONCE = 500

Row = Mapping[str, str | None]


def next_tasks(
    actor: CurrentUser, after: int, where: sa.ColumnElement[bool] | None
) -> tuple[list[Row], int | None]:
    """Some of the tasks that `actor` may see, in order of their keys.

    Args:
        actor: who asks. Those who may not read users get the ids of people, not their addresses.
        after: key of the last task that was read; 0 for none.
        where: a further condition on `Task`.

    Returns:
        Cells by column, and the key of the last task where there may be more behind it.
    """
    statement = _statement(actor, with_addresses=_may(actor, "users:read"))
    statement = statement.where(Task.id > after)
    if where is not None:
        statement = statement.where(where)
    rows = db.session.execute(statement.order_by(Task.id).limit(ROWS_AT_ONCE)).all()
    last = rows[-1].key if len(rows) == ROWS_AT_ONCE else None
    return [_cells(row) for row in rows], last


def _may(actor: CurrentUser, permission: str) -> bool:
    is_in_scope = actor.scopes is None or bool({permission, "admin"} & set(actor.scopes))
    return is_in_scope and permission in actor.permissions


def _statement(actor: CurrentUser, *, with_addresses: bool) -> sa.Select[*tuple[Any, ...]]:
    parent, other_list, other_section = aliased(Task), aliased(TodoList), aliased(Section)
    is_same_list = sa.func.lower(other_list.title) == sa.func.lower(TodoList.title)
    is_list_alone = ~(
        sa.exists()
        .where(other_list.id != TodoList.id, is_same_list)
        .where(other_list.id.in_(visible_lists(actor)))
        .correlate(TodoList)
    )
    is_section_alone = ~(
        sa.exists()
        .where(
            other_section.list_id == Section.list_id,
            other_section.id != Section.id,
            sa.func.lower(other_section.title) == sa.func.lower(Section.title),
        )
        .correlate(Section)
    )
    of_list = sa.case((is_list_alone, TodoList.title), else_=sa.cast(TodoList.uuid, sa.Text))
    of_section = sa.case((is_section_alone, Section.title), else_=sa.cast(Section.uuid, sa.Text))
    who = User.email if with_addresses else sa.cast(User.uuid, sa.Text)
    return sa.select(
        Task.id.label("key"),
        Task.uuid,
        Task.title,
        Task.description,
        Task.status,
        Task.priority,
        Task.start_at,
        Task.due_at,
        Task.is_all_day,
        Task.timezone,
        Task.recurrence,
        Task.recurs_from,
        Task.estimate_seconds,
        Task.completed_at,
        _one(of_list, TodoList.id == Task.list_id).label("list"),
        _one(of_section, Section.id == Task.section_id).label("section"),
        _one(parent.uuid, parent.id == Task.parent_id, parent.deleted_at.is_(None)).label("parent"),
        _many(
            who,
            TaskAssignee.task_id == Task.id,
            TaskAssignee.user_id == User.id,
            User.deleted_at.is_(None),
        ).label("assignees"),
        _many(Tag.name, TaskTag.task_id == Task.id, TaskTag.tag_id == Tag.id).label("tags"),
    ).where(Task.list_id.in_(visible_lists(actor)), Task.deleted_at.is_(None))


def _one(value: Any, *conditions: Any) -> Any:
    return sa.select(value).where(*conditions).correlate(Task).scalar_subquery()


def _many(value: Any, *conditions: Any) -> Any:
    every = sa.func.array_agg(aggregate_order_by(value, value), type_=ARRAY(sa.Text))
    return sa.select(every).where(*conditions).correlate(Task).scalar_subquery()


def _cells(row: Any) -> Row:
    zone = ZoneInfo(row.timezone or "UTC")
    goes_on = row.completed_at is None and _goes_on(row, zone)
    return {
        "id": str(row.uuid),
        "parent": str(row.parent) if row.parent else None,
        "list": row.list,
        "section": row.section,
        "title": row.title,
        "description": row.description,
        "status": row.status,
        "priority": str(row.priority),
        "start": _day_or_time(row.start_at, zone, row.is_all_day),
        "due": _day_or_time(row.due_at, zone, row.is_all_day),
        "timezone": row.timezone,
        # The series of a task that is done goes on with another one.
        "recurrence": row.recurrence if goes_on else None,
        "recurs_from": row.recurs_from if goes_on else None,
        "estimate_seconds": _text(row.estimate_seconds),
        "completed": _day_or_time(row.completed_at, zone, is_day=False),
        "assignees": joined(row.assignees or ()),
        "tags": joined(row.tags or ()),
    }


def _goes_on(row: Any, zone: ZoneInfo) -> bool:
    """Whether a task keeps its rule: no import takes one that was put off beyond the rule's end."""
    until = parse(row.recurrence).until if row.recurrence else None
    due = row.due_at.astimezone(zone).date() if row.is_all_day and row.due_at else row.due_at
    return until is None or due <= until


def _day_or_time(at: datetime | None, zone: ZoneInfo, is_day: bool) -> str | None:
    if at is None:
        return None
    if is_day:
        return at.astimezone(zone).date().isoformat()
    return at.astimezone(UTC).isoformat()


def _text(value: object) -> str | None:
    return None if value is None else str(value)
