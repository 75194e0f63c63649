"""Lists and their tasks."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin

NEW = "new"
DONE = "done"
STATUSES = (NEW, DONE)
"""Text, so that a workflow of more steps is more names here and no change of type."""

LOWEST_PRIORITY = 0
HIGHEST_PRIORITY = 5


class TodoList(IdMixin, TimestampMixin, VersionMixin, Base):
    """A named list of tasks."""

    __tablename__ = "lists"

    title: Mapped[str]
    description: Mapped[str | None]
    color: Mapped[str | None]
    created_by_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)


class Task(IdMixin, TimestampMixin, VersionMixin, Base):
    """Something to do, in one list."""

    __tablename__ = "tasks"
    __table_args__ = (
        sa.CheckConstraint("priority BETWEEN 0 AND 5", name="priority"),
        sa.CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name="completed"),
    )

    list_id: Mapped[int] = mapped_column(sa.ForeignKey("lists.id", ondelete="CASCADE"), index=True)
    title: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=NEW)
    priority: Mapped[int] = mapped_column(sa.SmallInteger, server_default="0")
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    completed_at: Mapped[datetime | None]
    created_by_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    assignee_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), index=True)
