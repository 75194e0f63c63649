"""Sessions: begun, looked up, listed, and ended."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import NamedTuple, cast

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.audit.service import record
from todo_app.auth import digest, new_secret
from todo_app.database import db
from todo_app.errors import NotFoundError
from todo_app.origin import current_origin
from todo_app.sessions.models import (
    PERMANENT_SESSION_ENDS,
    PERMANENT_SESSION_IDLE,
    SESSION_ENDS,
    SESSION_IDLE,
    AccessToken,
    end_sessions,
)
from todo_app.tenancy import CurrentUser, current_tenant


class Session(NamedTuple):
    """A fresh session; the only moment at which its token is known."""

    token: str
    expires_at: datetime
    user: User


class SessionInfo(NamedTuple):
    """A session, as the person whose it is sees it."""

    uuid: uuid.UUID
    device: str | None
    place: str | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime
    is_permanent: bool
    is_current: bool


class TokenCheck(NamedTuple):
    """What a token is good for."""

    user: User
    expires_at: datetime
    kind: str
    scopes: list[str] | None


# Statements of the table, made once: those of the model would be put together at each log-in.
_TOKENS = cast(sa.Table, AccessToken.__table__)
_ENDED = sa.delete(_TOKENS).where(
    _TOKENS.c.user_id == sa.bindparam("of_user"), _TOKENS.c.expires_at < sa.func.now()
)
_BEGIN = (
    sa.insert(_TOKENS)
    .values(
        {
            name: sa.bindparam(name)
            for name in (
                "uuid",
                "user_id",
                "digest",
                "expires_at",
                "ends_at",
                "is_permanent",
                "user_agent",
                "authenticated_at",
                "last_used_at",
                "address",
            )
        }
    )
    .add_cte(_ENDED.cte("ended"))
    .inline()
)


def begin_session(user_id: int, *, permanent: bool = False) -> Session:
    """Start a session of a user who has just shown who they are, in the current transaction.

    Args:
        user_id: whose; the caller has made sure that the user may sign in.
        permanent: whether it lasts for 30 days without use instead of one.
    """
    user = db.session.get_one(User, user_id)
    origin = current_origin()
    secret = new_secret()
    now = datetime.now(UTC)
    expires_at = now + (PERMANENT_SESSION_IDLE if permanent else SESSION_IDLE)
    session_uuid = uuid.uuid4()
    row = {
        "uuid": session_uuid,
        "user_id": user_id,
        "digest": digest(secret),
        "expires_at": expires_at,
        "ends_at": now + (PERMANENT_SESSION_ENDS if permanent else SESSION_ENDS),
        "is_permanent": permanent,
        "user_agent": origin.user_agent,
        "authenticated_at": now,
        "last_used_at": now,
        "address": origin.address,
    }
    db.session.connection().execute(_BEGIN, {**row, "of_user": user_id})
    record(user, "session.started", ("session", session_uuid), permanent=permanent)
    return Session(f"{current_tenant().schema_name}.{secret}", expires_at, user)


def check_token(token_digest: bytes) -> TokenCheck:
    """Whose a session or API token is, when it ends, and what it is good for.

    Raises:
        NotFoundError: there is no such token, or it has ended.
    """
    row = db.session.execute(
        sa.select(User, AccessToken.expires_at, AccessToken.scopes)
        .join(AccessToken, AccessToken.user_id == User.id)
        .where(
            AccessToken.digest == token_digest,
            AccessToken.expires_at > sa.func.now(),
            User.is_active,
            User.deleted_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such token.")
    kind = "session" if row.scopes is None else "api_token"
    return TokenCheck(row.User, row.expires_at, kind, row.scopes)


def log_out(actor: CurrentUser) -> None:
    """End the session that the request came with."""
    session_uuid = db.session.scalar(
        sa.delete(AccessToken).where(AccessToken.id == actor.token_id).returning(AccessToken.uuid)
    )
    record(actor, "session.ended", ("session", session_uuid))


def sessions_of(actor: CurrentUser) -> list[SessionInfo]:
    """The user's sessions that go on, the one used last first."""
    rows = db.session.execute(
        sa.select(
            AccessToken.uuid,
            AccessToken.user_agent,
            AccessToken.address,
            AccessToken.created_at,
            AccessToken.last_used_at,
            AccessToken.expires_at,
            AccessToken.is_permanent,
            AccessToken.id == actor.token_id,
        )
        .where(
            AccessToken.user_id == actor.id,
            AccessToken.scopes.is_(None),
            AccessToken.expires_at > sa.func.now(),
        )
        .order_by(AccessToken.last_used_at.desc().nulls_last(), AccessToken.id.desc())
    )
    return [SessionInfo._make(row) for row in rows]


def end_session(actor: CurrentUser, session_uuid: uuid.UUID) -> None:
    """End one of the user's sessions.

    Raises:
        NotFoundError: the user has no such session.
    """
    ended = db.session.scalar(
        sa.delete(AccessToken)
        .where(
            AccessToken.uuid == session_uuid,
            AccessToken.user_id == actor.id,
            AccessToken.scopes.is_(None),
        )
        .returning(AccessToken.id)
    )
    if ended is None:
        raise NotFoundError("There is no such session.")
    record(actor, "session.ended", ("session", session_uuid))


def end_own_sessions(actor: CurrentUser, *, including_this: bool) -> None:
    """End all of the user's sessions.

    Args:
        actor: the user.
        including_this: whether the one that the request came with ends, too.
    """
    end_sessions(actor.id, but=None if including_this else actor.token_id)
    record(actor, "session.all_ended", ("user", actor.uuid), including_this=including_this)
