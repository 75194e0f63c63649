"""Second factors and the codes that stand in for them."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base


class TwoFactor(Base):
    """A user's TOTP secret, encrypted; it counts once a first code has confirmed it."""

    __tablename__ = "two_factor"

    user_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    secret: Mapped[bytes]
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int | None] = mapped_column(sa.BigInteger)
    """Time step of the last code that was taken: none is taken twice."""
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())


class RecoveryCode(Base):
    """Works once in place of a TOTP code."""

    __tablename__ = "recovery_codes"
    __table_args__ = (sa.UniqueConstraint("user_id", "digest"),)

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    digest: Mapped[bytes]
    used_at: Mapped[datetime | None]
