"""Filters that are kept."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin
from todo_app.todos.models import PositionMixin


class SavedFilter(IdMixin, PositionMixin, TimestampMixin, VersionMixin, Base):
    """A smart list: a filter with a title, for its owner or for all of the company."""

    __tablename__ = "filters"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    title: Mapped[str]
    filter: Mapped[str]
    is_shared: Mapped[bool] = mapped_column(server_default=sa.false())
