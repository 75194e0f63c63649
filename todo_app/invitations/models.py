"""Offers to join a company."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin

PENDING = "pending"
EXPIRED = "expired"
ACCEPTED = "accepted"
REVOKED = "revoked"
STATES = (PENDING, EXPIRED, ACCEPTED, REVOKED)
"""What can have become of an invitation."""


class Invitation(IdMixin, TimestampMixin, VersionMixin, Base):
    """An offer to join a company, good until it is accepted, revoked, or has expired."""

    __tablename__ = "invitations"
    __table_args__ = (
        sa.Index(
            "uq_invitations_email",
            sa.text("lower(email)"),
            unique=True,
            postgresql_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
    )

    email: Mapped[str]
    role_id: Mapped[int] = mapped_column(sa.ForeignKey("roles.id"), index=True)
    invited_by_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    language: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
