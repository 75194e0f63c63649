"""Tasks as they are shown.

Whatever stands in another table is a subquery of the select list: PostgreSQL puts those off until
after ORDER BY and stops at LIMIT, so a page costs one statement, and nothing is looked up for the
rows behind it, however many tasks there are. Statements are built once for each set of filters.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from datetime import UTC
from types import SimpleNamespace
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.orm import aliased

from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.errors import NotFoundError
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenancy import CurrentUser
from todo_app.todos import markdown
from todo_app.todos.access import visible_lists
from todo_app.todos.models import (
    FieldValue,
    ListField,
    Section,
    Tag,
    Task,
    TaskAssignee,
    TaskTag,
    TimeEntry,
    TodoList,
)
from todo_app.todos.workflow import DONE, OPEN

NO_SUCH_TASK = "There is no such task."

ANYBODY: Any = SimpleNamespace(id=sa.bindparam("actor_id", type_=sa.BigInteger))
"""Stands for whoever asks, so that a statement is the same for all."""


class Shown(SimpleNamespace):
    """A task as it is shown, with its `version` and its description as HTML."""


def person(user_id: Any) -> Any:
    """A user as JSON; null where there is none. Deleted users keep their names."""
    who = aliased(User)
    return sa.select(person_shape(who)).where(who.id == user_id).scalar_subquery()


def person_shape(who: Any) -> Any:
    """A user of a row as JSON."""
    return sa.func.jsonb_build_object(
        "uuid", who.uuid, "first_name", who.first_name, "last_name", who.last_name
    )


def _all(shape: Any, *order_by: Any) -> Any:
    """All of them as a JSON array."""
    from_json = sa.literal_column("'[]'::jsonb", JSONB)
    return sa.func.coalesce(sa.func.jsonb_agg(aggregate_order_by(shape, *order_by)), from_json)


def _lists(shape: Any, *conditions: Any) -> Any:
    is_it = TodoList.id == Task.list_id
    return sa.select(shape).where(is_it, *conditions).correlate(Task).scalar_subquery()


def _assignees() -> Any:
    shown = _all(person_shape(User), TaskAssignee.created_at, User.id)
    of_task = TaskAssignee.task_id == Task.id
    rows = (
        sa.select(shown)
        .select_from(TaskAssignee)
        .join(User, User.id == TaskAssignee.user_id)
        .where(of_task)
    )
    return rows.correlate(Task).scalar_subquery()


def _tags() -> Any:
    shape = sa.func.jsonb_build_object("uuid", Tag.uuid, "name", Tag.name, "color", Tag.color)
    shown = _all(shape, sa.func.lower(Tag.name))
    rows = sa.select(shown).select_from(TaskTag).join(Tag, TaskTag.tag_id == Tag.id)
    return rows.where(TaskTag.task_id == Task.id).correlate(Task).scalar_subquery()


def _subtasks() -> Any:
    child = aliased(Task)
    done = sa.func.count().filter(child.status == DONE)
    shape = sa.func.jsonb_build_object("total", sa.func.count(), "done", done)
    is_there = sa.and_(child.parent_id == Task.id, child.deleted_at.is_(None))
    return sa.select(shape).where(is_there).correlate(Task).scalar_subquery()


def tracked_seconds() -> Any:
    """The seconds of all time entries of a task that have ended."""
    spent = sa.extract("epoch", TimeEntry.ended_at - TimeEntry.started_at)
    whole = sa.cast(sa.func.coalesce(sa.func.sum(spent), 0), sa.BigInteger)
    return sa.select(whole).where(TimeEntry.task_id == Task.id).correlate(Task).scalar_subquery()


def _fields() -> Any:
    values = sa.func.jsonb_object_agg(ListField.name, FieldValue.value)
    shown = sa.func.coalesce(values, sa.literal_column("'{}'::jsonb", JSONB))
    rows = (
        sa.select(shown)
        .select_from(FieldValue)
        .join(ListField, ListField.id == FieldValue.field_id)
    )
    return rows.where(FieldValue.task_id == Task.id).correlate(Task).scalar_subquery()


def _uuid_of(other: Any, key: Any) -> Any:
    return sa.select(other.uuid).where(other.id == key).correlate(Task).scalar_subquery()


_PARENT = aliased(Task)

_COLUMNS = sa.select(
    Task.uuid,
    Task.title,
    Task.description,
    Task.status,
    Task.priority,
    Task.start_at,
    Task.due_at,
    Task.is_all_day,
    Task.timezone,
    Task.estimate_seconds,
    Task.recurrence,
    Task.recurs_from,
    Task.completed_at,
    Task.position,
    Task.version,
    Task.created_at,
    Task.updated_at,
    _lists(TodoList.symbol + "-" + sa.cast(Task.number, sa.Text), Task.number > 0).label("symbol"),
    _lists(sa.func.jsonb_build_object("uuid", TodoList.uuid, "title", TodoList.title)).label(
        "list"
    ),
    _uuid_of(_PARENT, Task.parent_id).label("parent_uuid"),
    _uuid_of(Section, Task.section_id).label("section_uuid"),
    _assignees().label("assignees"),
    _tags().label("tags"),
    _fields().label("fields"),
    _subtasks().label("subtasks"),
    tracked_seconds().label("tracked_seconds"),
    person(Task.created_by_id).label("created_by"),
)
TASKS = _COLUMNS.where(Task.list_id.in_(visible_lists(ANYBODY)), Task.deleted_at.is_(None))
"""Those that the user may see whose key is the parameter `actor_id`."""

TIMES = ("start_at", "due_at", "completed_at", "created_at", "updated_at")
UNSHOWN = ("version", "_total")
"""Columns that are no part of a task's shape."""

