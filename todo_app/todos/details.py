"""What a task has many of: assignees, tags, and values of its list's own fields."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.errors import InvalidInputError
from todo_app.groups.models import GroupMember
from todo_app.todos.models import (
    BOOLEAN,
    CHOICE,
    COMPANY,
    DATE,
    NUMBER,
    FieldValue,
    ListField,
    ListMember,
    Tag,
    Task,
    TaskAssignee,
    TaskTag,
    TodoList,
)

NO_SUCH_USER = "There is no such user."
NO_SUCH_TAG = "There is no such tag."
SEES_NOT = "This user cannot see the list."
MAX_TEXT_LENGTH = 1000
"""Of a value of a custom field."""
LARGEST_NUMBER = 1e15

Change = tuple[Any, Any]


def find_tags(uuids: Collection[uuid.UUID]) -> dict[int, uuid.UUID]:
    """Tags by their keys; nobody deletes them until the transaction ends.

    Raises:
        InvalidInputError: there is no such tag.
    """
    found = sa.select(Tag.id, Tag.uuid).where(Tag.uuid.in_(uuids)).order_by(Tag.id)
    rows = db.session.execute(found.with_for_update(key_share=True, read=True)).all()
    if len(rows) < len(set(uuids)):
        raise _wrong("tag_uuids", NO_SUCH_TAG)
    return {row.id: row.uuid for row in rows}


def write_tags(task: Task, tags: dict[int, uuid.UUID]) -> dict[str, Change]:
    """Let a task have these tags and no others."""
    rows = sa.select(Tag.id, Tag.uuid).join(TaskTag).where(TaskTag.task_id == task.id)
    had: dict[int, uuid.UUID] = dict(db.session.execute(rows).all())
    _replace(TaskTag.task_id, TaskTag.tag_id, task.id, had, tags)
    return difference("tags", had, tags)


def find_people(list_id: int, uuids: Collection[uuid.UUID]) -> dict[int, uuid.UUID]:
    """Users who may be assignees in a list, by their keys.

    Raises:
        InvalidInputError: there is no such user, or one cannot see the list.
    """
    found = sa.select(User.id, User.uuid, may_see(list_id).label("sees")).where(
        User.uuid.in_(uuids), User.deleted_at.is_(None)
    )
    rows = db.session.execute(found).all() if uuids else []
    if len(rows) < len(set(uuids)):
        raise _wrong("assignee_uuids", NO_SUCH_USER)
    if not all(row.sees for row in rows):
        raise _wrong("assignee_uuids", SEES_NOT)
    return {row.id: row.uuid for row in rows}


def may_see(list_id: Any) -> sa.ColumnElement[bool]:
    """Whether a `User` can see a list; what their role lets them do is not asked."""
    groups = sa.select(GroupMember.group_id).where(GroupMember.user_id == User.id)
    is_member = sa.or_(ListMember.user_id == User.id, ListMember.group_id.in_(groups))
    return (
        sa.exists()
        .where(
            TodoList.id == list_id,
            sa.or_(
                TodoList.visibility == COMPANY,
                TodoList.created_by_id == User.id,
                sa.exists().where(ListMember.list_id == TodoList.id, is_member),
            ),
        )
        .correlate_except(TodoList)
    )


def write_assignees(task: Task, people: dict[int, uuid.UUID]) -> dict[str, Change]:
    """Let a task have these assignees and no others."""
    had = assignees_of(task)
    _replace(TaskAssignee.task_id, TaskAssignee.user_id, task.id, had, people)
    return difference("assignees", had, people)


def assignees_of(task: Task) -> dict[int, uuid.UUID]:
    """Who is to do a task: keys and UUIDs."""
    is_one = TaskAssignee.task_id == task.id
    rows = sa.select(User.id, User.uuid).join(TaskAssignee).where(is_one)
    return dict(db.session.execute(rows).all())


def write_fields(task: Task, values: dict[str, Any]) -> dict[str, Change]:
    """Set some of a task's values of its list's fields; null takes one away.

    Raises:
        InvalidInputError: the list has no such field, or the field no such values.
    """
    if not values:
        return {}
    own = sa.select(ListField).where(ListField.list_id == task.list_id)
    fields = {field.name: field for field in db.session.scalars(own)}
    problems = {
        name: [problem]
        for name, value in values.items()
        if (problem := _problem(fields.get(name), value))
    }
    if problems:
        raise InvalidInputError(errors={"json": {"fields": problems}})
    is_of_task = FieldValue.task_id == task.id
    names = sa.select(ListField.name, FieldValue.value).join(FieldValue).where(is_of_task)
    had: dict[str, Any] = dict(db.session.execute(names).all())
    changed = {name: value for name, value in values.items() if had.get(name) != value}
    gone = [fields[name].id for name, value in changed.items() if value is None]
    if gone:
        db.session.execute(sa.delete(FieldValue).where(is_of_task, FieldValue.field_id.in_(gone)))
    rows = [
        {"task_id": task.id, "field_id": fields[name].id, "value": value}
        for name, value in changed.items()
        if value is not None
    ]
    if rows:
        row = insert(FieldValue).values(rows)
        db.session.execute(
            row.on_conflict_do_update(
                index_elements=[FieldValue.task_id, FieldValue.field_id],
                set_={"value": row.excluded.value},
            )
        )
    return {f"fields.{name}": (had.get(name), value) for name, value in changed.items()}


def _problem(field: ListField | None, value: Any) -> str | None:
    """What is wrong with a value; None where nothing is."""
    if field is None:
        return "The list has no such field."
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if field.kind == NUMBER:
        return None if is_number and abs(value) <= LARGEST_NUMBER else "Not a number up to 10^15."
    if field.kind == BOOLEAN:
        return None if isinstance(value, bool) else "Not true or false."
    if field.kind == CHOICE:
        is_option = isinstance(value, str) and value in field.options
        return None if is_option else f"Not one of: {', '.join(field.options)}."
    if not isinstance(value, str) or len(value) > MAX_TEXT_LENGTH:
        return f"Not a text of at most {MAX_TEXT_LENGTH} characters."
    if "\x00" in value:
        return "Has characters that cannot be stored."
    if field.kind == DATE and not _is_date(value):
        return "Not a date such as 2026-12-31."
    return None


def _is_date(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _replace(
    owner: Any, key: Any, task_id: int, had: Collection[int], wanted: Collection[int]
) -> None:
    gone, new = set(had) - set(wanted), [one for one in wanted if one not in had]
    if gone:
        db.session.execute(sa.delete(owner.class_).where(owner == task_id, key.in_(gone)))
    if new:
        rows = [{owner.key: task_id, key.key: one} for one in sorted(new)]
        db.session.execute(insert(owner.class_).values(rows).on_conflict_do_nothing())


def difference(
    name: str, had: dict[int, uuid.UUID], have: dict[int, uuid.UUID]
) -> dict[str, Change]:
    """What the timeline tells of two sets; nothing where they are the same."""
    if set(had) == set(have):
        return {}
    return {name: (_texts(had), _texts(have))}


def _texts(found: dict[int, uuid.UUID]) -> list[str]:
    return sorted(map(str, found.values()))


def _wrong(field: str, problem: str) -> InvalidInputError:
    return InvalidInputError(errors={"json": {field: [problem]}})
