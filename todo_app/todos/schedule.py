"""When a task is due: days and times on the clocks of one place, and how it recurs."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.errors import InvalidInputError
from todo_app.tenancy import CurrentUser
from todo_app.todos import recurrence
from todo_app.todos.models import Task
from todo_app.todos.rrule import Moment

FIELDS = frozenset({"start_at", "due_at", "is_all_day", "timezone", "recurrence", "recurs_from"})
_BEGINS_ANEW = frozenset({"recurrence", "is_all_day", "timezone"})

NO_DUE_DATE = "A task that recurs has a due date."
STARTS_LATE = "A task does not start after it is due."


def settle(actor: CurrentUser, task: Task, changed: set[str]) -> None:
    """Bring the dates, the time zone and the rule of a task into line with each other.

    Args:
        actor: whose time zone a task gets that needs one and has none.
        task: with its new values.
        changed: the names of those that are new.

    Raises:
        InvalidInputError: the task would start after it is due, or recur without being due.
        RecurrenceError: the rule cannot be used.
    """
    if not changed & FIELDS:
        return
    if task.timezone is None and (task.is_all_day or task.recurrence):
        task.timezone = db.session.scalar(sa.select(User.timezone).where(User.id == actor.id))
    zone = zone_of(task)
    if task.is_all_day:
        task.start_at, task.due_at = (
            at and time_of(at.astimezone(zone).date(), zone) for at in (task.start_at, task.due_at)
        )
    if task.start_at and task.due_at and task.start_at > task.due_at:
        raise _wrong("due_at" if "due_at" in changed else "start_at", STARTS_LATE)
    if task.recurrence is None:
        task.recurs_from = task.recurs_since = task.recurs_at = None
        return
    if task.due_at is None:
        raise _wrong("recurrence" if "recurrence" in changed else "due_at", NO_DUE_DATE)
    task.recurs_from = task.recurs_from or recurrence.FROM_DUE
    if changed & _BEGINS_ANEW:
        moment = moment_of(task.due_at, task)
        task.recurrence = str(recurrence.accept(task.recurrence, moment, zone))
        task.recurs_since = task.recurs_at = task.due_at


def zone_of(task: Task) -> ZoneInfo:
    """On whose clocks a task is due."""
    return ZoneInfo(task.timezone or "UTC")


def moment_of(at: datetime, task: Task) -> Moment:
    """A time of a task as its rule counts: a date where the task lasts all day."""
    return at.astimezone(zone_of(task)).date() if task.is_all_day else at


def time_of(moment: Moment, zone: ZoneInfo) -> datetime:
    """A time as it is kept: of a date its first moment."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(), zone)
    return moment.astimezone(UTC)


def shifted(at: datetime | None, old: datetime, new: datetime, zone: ZoneInfo) -> datetime | None:
    """A time as far from `new` as it was from `old`, on the clocks of a zone.

    None where it was none, or is beyond the calendar.
    """
    if at is None:
        return None
    walls = [moment.astimezone(zone).replace(tzinfo=None) for moment in (at, old, new)]
    try:
        wall = walls[0] + (walls[2] - walls[1])
        moved = wall.replace(tzinfo=zone).astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return moved if datetime.min.year < moved.year < datetime.max.year else None


def _wrong(field: str, problem: str) -> InvalidInputError:
    return InvalidInputError(errors={"json": {field: [problem]}})


def told(values: dict[str, Any], task: Task) -> dict[str, tuple[Any, Any]]:
    """Of values from before, those that are others now: what they were, and what they are."""
    return {
        name: (old, getattr(task, name))
        for name, old in values.items()
        if old != getattr(task, name)
    }
