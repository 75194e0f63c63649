"""Tasks that are about to change: locked, and then looked at.

Locks are taken in one order: lists by their keys, then tags, then tasks by their keys. Whoever
changes what is in a list, or its order or tree, holds the list alone; others write tasks of it side
by side.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from todo_app.activity.changes import changed
from todo_app.activity.service import record
from todo_app.database import Versions, db
from todo_app.errors import InvalidInputError, NotFoundError, PreconditionFailedError
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import NO_SUCH_LIST, check_open, check_rank, rank
from todo_app.todos.details import find_tags
from todo_app.todos.models import WRITE, Task, TodoList
from todo_app.todos.shown import NO_SUCH_TASK

ATTEMPTS = 5
"""A task that moves on to another list each time that it is about to be locked is no accident."""


def lock_task(
    actor: CurrentUser,
    task_uuid: uuid.UUID,
    versions: Versions = None,
    *,
    alone: bool = False,
    target: uuid.UUID | None = None,
    tags: Collection[uuid.UUID] = (),
    in_trash: bool = False,
) -> Task:
    """A task that nobody else changes until the transaction ends, in a list that stays.

    Args:
        actor: who is about to change it.
        task_uuid: the task.
        versions: the versions that the change may start from.
        alone: whether nobody else changes what is in the list meanwhile, or its order.
        target: another list that is needed as well.
        tags: tags that are needed as well.
        in_trash: whether a task in the trash will do, too.

    Raises:
        NotFoundError: there is no such task, or it is not for the actor to see.
        ForbiddenError: it is, and they may not write in its list.
        InvalidInputError: there is no such other list, or tag.
        FolderError, ListArchivedError: nobody may write there.
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    is_there = sa.true() if in_trash else Task.deleted_at.is_(None)
    for _ in range(ATTEMPTS):
        list_id = db.session.scalar(sa.select(Task.list_id).where(Task.uuid == task_uuid, is_there))
        if list_id is None:
            break
        held = hold_lists(actor, [list_id], target, alone=alone)
        if list_id not in held:
            break
        if tags:
            find_tags(tags)
        found = sa.select(Task).where(Task.uuid == task_uuid, Task.list_id == list_id, is_there)
        task = db.session.scalars(
            found.with_for_update(key_share=True).execution_options(populate_existing=True)
        ).one_or_none()
        if task is not None:
            if versions is not None and task.version not in versions:
                raise PreconditionFailedError
            return task
    raise NotFoundError(NO_SUCH_TASK)


def hold_lists(
    actor: CurrentUser,
    keys: Collection[int],
    target: uuid.UUID | None = None,
    *,
    alone: bool,
) -> dict[int, uuid.UUID]:
    """Lists in which `actor` may write tasks, which stays so until the transaction ends.

    Args:
        actor: who.
        keys: of lists; those that are not there, or not for the actor to see, are left out.
        target: one more, which has to be there.
        alone: whether nobody else changes what is in them, or their order.

    Returns:
        Their keys, with what clients call them.

    Raises:
        ForbiddenError, FolderError, ListArchivedError: nothing may be written in one of them.
        InvalidInputError: there is no such `target`.
    """
    which = sa.or_(TodoList.id.in_(keys), TodoList.uuid == target) if target else None
    wanted = sa.select(TodoList.id, TodoList.uuid, TodoList.kind, TodoList.archived_at).where(
        TodoList.id.in_(keys) if which is None else which, TodoList.deleted_at.is_(None)
    )
    lock: dict[str, Any] = {"of": TodoList, "key_share": True, "read": not alone}
    rows = db.session.execute(wanted.order_by(TodoList.id).with_for_update(**lock)).all()
    # After the locks, so that it is what holds now.
    now = sa.select(TodoList.id, rank(actor)).where(TodoList.id.in_([row.id for row in rows]))
    ranks: dict[int, int] = dict(db.session.execute(now).all())
    held = {row.id: row.uuid for row in rows if ranks[row.id]}
    if target is not None and target not in held.values():
        raise InvalidInputError(errors={"json": {"list_uuid": [NO_SUCH_LIST]}})
    for row in rows:
        if ranks[row.id]:
            check_rank(ranks[row.id], WRITE)
            check_open(row.kind, row.archived_at)
    return held


def lock_rows(which: sa.ColumnElement[bool]) -> list[Task]:
    """Tasks that nobody else changes until the transaction ends, in the order of their keys."""
    found = sa.select(Task).where(which).order_by(Task.id).with_for_update(key_share=True)
    return list(db.session.scalars(found.execution_options(populate_existing=True)))


def tell(
    actor: CurrentUser | None, action: str, task: Task, told: dict[str, tuple[Any, Any]]
) -> None:
    """Put a change of a task into its timeline, and mark it for clients that sync."""
    record(actor, action, list_id=task.list_id, task_id=task.id, changes=told)
    is_gone = task.deleted_at is not None
    changed("task", task.uuid, list_id=task.list_id, deleted=is_gone)
