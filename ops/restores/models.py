"""Schemas that a restore has put aside."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base


class ReplacedSchema(Base):
    """What was live before a restore, kept for `undo`."""

    __tablename__ = "replaced_schemas"
    __table_args__ = (
        sa.Index("ix_replaced_schemas_tenant_id", "tenant_id"),
        {"schema": "public"},
    )

    schema_name: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(
        sa.BigInteger, sa.ForeignKey("public.tenants.id", ondelete="CASCADE")
    )
    revision: Mapped[str]
    archive: Mapped[str]
    replaced_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    keep_until: Mapped[datetime]
