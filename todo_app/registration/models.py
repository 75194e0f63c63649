"""Secrets that come by mail, and who may be a member where."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base

ACTIVATION = "activation"
ADDRESS = "address"
PASSWORD_RESET = "password_reset"  # noqa: S105 (a purpose)
PURPOSES = (ACTIVATION, ADDRESS, PASSWORD_RESET)


class OneTimeToken(Base):
    """A secret in somebody's mailbox. Using it deletes it; a user has one for each purpose."""

    __tablename__ = "one_time_tokens"
    __table_args__ = (sa.UniqueConstraint("user_id", "purpose"),)

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    expires_at: Mapped[datetime]


class Member(Base):
    """In the control plane: in which tenant an address may have an account.

    A hint that log-in by address alone follows, and never a proof: who is missing names the tenant,
    and who has left is found to be gone.
    """

    __tablename__ = "members"
    __table_args__ = ({"schema": "public"},)

    email_digest: Mapped[bytes] = mapped_column(primary_key=True)
    schema_name: Mapped[str] = mapped_column(primary_key=True, index=True)
