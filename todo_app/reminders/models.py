"""When somebody wants to be reminded of a task."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin


class Reminder(IdMixin, TimestampMixin, VersionMixin, Base):
    """A moment, or a time before the task is due. `next_at` says when, until it was sent."""

    __tablename__ = "reminders"
    __table_args__ = (
        sa.CheckConstraint("(at IS NULL) <> (seconds_before IS NULL)", name="one"),
        sa.Index(
            "ix_reminders_next_at", "next_at", postgresql_where=sa.text("next_at IS NOT NULL")
        ),
    )

    task_id: Mapped[int] = mapped_column(sa.ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime | None]
    seconds_before: Mapped[int | None] = mapped_column(sa.BigInteger)
    next_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
