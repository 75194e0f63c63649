"""Scheduled jobs that fire once, whatever the number of beats.

Beat puts the slot that a firing belongs to into the message. The worker takes the row
(job, slot) before it runs the job; a second message for the same slot finds it taken.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from celery.beat import PersistentScheduler, ScheduleEntry
from celery.schedules import schedule as interval
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, db

SLOT_HEADER = "scheduled_for"
JOB_HEADER = "scheduled_job"
KEPT_FOR = timedelta(days=7)


class Firing(Base):
    """A scheduled job that has been taken by a worker."""

    __tablename__ = "firings"
    __table_args__ = ({"schema": "public"},)

    job: Mapped[str] = mapped_column(primary_key=True)
    scheduled_for: Mapped[datetime] = mapped_column(primary_key=True)
    task_id: Mapped[str]
    fired_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())


def slot(schedule: Any, now: datetime) -> datetime:
    """The moment that a firing at `now` is for; the same for every beat that runs.

    An interval's slots are counted from the epoch, a crontab's are whole minutes.
    """
    seconds = 60.0
    if type(schedule) is interval:
        seconds = schedule.run_every.total_seconds()
    return datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC)


class SlotScheduler(PersistentScheduler):  # type: ignore[misc]
    """Beat's scheduler, which tells each message the slot that it is for."""

    def apply_async(self, entry: ScheduleEntry, *args: Any, **kwargs: Any) -> Any:
        """Send the task of `entry`."""
        headers = {
            JOB_HEADER: entry.name,
            SLOT_HEADER: slot(entry.schedule, datetime.now(UTC)).isoformat(),
        }
        entry.options = {**entry.options, "headers": headers}
        return super().apply_async(entry, *args, **kwargs)


def take(job: str, scheduled_for: datetime, task_id: str) -> bool:
    """Take a firing for one task.

    Returns:
        Whether it is this task's. A message that is delivered again, because its worker died,
        finds the firing still its own.
    """
    statement = insert(Firing).values(job=job, scheduled_for=scheduled_for, task_id=task_id)
    statement = statement.on_conflict_do_update(
        index_elements=["job", "scheduled_for"],
        set_={"fired_at": sa.func.now()},
        where=Firing.task_id == task_id,
    )
    return db.session.execute(statement.returning(Firing.job)).first() is not None


def sweep() -> int:
    """Delete firings of long ago.

    Returns:
        How many.
    """
    old = Firing.scheduled_for < sa.func.now() - KEPT_FOR
    return len(db.session.execute(sa.delete(Firing).where(old).returning(Firing.job)).all())
