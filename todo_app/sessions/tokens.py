"""API tokens: for programs, with scopes and an end.

What a token may do is what its scopes and its user's role both permit, at the moment of the
request. A changed password leaves them, for they do not come from it; whoever leaves the company
loses them.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from todo_app import mails
from todo_app.accounts.models import User
from todo_app.accounts.service import lock_self
from todo_app.audit.service import record
from todo_app.auth import API_TOKEN_MARK, digest, new_secret
from todo_app.database import db
from todo_app.errors import ConflictError, InvalidInputError, NotFoundError
from todo_app.sessions.models import AccessToken
from todo_app.tenancy import CurrentUser, current_tenant

LONGEST_LIFE = timedelta(days=366)
MOST_TOKENS = 100
"""API tokens that a user may have at a time."""


class TokenInfo(NamedTuple):
    """An API token, as the person whose it is sees it; `token` is known when it is made only."""

    uuid: uuid.UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    place: str | None
    token: str | None = None


class TooManyTokensError(ConflictError):
    """The user has as many API tokens as there may be."""

    code = "too-many-tokens"
    detail = f"You have {MOST_TOKENS} API tokens; revoke one first."


class TokenRotatedError(ConflictError):
    """The token was replaced already, and is in its last hours."""

    code = "token-rotated"
    detail = "This token was replaced already."


_TOKENS = sa.select(
    AccessToken.uuid,
    AccessToken.name,
    AccessToken.scopes,
    AccessToken.created_at,
    AccessToken.expires_at,
    AccessToken.last_used_at,
    AccessToken.address.label("place"),
).where(AccessToken.scopes.is_not(None), AccessToken.expires_at > sa.func.now())


def tokens_of(actor: CurrentUser) -> list[TokenInfo]:
    """The user's API tokens that are good for something, the newest first."""
    rows = db.session.execute(
        _TOKENS.where(AccessToken.user_id == actor.id).order_by(AccessToken.id.desc())
    )
    return [TokenInfo._make((*row, None)) for row in rows]


def make_token(actor: CurrentUser, name: str, scopes: list[str], expires_at: datetime) -> TokenInfo:
    """Make an API token of the user.

    Raises:
        InvalidInputError: it would end in the past, or too late.
        UnauthenticatedError: the session has ended meanwhile.
        TooManyTokensError
    """
    now = datetime.now(UTC)
    if not now < expires_at <= now + LONGEST_LIFE:
        problem = f"Must be within the next {LONGEST_LIFE.days} days."
        raise InvalidInputError(errors={"json": {"expires_at": [problem]}})
    # Locked, so that such requests of one user are counted one after the other.
    user = lock_self(actor)
    made = _insert(user, name, sorted(set(scopes)), expires_at)
    mails.send(
        "api_token_made",
        user.email,
        user.language,
        name=user.first_name,
        company=current_tenant().name,
        token_name=name,
    )
    record(actor, "api_token.made", ("api_token", made.uuid), name=name, scopes=made.scopes)
    return made


def revoke_token(actor: CurrentUser, token_uuid: uuid.UUID) -> None:
    """End one of the user's API tokens.

    Raises:
        NotFoundError: the user has no such token.
    """
    token = _get(actor, token_uuid)
    db.session.delete(token)
    db.session.flush()
    record(actor, "api_token.revoked", ("api_token", token_uuid), name=token.name)


def rotate_token(actor: CurrentUser, token_uuid: uuid.UUID, overlap: timedelta) -> TokenInfo:
    """Replace an API token by one of the same name, scopes and length of life.

    Args:
        actor: whose it is.
        token_uuid: of the old one.
        overlap: for how long the old one is good, too.

    Raises:
        NotFoundError: the user has no such token.
        TokenRotatedError: it was replaced before.
        UnauthenticatedError: the session has ended meanwhile.
        TooManyTokensError
    """
    user = lock_self(actor)
    old = _get(actor, token_uuid)
    assert old.ends_at is not None  # noqa: S101 (an API token has both)
    assert old.scopes is not None  # noqa: S101
    if old.expires_at < old.ends_at:
        raise TokenRotatedError
    now = datetime.now(UTC)
    expires_at = now + (old.ends_at - old.created_at)
    if overlap:
        old.expires_at = min(old.expires_at, now + overlap)
        db.session.flush()
    else:
        db.session.delete(old)
        db.session.flush()
    made = _insert(user, old.name or "", old.scopes, expires_at)
    record(
        actor,
        "api_token.rotated",
        ("api_token", made.uuid),
        name=made.name,
        replaces=str(token_uuid),
        overlap_seconds=int(overlap.total_seconds()),
    )
    return made


def _insert(user: User, name: str, scopes: list[str], expires_at: datetime) -> TokenInfo:
    count = db.session.scalar(
        sa.select(sa.func.count()).where(
            AccessToken.user_id == user.id,
            AccessToken.scopes.is_not(None),
            AccessToken.expires_at > sa.func.now(),
        )
    )
    if (count or 0) >= MOST_TOKENS:
        raise TooManyTokensError
    secret = API_TOKEN_MARK + new_secret()
    token = AccessToken(
        user_id=user.id,
        digest=digest(secret),
        name=name,
        scopes=scopes,
        # Rotation brings the one forward and needs the other.
        expires_at=expires_at,
        ends_at=expires_at,
    )
    db.session.add(token)
    db.session.flush()
    return TokenInfo(
        token.uuid,
        name,
        scopes,
        token.created_at,
        expires_at,
        None,
        None,
        f"{current_tenant().schema_name}.{secret}",
    )


def _get(actor: CurrentUser, token_uuid: uuid.UUID) -> AccessToken:
    statement = sa.select(AccessToken).where(
        AccessToken.uuid == token_uuid,
        AccessToken.user_id == actor.id,
        AccessToken.scopes.is_not(None),
        AccessToken.expires_at > sa.func.now(),
    )
    token = db.session.scalars(statement.with_for_update()).one_or_none()
    if token is None:
        raise NotFoundError("There is no such token.")
    return token
