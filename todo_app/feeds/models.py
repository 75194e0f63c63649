"""Private addresses of calendars."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, db


class Feed(IdMixin, Base):
    """An address that shows a user's tasks, of all lists or one; its secret is here as a digest."""

    __tablename__ = "feeds"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    list_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("lists.id", ondelete="CASCADE"), index=True
    )
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    last_used_at: Mapped[datetime | None]


def end_feeds(user_id: int) -> None:
    """Make a user's addresses of calendars worth nothing."""
    db.session.execute(sa.delete(Feed).where(Feed.user_id == user_id))
