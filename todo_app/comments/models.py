"""What people say about tasks."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, TimestampMixin, VersionMixin


class Comment(IdMixin, TimestampMixin, VersionMixin, Base):
    """A comment; a deleted one keeps its place and loses its text."""

    __tablename__ = "comments"

    task_id: Mapped[int] = mapped_column(sa.ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    author_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    text: Mapped[str]
    deleted_at: Mapped[datetime | None]


class Mention(Base):
    """That a comment names somebody."""

    __tablename__ = "mentions"

    comment_id: Mapped[int] = mapped_column(
        sa.ForeignKey("comments.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
