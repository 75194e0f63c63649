"""People of one tenant, what they may do, and how they sign in."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin

MASTER_ADMIN = "master_admin"
ADMIN = "admin"
USER = "user"
READ_ONLY = "read_only"


class Role(IdMixin, Base):
    """A named set of permissions. The seeded ones come with the schema."""

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    permissions: Mapped[list[str]]


class User(IdMixin, TimestampMixin, VersionMixin, Base):
    """A person who can sign in. A deleted one keeps its row, so that its work keeps its author."""

    __tablename__ = "users"
    __table_args__ = (
        sa.Index(
            "uq_users_email",
            sa.text("lower(email)"),
            unique=True,
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
    )

    first_name: Mapped[str]
    last_name: Mapped[str]
    email: Mapped[str]
    phone: Mapped[str | None]
    password_hash: Mapped[str]
    is_active: Mapped[bool] = mapped_column(server_default=sa.true())
    is_verified: Mapped[bool] = mapped_column(server_default=sa.false())
    role_id: Mapped[int] = mapped_column(sa.ForeignKey("roles.id"), index=True)
    language: Mapped[str] = mapped_column(server_default="en-US")
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    deleted_at: Mapped[datetime | None]

    role: Mapped[Role] = relationship(lazy="joined", innerjoin=True)


class AccessToken(IdMixin, Base):
    """A signed-in session; only the digest of its secret is known here."""

    __tablename__ = "access_tokens"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    expires_at: Mapped[datetime]
    user_agent: Mapped[str | None]
