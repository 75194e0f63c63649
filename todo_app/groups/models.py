"""Groups of users."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin


class Group(IdMixin, TimestampMixin, VersionMixin, Base):
    """A named group, such as a department."""

    __tablename__ = "groups"
    __table_args__ = (sa.Index("uq_groups_name", sa.text("lower(name)"), unique=True),)

    name: Mapped[str]
    description: Mapped[str | None]


class GroupMember(Base):
    """That somebody is in a group."""

    __tablename__ = "group_members"

    group_id: Mapped[int] = mapped_column(
        sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
