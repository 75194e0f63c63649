"""What clients sync, and how each kind of thing is found and shown."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.comments import service as comments
from todo_app.comments.models import Comment
from todo_app.database import db
from todo_app.files.models import Attachment
from todo_app.files.service import FILES
from todo_app.filters import saved as filters
from todo_app.filters.models import SavedFilter
from todo_app.lists import shown as lists
from todo_app.reminders import service as reminders
from todo_app.reminders.models import Reminder
from todo_app.tags.service import TAGS
from todo_app.tenancy import CurrentUser
from todo_app.time_entries.service import ENTRIES
from todo_app.todos import shown as tasks
from todo_app.todos.access import is_visible, visible_lists
from todo_app.todos.models import Section, Tag, Task, TaskRelation, TimeEntry, TodoList

Uuids: TypeAlias = Sequence[uuid.UUID]
Rows: TypeAlias = Sequence[Any]


def _lists(actor: CurrentUser, uuids: Uuids) -> Rows:
    found = lists.rows(actor).where(
        TodoList.uuid.in_(uuids), TodoList.deleted_at.is_(None), is_visible(actor)
    )
    return db.session.execute(found).all()


def _sections(actor: CurrentUser, uuids: Uuids) -> Rows:
    found = (
        sa.select(
            Section.uuid,
            Section.title,
            Section.position,
            Section.version,
            Section.created_at,
            Section.updated_at,
            TodoList.uuid.label("list_uuid"),
        )
        .join(TodoList, TodoList.id == Section.list_id)
        .where(Section.uuid.in_(uuids), Section.list_id.in_(visible_lists(actor)))
    )
    return db.session.execute(found).all()


def _tasks(actor: CurrentUser, uuids: Uuids) -> Rows:
    return tasks.rows_of(actor, uuids)


def _tags(_: CurrentUser, uuids: Uuids) -> Rows:
    return db.session.execute(TAGS.where(Tag.uuid.in_(uuids))).all()


def _relations(actor: CurrentUser, uuids: Uuids) -> Rows:
    first, other = aliased(Task), aliased(Task)
    found = (
        sa.select(
            TaskRelation.uuid,
            TaskRelation.kind,
            TaskRelation.created_at,
            first.uuid.label("task_uuid"),
            other.uuid.label("other_uuid"),
        )
        .join(first, first.id == TaskRelation.task_id)
        .join(other, other.id == TaskRelation.other_id)
        .where(TaskRelation.uuid.in_(uuids), *_is_there(actor, first), *_is_there(actor, other))
    )
    return db.session.execute(found).all()


def _time_entries(actor: CurrentUser, uuids: Uuids) -> Rows:
    found = ENTRIES.join(Task, Task.id == TimeEntry.task_id).where(
        TimeEntry.uuid.in_(uuids), *_is_there(actor, Task)
    )
    return db.session.execute(found).all()


def _attachments(actor: CurrentUser, uuids: Uuids) -> Rows:
    found = FILES.join(Task, Task.id == Attachment.task_id).where(
        Attachment.uuid.in_(uuids), *_is_there(actor, Task)
    )
    return db.session.execute(found).all()


def _comments(actor: CurrentUser, uuids: Uuids) -> Rows:
    found = comments.rows(actor).where(Comment.uuid.in_(uuids), Comment.deleted_at.is_(None))
    return [comments.with_html(row) for row in db.session.execute(found)]


def _reminders(actor: CurrentUser, uuids: Uuids) -> Rows:
    return db.session.execute(reminders.rows(actor).where(Reminder.uuid.in_(uuids))).all()


def _filters(actor: CurrentUser, uuids: Uuids) -> Rows:
    return db.session.execute(filters.rows(actor).where(SavedFilter.uuid.in_(uuids))).all()


def _is_there(actor: CurrentUser, task: Any) -> tuple[sa.ColumnElement[bool], ...]:
    return task.deleted_at.is_(None), task.list_id.in_(visible_lists(actor))


KINDS: dict[str, tuple[str, Callable[[CurrentUser, Uuids], Rows]]] = {
    "list": ("lists", _lists),
    "section": ("sections", _sections),
    "task": ("tasks", _tasks),
    "tag": ("tags", _tags),
    "relation": ("relations", _relations),
    "time_entry": ("time_entries", _time_entries),
    "attachment": ("attachments", _attachments),
    "comment": ("comments", _comments),
    "filter": ("filters", _filters),
    "reminder": ("reminders", _reminders),
}
"""By kind: its name in the answer, and what finds those of the things that the user may see."""
