"""What the drift check found last."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base


class TenantCheck(Base):
    """How one tenant's schema differed from its revision when it was checked; empty: not at all."""

    __tablename__ = "tenant_checks"
    __table_args__ = ({"schema": "public"},)

    tenant_id: Mapped[int] = mapped_column(
        sa.BigInteger,
        sa.ForeignKey("public.tenants.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    revision: Mapped[str]
    differences: Mapped[list[str]]
    checked_at: Mapped[datetime]
