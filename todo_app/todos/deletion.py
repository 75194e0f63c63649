"""Putting tasks into the trash, and bringing them back."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from todo_app.activity.service import record
from todo_app.database import Versions, db
from todo_app.tenancy import CurrentUser
from todo_app.todos.locks import lock_rows, lock_task
from todo_app.todos.marks import mark_tasks, mark_things
from todo_app.todos.models import Task
from todo_app.todos.subtasks import below


def delete(actor: CurrentUser, task_uuid: uuid.UUID, versions: Versions) -> Task:
    """Put a task into the trash, with its subtasks.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError, PreconditionFailedError: as
            of `locks.lock_task`.
    """
    task = lock_task(actor, task_uuid, versions, alone=True)
    keys = below(task.id, Task.deleted_at.is_(None))
    _write(actor, "task.deleted", keys, sa.func.now())
    return task


def restore(actor: CurrentUser, task_uuid: uuid.UUID, versions: Versions) -> Task:
    """Bring a task back from the trash, with the subtasks that were deleted together with it.

    It is where it was, or not inside any other where that one is in the trash. One that is not in
    the trash stays as it is.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError, PreconditionFailedError: as
            of `locks.lock_task`.
    """
    task = lock_task(actor, task_uuid, versions, alone=True, in_trash=True)
    if task.deleted_at is None:
        return task
    keys = below(task.id, Task.deleted_at == task.deleted_at)
    is_there = sa.select(Task.deleted_at.is_(None)).where(Task.id == task.parent_id)
    if task.parent_id is not None and not db.session.scalar(is_there):
        task.parent_id = None
        db.session.flush()
    _write(actor, "task.restored", keys, None)
    mark_things(keys, task.list_id)
    return task


def _write(actor: CurrentUser, action: str, keys: list[int], deleted_at: object) -> None:
    tasks = lock_rows(Task.id.in_(keys))
    for task in tasks:
        task.deleted_at = deleted_at  # type: ignore[assignment]
    db.session.flush()
    for task in tasks:
        record(actor, action, list_id=task.list_id, task_id=task.id)
    mark_tasks(Task.id.in_(keys))
