"""The catalogue of archives, and the tenants' keys."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base

RUNNING = "running"
COMPLETE = "complete"
INCOMPLETE = "incomplete"


class BackupSet(Base):
    """Archives of many tenants that were asked for at once.

    `is_whole` says that it was asked for all tenants. `snapshot` is that of a consistent set, in
    which all archives show one moment. `failures` says by slug why a tenant is not in it.
    """

    __tablename__ = "backup_sets"
    __table_args__ = (
        sa.CheckConstraint("state IN ('running', 'complete', 'incomplete')", name="state"),
        {"schema": "public"},
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default=RUNNING)
    is_consistent: Mapped[bool] = mapped_column(server_default=sa.false())
    is_whole: Mapped[bool] = mapped_column(server_default=sa.false())
    snapshot: Mapped[str | None]
    run_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    actor: Mapped[str]
    failures: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    finished_at: Mapped[datetime | None]


class ArchiveRow(Base):
    """One tenant's archive that lies whole in the storage.

    `name` is its object's. `error` is what the last verification found, where it found something.
    """

    __tablename__ = "archives"
    __table_args__ = (
        sa.UniqueConstraint("set_id", "tenant_uuid"),
        sa.Index("ix_archives_tenant_uuid", "tenant_uuid", "taken_at"),
        {"schema": "public"},
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    set_id: Mapped[int] = mapped_column(
        sa.BigInteger, sa.ForeignKey("public.backup_sets.id", ondelete="CASCADE")
    )
    tenant_uuid: Mapped[uuid.UUID]
    slug: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    revision: Mapped[str]
    rows: Mapped[int] = mapped_column(sa.BigInteger)
    bytes: Mapped[int] = mapped_column(sa.BigInteger)
    sha256: Mapped[str]
    is_encrypted: Mapped[bool]
    taken_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    proven_at: Mapped[datetime | None]
    error: Mapped[str | None]


class TenantKey(Base):
    """What a tenant's archives are encrypted to.

    `wrapped` is the tenant's identity, encrypted to the operators; once it is forgotten, nobody can
    open these archives any more.
    """

    __tablename__ = "tenant_keys"
    __table_args__ = ({"schema": "public"},)

    tenant_uuid: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    recipient: Mapped[str]
    wrapped: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    forgotten_at: Mapped[datetime | None]
