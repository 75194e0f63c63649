"""People of one tenant."""

from __future__ import annotations

from datetime import datetime, time

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin
from todo_app.permissions.models import Role

LANGUAGES = ("de", "en-US", "fr", "pl")

NOTIFICATION_LEVELS = ("all", "mine", "none")
"""Of what a user is told: of all, of what is assigned to them, or of nothing."""


class User(IdMixin, TimestampMixin, VersionMixin, Base):
    """A person who can sign in. A deleted one keeps its row, so that its work keeps its author.

    One who has registered a company, and has not yet shown that the address is theirs, is not
    active. What a deleted person's row says of them is wiped when they are erased.
    """

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
    notification_level: Mapped[str] = mapped_column(server_default="all")
    quiet_from: Mapped[time | None]
    quiet_until: Mapped[time | None]
    """Between these hours of the user's clock no mail tells them of changes; both, or neither."""
    deleted_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]

    role: Mapped[Role] = relationship(lazy="joined", innerjoin=True)


class Avatar(Base):
    """A user's picture."""

    __tablename__ = "avatars"

    user_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    content: Mapped[bytes]
    media_type: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(
        server_default=sa.func.now(), onupdate=sa.func.now()
    )


User.has_avatar = column_property(
    sa.exists().where(Avatar.user_id == User.id).correlate_except(Avatar)
)
