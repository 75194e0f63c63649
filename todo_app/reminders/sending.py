"""When reminders are sent, and what they say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.languages import format_time
from todo_app.mails import Recipient, send_all
from todo_app.notifications.service import call_at
from todo_app.permissions.models import Role
from todo_app.reminders.models import Reminder
from todo_app.tenancy import current_tenant
from todo_app.todos.details import may_see
from todo_app.todos.marks import mark_reminders
from todo_app.todos.models import Task, TodoList
from todo_app.todos.workflow import OPEN

MAX_AT_ONCE = 1_000


def follow(task_id: int) -> None:
    """Let the reminders that count from a task's due date follow it; those that are over do not."""
    due_at = sa.select(Task.due_at).where(Task.id == task_id).scalar_subquery()
    moment = due_at - sa.func.make_interval(0, 0, 0, 0, 0, 0, Reminder.seconds_before)
    following = sa.and_(Reminder.task_id == task_id, Reminder.seconds_before.is_not(None))
    followed = db.session.scalars(
        sa.update(Reminder)
        .where(following)
        .values(
            next_at=sa.case((moment > sa.func.now(), moment)),
            version=Reminder.version + 1,
        )
        .returning(Reminder.id)
        .execution_options(synchronize_session=False)
    )
    if followed.first() is None:
        return
    mark_reminders(following)
    soonest = sa.select(sa.func.min(Reminder.next_at)).where(Reminder.task_id == task_id)
    next_at = db.session.scalar(soonest)
    if next_at is not None:
        call_at(next_at)


def remind() -> int:
    """Mail the reminders that are due; of tasks that are closed or gone none is sent.

    Returns:
        How many were due.
    """
    due = (
        sa.select(Reminder.id)
        .where(Reminder.next_at <= sa.func.now())
        .order_by(Reminder.next_at)
        .limit(MAX_AT_ONCE)
    )
    keys = list(db.session.scalars(due.with_for_update(skip_locked=True)))
    if not keys:
        return 0
    db.session.execute(
        sa.update(Reminder)
        .where(Reminder.id.in_(keys))
        .values(next_at=None, sent_at=sa.func.now(), version=Reminder.version + 1)
        .execution_options(synchronize_session=False)
    )
    mark_reminders(Reminder.id.in_(keys))
    symbol = sa.case((Task.number > 0, TodoList.symbol + "-" + sa.cast(Task.number, sa.Text)))
    wanted = (
        sa.select(
            Task.title,
            Task.due_at,
            symbol.label("symbol"),
            User.first_name,
            User.email,
            User.language,
            User.timezone,
        )
        .select_from(Reminder)
        .join(Task, Task.id == Reminder.task_id)
        .join(TodoList, TodoList.id == Task.list_id)
        .join(User, User.id == Reminder.user_id)
        .join(Role, Role.id == User.role_id)
        .where(
            Reminder.id.in_(keys),
            Task.deleted_at.is_(None),
            Task.status.in_(OPEN),
            TodoList.deleted_at.is_(None),
            User.is_active,
            User.deleted_at.is_(None),
            Role.permissions.contains(["tasks:read"]),
            may_see(Task.list_id),
        )
    )
    send_all(_mail(row) for row in db.session.execute(wanted))
    return len(keys)


def _mail(row: Any) -> Recipient:
    title = f"{row.symbol} {row.title}" if row.symbol else row.title
    lines = [title]
    if row.due_at is not None:
        lines.append(format_time(row.due_at, row.language, row.timezone))
    values = {
        "name": row.first_name,
        "company": current_tenant().name,
        "task": title,
        "lines": lines,
    }
    return Recipient("reminder", row.email, row.language, row.timezone, values)


def next_due() -> datetime | None:
    """When the next reminder of the tenant is to be sent; None for never."""
    moment: datetime | None = db.session.scalar(sa.select(sa.func.min(Reminder.next_at)))
    return moment
