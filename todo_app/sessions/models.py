"""What a request shows to be somebody's: sessions and API tokens."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base, IdMixin, db, transaction

SESSION_IDLE = timedelta(days=1)
SESSION_ENDS = timedelta(days=7)
PERMANENT_SESSION_IDLE = timedelta(days=30)
PERMANENT_SESSION_ENDS = timedelta(days=180)
"""A session ends when it was not used for so long, and in any case so long after it began."""

NOTED_EVERY_SECONDS = 60
"""The last use of a token is known to this precision: most requests write nothing."""


class AccessToken(IdMixin, Base):
    """A session, or an API token, which is one with scopes; only its secret's digest is known here.

    `expires_at` slides on with use, up to `ends_at`; an API token's stays as it is.
    """

    __tablename__ = "access_tokens"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    expires_at: Mapped[datetime]
    user_agent: Mapped[str | None]
    name: Mapped[str | None]
    scopes: Mapped[list[str] | None]
    is_permanent: Mapped[bool] = mapped_column(server_default=sa.false())
    ends_at: Mapped[datetime | None]
    authenticated_at: Mapped[datetime | None]
    """When the password, and the second factor where there is one, was last shown."""
    last_used_at: Mapped[datetime | None]
    address: Mapped[str | None]


def end_sessions(user_id: int, *, but: int | None = None) -> None:
    """End a user's sessions, and leave API tokens.

    Args:
        user_id: whose.
        but: id of one session that goes on: the one that the request came with.
    """
    statement = sa.delete(AccessToken).where(
        AccessToken.user_id == user_id, AccessToken.scopes.is_(None)
    )
    if but is not None:
        statement = statement.where(AccessToken.id != but)
    db.session.execute(statement)


def end_all_tokens(user_id: int) -> None:
    """End a user's sessions and API tokens."""
    db.session.execute(sa.delete(AccessToken).where(AccessToken.user_id == user_id))


def note_use(token_id: int, address: str | None) -> None:
    """Note that a token was used, and slide a session's end on; a transaction of its own.

    Args:
        token_id: of the token.
        address: from where.
    """
    idle = sa.case((AccessToken.is_permanent, PERMANENT_SESSION_IDLE), else_=SESSION_IDLE)
    slid = sa.func.least(
        sa.func.coalesce(AccessToken.ends_at, AccessToken.expires_at), sa.func.now() + idle
    )
    noted_before = sa.func.now() - timedelta(seconds=NOTED_EVERY_SECONDS)
    statement = (
        sa.update(AccessToken)
        .where(
            AccessToken.id == token_id,
            sa.or_(AccessToken.last_used_at.is_(None), AccessToken.last_used_at < noted_before),
        )
        .values(
            last_used_at=sa.func.now(),
            address=address,
            expires_at=sa.case((AccessToken.scopes.is_(None), slid), else_=AccessToken.expires_at),
        )
    )
    with transaction():
        db.session.execute(statement)