ORDER_BY = {
    "title": Task.title,
    "status": Task.status,
    "priority": Task.priority,
    "position": Task.position,
    "start_at": Task.start_at,
    "due_at": Task.due_at,
    "completed_at": Task.completed_at,
    "created_at": Task.created_at,
    "updated_at": Task.updated_at,
}


def page(
    actor: CurrentUser,
    request: PageRequest,
    filters: dict[str, Any],
    where: sa.ColumnElement[bool] | None = None,
) -> Page:
    """A page of the tasks that `actor` may see; `search` looks into title and description.

    Args:
        actor: who asks.
        request: which page.
        filters: any of the names in `FILTERS`; a task must meet all.
        where: a further condition on `Task`.
    """
    parameters = {f"by_{name}": value for name, value in filters.items()}
    if request.search:
        parameters["by_search"] = contains(request.search)
    names = frozenset(name.removeprefix("by_") for name in parameters)
    query = _pages(names)
    if where is not None:
        query = PageQuery(_rows(names).where(where), ORDER_BY, Task.id)
    return query.fetch(request, actor_id=actor.id, **parameters)


def as_json(found: Page) -> bytes:
    """A page of tasks as a client gets it.

    Its columns are what the shape of a task says, and it is large, so nothing looks at them again.
    """
    items = [_in_utc(row._asdict()) for row in found.items]
    return orjson.dumps({**found._asdict(), "items": items})


def _in_utc(task: dict[str, Any]) -> dict[str, Any]:
    for name in UNSHOWN:
        task.pop(name, None)
    for name in TIMES:
        if task[name] is not None:
            task[name] = task[name].astimezone(UTC)
    return task


def get_task(actor: CurrentUser, task_uuid: uuid.UUID) -> Shown:
    """One task as it is shown.

    Raises:
        NotFoundError: there is no such task, or it is not for the actor to see.
    """
    found = get_tasks(actor, [task_uuid])
    if not found:
        raise NotFoundError(NO_SUCH_TASK)
    return found[task_uuid]


def get_tasks(actor: CurrentUser, uuids: list[uuid.UUID]) -> dict[uuid.UUID, Shown]:
    """Several tasks as they are shown, those that the actor may see."""
    return {row.uuid: _detail(row) for row in rows_of(actor, uuids)}


def rows_of(actor: CurrentUser, uuids: Sequence[uuid.UUID]) -> Sequence[Any]:
    """As `get_tasks`, without descriptions as HTML, and with versions."""
    return db.session.execute(_SOME, {"actor_id": actor.id, "uuids": list(uuids)}).all()


def _detail(row: Any) -> Shown:
    return Shown(**row._asdict(), description_html=_html(row.description))


def _html(description: str | None) -> str | None:
    if description is None:
        return None
    try:
        return markdown.render(description)
    except markdown.MarkdownError:
        # Written before descriptions were checked.
        return None


def _uuid_filter(column: Any, other: Any, name: str) -> Any:
    key = sa.select(other.id).where(other.uuid == sa.bindparam(name, type_=sa.Uuid))
    return column == key.scalar_subquery()


def _has_assignee(name: str) -> Any:
    of_task = TaskAssignee.task_id == Task.id
    return sa.exists().where(of_task, _uuid_filter(TaskAssignee.user_id, User, name))


def _has_tag(name: str) -> Any:
    return sa.exists().where(TaskTag.task_id == Task.id, _uuid_filter(TaskTag.tag_id, Tag, name))


def _found(name: str) -> Any:
    pattern = sa.bindparam(name, type_=sa.Text)
    return sa.or_(Task.title.ilike(pattern), Task.description.ilike(pattern))


FILTERS = {
    "list_uuid": lambda name: _uuid_filter(Task.list_id, aliased(TodoList), name),
    "section_uuid": lambda name: _uuid_filter(Task.section_id, Section, name),
    "parent_uuid": lambda name: _uuid_filter(Task.parent_id, aliased(Task), name),
    "assignee_uuid": _has_assignee,
    "tag_uuid": _has_tag,
    "status": lambda name: Task.status == sa.bindparam(name, type_=sa.Text),
    "is_open": lambda name: Task.status.in_(OPEN) == sa.bindparam(name, type_=sa.Boolean),
    "is_subtask": lambda name: Task.parent_id.is_not(None) == sa.bindparam(name, type_=sa.Boolean),
    "due_from": lambda name: Task.due_at >= sa.bindparam(name, type_=sa.DateTime(timezone=True)),
    "due_before": lambda name: Task.due_at < sa.bindparam(name, type_=sa.DateTime(timezone=True)),
    "search": _found,
}


@functools.cache
def _rows(names: frozenset[str]) -> sa.Select[*tuple[Any, ...]]:
    return TASKS.where(*(FILTERS[name](f"by_{name}") for name in sorted(names)))


@functools.cache
def _pages(names: frozenset[str]) -> PageQuery:
    return PageQuery(_rows(names), ORDER_BY, Task.id)


_SOME = TASKS.where(Task.uuid == sa.func.any(sa.bindparam("uuids", type_=sa.ARRAY(sa.Uuid))))
