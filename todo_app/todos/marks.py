"""Marks for clients that sync, of many things at once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.activity.changes import BY_US, marked
from todo_app.activity.models import Change
from todo_app.comments.models import Comment
from todo_app.database import db
from todo_app.files.models import Attachment
from todo_app.reminders.models import Reminder
from todo_app.todos.models import ListMember, Section, Task, TaskRelation, TimeEntry, TodoList

_THINGS: dict[str, Any] = {
    "attachment": Attachment,
    "comment": Comment,
    "relation": TaskRelation,
    "reminder": Reminder,
    "time_entry": TimeEntry,
}
"""What belongs to tasks, by kind."""


def mark_tasks(which: sa.ColumnElement[bool]) -> None:
    """Mark tasks as changed by the current transaction, as `activity.service.changed` does."""
    _mark(
        sa.select(sa.literal("task"), Task.uuid, Task.list_id, Task.deleted_at.is_not(None)).where(
            which
        ),
        Task.id,
    )


def change_tasks(which: sa.ColumnElement[bool], **values: Any) -> None:
    """Change tasks without looking at them: raise their versions, and mark them as changed.

    Args:
        which: the tasks.
        values: columns and what they become.
    """
    # In one order, so that two such changes do not lock each other out.
    found = sa.select(Task.id).where(which).order_by(Task.id)
    keys = list(db.session.scalars(found.with_for_update(key_share=True)))
    if not keys:
        return
    db.session.execute(
        sa.update(Task)
        .where(Task.id.in_(keys))
        .values(version=Task.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    mark_tasks(Task.id.in_(keys))


def mark_contents(list_ids: list[int]) -> None:
    """Mark all that is in some lists: others than before may see it now, or those no more."""
    # To those who do not see a list, the lists inside it are at the top.
    inside = TodoList.parent_id.in_(list_ids)
    _mark(_lists(inside), TodoList.id)
    mark_tasks(Task.list_id.in_(list_ids))
    sections = sa.select(sa.literal("section"), Section.uuid, Section.list_id, sa.false()).where(
        Section.list_id.in_(list_ids)
    )
    _mark(sections, Section.id)
    others = Change.list_id.in_(list_ids) & Change.kind.not_in(("list", "task", "section"))
    # In one order, so that two such changes do not lock each other out.
    keys = sa.select(Change.kind, Change.uuid).where(others).order_by(Change.kind, Change.uuid)
    found = db.session.execute(keys.with_for_update()).all()
    if found:
        db.session.execute(
            sa.update(Change)
            .where(others)
            .values(BY_US)
            .execution_options(synchronize_session=False)
        )


def mark_lists_of_group(group_id: int) -> None:
    """Mark the lists that are shared with a group: somebody has come to it, or has left.

    Nobody writes tasks of them until the transaction ends.
    """
    shared = sa.select(ListMember.list_id).where(ListMember.group_id == group_id)
    which = TodoList.id.in_(shared)
    found = sa.select(TodoList.id).where(which).order_by(TodoList.id)
    keys = list(db.session.scalars(found.with_for_update()))
    if not keys:
        return
    _mark(_lists(which), TodoList.id)
    mark_contents(keys)


def mark_things(task_ids: list[int], list_id: int) -> None:
    """Mark all that belongs to some tasks of a list: they have come to it, or back from the trash.

    Args:
        task_ids: keys of the tasks.
        list_id: key of the list.
    """
    for kind, model in _THINGS.items():
        is_theirs = model.task_id.in_(task_ids)
        if model is TaskRelation:
            is_theirs |= model.other_id.in_(task_ids)
        rows = sa.select(sa.literal(kind), model.uuid, sa.literal(list_id), sa.false())
        _mark(rows.where(is_theirs), model.uuid)


def mark_reminders(which: sa.ColumnElement[bool]) -> None:
    """Mark reminders as changed by the current transaction."""
    rows = sa.select(sa.literal("reminder"), Reminder.uuid, Task.list_id, sa.false())
    _mark(rows.join(Task, Task.id == Reminder.task_id).where(which), Reminder.uuid)


def mark_gone(task_ids: list[int], list_id: int) -> None:
    """Mark tasks as gone from a list, for those who do not see the one that they are in now."""
    rows = sa.select(sa.literal("task"), Task.uuid, sa.literal(list_id), sa.true())
    _mark(rows.where(Task.id.in_(task_ids)), Task.id)


def _lists(which: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    is_gone = TodoList.deleted_at.is_not(None)
    return sa.select(sa.literal("list"), TodoList.uuid, TodoList.id, is_gone).where(which)


def _mark(rows: sa.Select[*tuple[Any, ...]], key: Any) -> None:
    columns = ["kind", "uuid", "list_id", "is_deleted"]
    db.session.execute(marked(insert(Change).from_select(columns, rows.order_by(key))))
