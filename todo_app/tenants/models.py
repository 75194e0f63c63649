"""The catalogue of tenants, and what belongs to making one. All in the control plane."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin

PROVISIONING = "provisioning"
ACTIVE = "active"
SUSPENDED = "suspended"
ARCHIVED = "archived"
DELETING = "deleting"
STATES = (PROVISIONING, ACTIVE, SUSPENDED, ARCHIVED, DELETING)


class Tenant(IdMixin, TimestampMixin, VersionMixin, Base):
    """A company, and where its data lies."""

    __tablename__ = "tenants"
    __table_args__ = (
        sa.CheckConstraint(
            "state IN ('provisioning', 'active', 'suspended', 'archived', 'deleting')", name="state"
        ),
        {"schema": "public"},
    )

    slug: Mapped[str] = mapped_column(unique=True)
    schema_name: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    host: Mapped[str | None] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default=PROVISIONING)
    revision: Mapped[str] = mapped_column(index=True)
    tax_id: Mapped[str | None]
    street: Mapped[str | None]
    postal_code: Mapped[str | None]
    city: Mapped[str | None]
    country: Mapped[str | None]
    account_limit: Mapped[int | None]
    """How many people it may have, where that is not what the settings say."""
    is_canary: Mapped[bool] = mapped_column(server_default=sa.false())
    last_proven_restore: Mapped[datetime | None]
    retention: Mapped[dict[str, Any] | None]
    """Archives to keep, where they are not those that the settings say."""


class SpareSchema(Base):
    """A ready schema that waits for its tenant; the digest is that of the script it was made by."""

    __tablename__ = "spare_schemas"
    __table_args__ = ({"schema": "public"},)

    schema_name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())


class SchemaScript(Base):
    """The one prepared SQL script that makes a tenant's schema, roles and privileges included."""

    __tablename__ = "schema_scripts"
    __table_args__ = ({"schema": "public"},)

    revision: Mapped[str] = mapped_column(primary_key=True)
    script: Mapped[str]
    digest: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
