"""What must happen after a commit: written in the same transaction, delivered by the ops plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, db

MAIL = "mail"
PASSWORD_RESET = "password_reset"  # noqa: S105 (a kind of message)
"""Somebody asked for a mail to set a new password. Whether there is such a user is looked up when
this is delivered, so that the answer to the request cannot tell, not even by its time."""
WEBHOOKS = "webhooks"
"""A tenant has something to send to webhooks; the messages themselves are its own."""
NOTICES = "notices"
"""A tenant has people to tell of changes, or to remind; whom, and of what, is its own."""


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
    put(MAIL, _mail(to, subject, text))


def send_mails(mails: Sequence[Mapping[str, str]]) -> None:
    """Have many mails sent, as `send_mail` does it with one.

    Args:
        mails: the arguments of `send_mail`, by name.
    """
    rows = [{"kind": MAIL, "payload": _mail(**mail)} for mail in mails]
    if rows:
        db.session.execute(sa.insert(OutboxMessage).inline(), rows)


def _mail(to: str, subject: str, text: str) -> dict[str, str]:
    return {"to": to, "subject": " ".join(subject.split()), "text": text}


def put(kind: str, payload: dict[str, Any], at: datetime | None = None) -> None:
    """Have a message delivered once the current transaction has been committed.

    Args:
        kind: what it is, which says who delivers it.
        payload: JSON.
        at: not before this; None for at once.
    """
    db.session.execute(message(kind, payload, at))


def message(
    kind: str, payload: dict[str, Any] | sa.BindParameter[Any], at: Any = None
) -> sa.Insert:
    """The statement of `put`, to be sent together with another one."""
    # Nobody waits for it before that.
    times = {} if at is None else {"available_at": at, "created_at": at}
    # Inline: nothing of the row is read back, for a tenant's role may not read the outbox.
    return sa.insert(OutboxMessage).values(kind=kind, payload=payload, **times).inline()
