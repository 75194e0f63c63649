"""Secrets in people's mailboxes: made, looked at, and used once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.accounts.models import User
from todo_app.auth import digest, new_secret
from todo_app.database import db
from todo_app.errors import NotFoundError
from todo_app.registration.models import ACTIVATION, ADDRESS, PASSWORD_RESET, OneTimeToken
from todo_app.tenancy import current_tenant

LASTS = {
    ACTIVATION: timedelta(days=3),
    ADDRESS: timedelta(days=3),
    PASSWORD_RESET: timedelta(hours=1),
}


class InvalidTokenError(NotFoundError):
    """A mailed token is used up, expired, replaced, or was never one: the answer is the same."""

    code = "invalid-token"
    detail = "This code is not valid, or not any more. Ask for a new one."


class MailedSecret(NamedTuple):
    """A fresh secret as it stands in a mail; the only moment at which it is known."""

    token: str
    expires_at: datetime

    @property
    def until(self) -> datetime:
        """When it expires, for a mail, which words it."""
        return self.expires_at


class Owner(NamedTuple):
    """What is known of a token's user; of no session, so that it lasts longer than one."""

    email: str
    first_name: str
    last_name: str
    password_hash: str


def new_mailed_secret(lasts: timedelta) -> tuple[MailedSecret, bytes]:
    """A fresh secret of the current tenant, and the digest that is stored of it."""
    secret = new_secret()
    token = f"{current_tenant().schema_name}.{secret}"
    return MailedSecret(token, datetime.now(UTC) + lasts), digest(secret)


def make(user_id: int, purpose: str) -> MailedSecret:
    """Make a token for a user; the former one for the same purpose is worth nothing any more.

    Args:
        user_id: whose mailbox it is for.
        purpose: one of PURPOSES, which says how long it lasts.
    """
    mailed, token_digest = new_mailed_secret(LASTS[purpose])
    values = {"digest": token_digest, "expires_at": mailed.expires_at}
    statement = insert(OneTimeToken).values(user_id=user_id, purpose=purpose, **values)
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["user_id", "purpose"], set_={**values, "created_at": sa.func.now()}
        )
    )
    return mailed


def owner(token_digest: bytes, *purposes: str) -> Owner:
    """Whose token this is; it stays good.

    Raises:
        InvalidTokenError: it is not good for any of the purposes.
    """
    columns = (User.email, User.first_name, User.last_name, User.password_hash)
    row = db.session.execute(_users(token_digest, purposes, *columns)).one_or_none()
    if row is None:
        raise InvalidTokenError
    return Owner._make(row)


def use(token_digest: bytes, *purposes: str) -> tuple[User, str]:
    """Use a token up. Of two who do so at one instant one gets it.

    Returns:
        Its user, locked and as it is now, and its purpose.

    Raises:
        InvalidTokenError: it is not good for any of the purposes.
    """
    # The user first: whoever else changes both locks them in this order.
    statement = (
        _users(token_digest, purposes, User)
        .with_for_update(of=User, key_share=True)
        .execution_options(populate_existing=True)
    )
    user = db.session.scalars(statement).one_or_none()
    purpose = db.session.scalar(
        sa.delete(OneTimeToken)
        .where(_is_good(token_digest, purposes))
        .returning(OneTimeToken.purpose)
    )
    if user is None or purpose is None:
        raise InvalidTokenError
    return user, purpose


def forget(user_id: int, *purposes: str) -> bool:
    """Make a user's tokens for these purposes worth nothing.

    Returns:
        Whether there was one, expired or not.
    """
    statement = (
        sa.delete(OneTimeToken)
        .where(OneTimeToken.user_id == user_id, OneTimeToken.purpose.in_(purposes))
        .returning(OneTimeToken.id)
    )
    return bool(db.session.scalars(statement).all())


def _is_good(token_digest: bytes, purposes: tuple[str, ...]) -> sa.ColumnElement[bool]:
    return sa.and_(
        OneTimeToken.digest == token_digest,
        OneTimeToken.purpose.in_(purposes),
        OneTimeToken.expires_at > sa.func.now(),
    )


def _users(token_digest: bytes, purposes: tuple[str, ...], *columns: Any) -> sa.Select[Any]:
    return (
        sa.select(*columns)
        .join(OneTimeToken, OneTimeToken.user_id == User.id)
        .where(_is_good(token_digest, purposes), User.deleted_at.is_(None))
    )
