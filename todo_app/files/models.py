"""Files that belong to tasks; their contents lie in a storage of their own."""

from __future__ import annotations

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin


class Content(Base):
    """What files hold, once for all equal ones.

    `key` is never given to another content, so whoever deletes an object takes nothing away from
    anybody who is just storing the same bytes. `unused_since` says that no file refers to it.
    """

    __tablename__ = "contents"

    sha256: Mapped[bytes] = mapped_column(primary_key=True)
    key: Mapped[uuid.UUID] = mapped_column(unique=True)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    unused_since: Mapped[datetime | None]


class Attachment(IdMixin, Base):
    """One file of a task."""

    __tablename__ = "attachments"

    task_id: Mapped[int] = mapped_column(sa.ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    created_by_id: Mapped[int] = mapped_column(
        sa.ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    sha256: Mapped[bytes] = mapped_column(sa.ForeignKey("contents.sha256"), index=True)
    name: Mapped[str]
    media_type: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
