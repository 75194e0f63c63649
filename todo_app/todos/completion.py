"""Statuses of tasks as they change."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from todo_app.database import db
from todo_app.todos import workflow
from todo_app.todos.models import Task
from todo_app.todos.workflow import DONE


def set_status(task: Task, status: str) -> None:
    """Let a task have a status; it follows when it was completed.

    Raises:
        StatusTransitionError: it does not go there from the one that it has.
    """
    workflow.check(task.status, status)
    if status != task.status:
        task.completed_at = sa.func.now() if status == DONE else None
        task.status = status


def is_recurring(task_uuid: uuid.UUID) -> bool:
    """Whether a task makes another when it is completed."""
    rule = sa.select(Task.recurrence).where(Task.uuid == task_uuid)
    return db.session.scalar(rule) is not None
