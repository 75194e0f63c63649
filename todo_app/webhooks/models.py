"""Where a company wants to be told of changes, and what it was told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin

PENDING, DELIVERED, FAILED = STATES = ("pending", "delivered", "failed")
"""What becomes of a message."""

GONE, FAILING = OFF_REASONS = ("gone", "failing")
"""Why the service has switched a webhook off: its receiver asked for it by 410, or took nothing."""


class Webhook(IdMixin, TimestampMixin, VersionMixin, Base):
    """An address that gets signed messages; it is switched off after too many failures."""

    __tablename__ = "webhooks"

    created_by_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    url: Mapped[str]
    events: Mapped[list[str]]
    secret: Mapped[bytes]
    """Encrypted; so is the former one, which still signs until `former_until`."""
    former_secret: Mapped[bytes | None]
    former_until: Mapped[datetime | None]
    is_active: Mapped[bool] = mapped_column(server_default=sa.true())
    off_reason: Mapped[str | None]
    """One of OFF_REASONS; none where it is on, or people have switched it off."""
    failures: Mapped[int] = mapped_column(server_default="0")
    """Attempts that have failed since the last one that did not."""
    failing_since: Mapped[datetime | None]
    held_until: Mapped[datetime | None]
    """Nothing is sent before: a worker is sending, or the receiver is to be spared."""


class WebhookDelivery(IdMixin, Base):
    """One message to one webhook, and how it went."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        sa.Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
        sa.Index(
            "ix_webhook_deliveries_webhook_id_next_at",
            "webhook_id",
            "next_at",
            postgresql_where=sa.text("state = 'pending'"),
        ),
    )

    webhook_id: Mapped[int] = mapped_column(sa.ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str]
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(server_default=PENDING)
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime | None]
    status: Mapped[int | None] = mapped_column(sa.SmallInteger)
    answer: Mapped[str | None]
    error: Mapped[str | None]
    attempted_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    ended_at: Mapped[datetime | None]
