"""The timeline of changes, and what a client has to fetch since it last asked."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base


class Activity(Base):
    """One change: who, when, and of each field what it was and what it is."""

    __tablename__ = "activity"
    __table_args__ = (
        sa.Index("ix_activity_at_id", "at", "id"),
        sa.Index("ix_activity_untold", "id", postgresql_where=sa.text("NOT is_told")),
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    actor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), index=True)
    list_id: Mapped[int] = mapped_column(sa.ForeignKey("lists.id", ondelete="CASCADE"), index=True)
    task_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("tasks.id", ondelete="CASCADE"), index=True
    )
    action: Mapped[str]
    changes: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    is_told: Mapped[bool] = mapped_column(server_default=sa.false())
    """Whether the people who want to know of it have been told by mail."""


class Change(Base):
    """Which transaction changed a thing, of a list, last.

    All transactions below a snapshot's xmin have ended, so what they changed is all there is to
    see; a reader takes those only, and asks from there on the next time. Nothing is ever missed,
    whatever the order of commits.
    """

    __tablename__ = "changes"
    __table_args__ = (
        sa.Index("ix_changes_transaction", "transaction", "kind", "uuid", "list_id"),
        sa.Index("ix_changes_list_id", "list_id"),
        sa.Index("ix_changes_at", "at", postgresql_where=sa.text("is_deleted")),
    )

    kind: Mapped[str] = mapped_column(primary_key=True)
    uuid: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    transaction: Mapped[int] = mapped_column(
        sa.BigInteger, server_default=sa.text("(pg_current_xact_id()::text)::bigint")
    )
    list_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    """Whose readers may know of it, or 0 where all may; the list may be gone.

    A thing that has moved to another list has a row for each: those who see the first alone have to
    know that it is gone.
    """
    is_deleted: Mapped[bool] = mapped_column(server_default=sa.false())
    at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
