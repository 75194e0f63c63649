"""Reminders of tasks: each person's own, at a moment or some time before the task is due.

`next_at` says when one is sent; it follows the task's due date, and is null when it has been sent
or has nothing to follow.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from todo_app.activity.changes import changed
from todo_app.database import db
from todo_app.errors import ConflictError, InvalidInputError, NotFoundError
from todo_app.notifications.service import call_at
from todo_app.pagination import Page, PageQuery, PageRequest
from todo_app.reminders.models import Reminder
from todo_app.reminders.sending import follow
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import visible_lists
from todo_app.todos.models import Task
from todo_app.todos.shown import NO_SUCH_TASK, Shown

MAX_REMINDERS = 20
"""Of one person for one task."""

NO_SUCH_REMINDER = "There is no such reminder."
IN_PAST = "This is in the past."

ORDER_BY = {"next_at": Reminder.next_at, "created_at": Reminder.created_at}


class TooManyRemindersError(ConflictError):
    """Somebody has as many reminders of a task as they may have."""

    code = "too-many-reminders"
    detail = f"You may have {MAX_REMINDERS} reminders of a task."


def rows(actor: CurrentUser) -> sa.Select[*tuple[Any, ...]]:
    """The actor's reminders of all tasks that they may see."""
    return (
        sa.select(
            Reminder.uuid,
            Reminder.at,
            Reminder.seconds_before,
            Reminder.next_at,
            Reminder.sent_at,
            Reminder.version,
            Reminder.created_at,
            Task.uuid.label("task_uuid"),
        )
        .join(Task, Task.id == Reminder.task_id)
        .where(
            Reminder.user_id == actor.id,
            Task.deleted_at.is_(None),
            Task.list_id.in_(visible_lists(actor)),
        )
    )


def page_of_reminders(
    actor: CurrentUser, request: PageRequest, task_uuid: uuid.UUID | None
) -> Page:
    """A page of the actor's reminders, of one task where it is given."""
    shown = rows(actor)
    if task_uuid is not None:
        shown = shown.where(Task.uuid == task_uuid)
    return PageQuery(shown, ORDER_BY, Reminder.id).fetch(request)


def get_reminder(actor: CurrentUser, reminder_uuid: uuid.UUID) -> Shown:
    """One reminder as it is shown.

    Raises:
        NotFoundError: the actor has no such reminder.
    """
    row = db.session.execute(rows(actor).where(Reminder.uuid == reminder_uuid)).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_REMINDER)
    return Shown(**row._asdict())


def add_reminder(
    actor: CurrentUser,
    task_uuid: uuid.UUID,
    at: datetime | None = None,
    seconds_before: int | None = None,
) -> Shown:
    """Remind the actor of a task.

    Args:
        actor: whom.
        task_uuid: of which task.
        at: when; or
        seconds_before: how long before the task is due, whenever that will be.

    Raises:
        InvalidInputError: there is no such task for the actor to see, or the moment is over.
        TooManyRemindersError
    """
    # The task is held: its due date does not change, and no other reminder is added, meanwhile.
    found = sa.select(Task).where(
        Task.uuid == task_uuid, Task.deleted_at.is_(None), Task.list_id.in_(visible_lists(actor))
    )
    task = db.session.scalars(found.with_for_update(of=Task, key_share=True)).one_or_none()
    if task is None:
        raise InvalidInputError(errors={"json": {"task_uuid": [NO_SUCH_TASK]}})
    if at is not None and at <= datetime.now(UTC):
        raise InvalidInputError(errors={"json": {"at": [IN_PAST]}})
    is_one = (Reminder.task_id == task.id) & (Reminder.user_id == actor.id)
    number = db.session.scalar(sa.select(sa.func.count()).where(is_one))
    if (number or 0) >= MAX_REMINDERS:
        raise TooManyRemindersError
    reminder = Reminder(
        task_id=task.id, user_id=actor.id, at=at, seconds_before=seconds_before, next_at=at
    )
    db.session.add(reminder)
    db.session.flush()
    if at is None:
        follow(task.id)
    else:
        call_at(at)
    changed("reminder", reminder.uuid, list_id=task.list_id)
    return get_reminder(actor, reminder.uuid)


def delete_reminder(actor: CurrentUser, reminder_uuid: uuid.UUID) -> None:
    """Take a reminder away.

    Raises:
        NotFoundError: the actor has no such reminder.
    """
    get_reminder(actor, reminder_uuid)
    gone = (
        sa.delete(Reminder)
        .where(Reminder.uuid == reminder_uuid, Reminder.user_id == actor.id)
        .returning(Reminder.task_id)
    )
    task_id = db.session.scalar(gone.execution_options(synchronize_session=False))
    list_id = db.session.scalar(sa.select(Task.list_id).where(Task.id == task_id))
    changed("reminder", reminder_uuid, list_id=list_id, deleted=True)
