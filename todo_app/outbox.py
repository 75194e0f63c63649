"""What must happen after a commit: written in the same transaction, delivered by the ops plane."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, db

MAIL = "mail"


class OutboxMessage(Base):
    """One thing to deliver. Tenants may insert these and never read them."""

    __tablename__ = "outbox"
    __table_args__ = (
        sa.Index(
            "ix_outbox_available_at",
            "available_at",
            postgresql_where=sa.text("delivered_at IS NULL AND failed_at IS NULL"),
        ),
        sa.Index(
            "ix_outbox_failed_at",
            "failed_at",
            postgresql_where=sa.text("failed_at IS NOT NULL"),
        ),
        {"schema": "public", "implicit_returning": False},
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]]
    attempts: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    available_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    delivered_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    error: Mapped[str | None]


def send_mail(to: str, subject: str, text: str) -> None:
    """Have a mail sent once the current transaction has been committed.

    Args:
        to: the address.
        subject: made one line where it is not, for it may hold a person's name.
        text: the body, plain text.
    """
    payload = {"to": to, "subject": " ".join(subject.split()), "text": text}
    # Inline: nothing of the row is read back, for a tenant's role may not read the outbox.
    statement = sa.insert(OutboxMessage).values(kind=MAIL, payload=payload).inline()
    db.session.execute(statement)
