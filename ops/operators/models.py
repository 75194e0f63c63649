"""Operators of the service, and what they did. Both in the control plane."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base


class Operator(Base):
    """Somebody, or some program, that runs the service with a token."""

    __tablename__ = "operators"
    __table_args__ = ({"schema": "public"},)

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    token_digest: Mapped[bytes] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditEntry(Base):
    """One use of an operator's token. The API may add entries and cannot change them."""

    __tablename__ = "operator_audit"
    __table_args__ = ({"schema": "public", "implicit_returning": False},)

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=sa.func.now(), index=True)
    operator: Mapped[str]
    action: Mapped[str]
    target: Mapped[str | None]
    allowed: Mapped[bool]
    address: Mapped[str | None]
    request_id: Mapped[str | None]
