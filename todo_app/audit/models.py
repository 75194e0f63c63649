"""The record of who did what."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base


class AuditEntry(Base):
    """One thing that somebody did. The API's role can add and read these, and nothing else."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=sa.func.now(), index=True)
    actor_uuid: Mapped[uuid.UUID | None] = mapped_column(index=True)
    """None where nobody was signed in, as when a password is reset by mail."""
    actor_name: Mapped[str]
    action: Mapped[str]
    target_kind: Mapped[str | None]
    target_uuid: Mapped[uuid.UUID | None] = mapped_column(index=True)
    details: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    address: Mapped[str | None]
    user_agent: Mapped[str | None]
    request_id: Mapped[str | None]
