"""Signing in and out, and what shows who somebody is."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import NamedTuple, cast

import sqlalchemy as sa
import structlog

from todo_app import mails
from todo_app.accounts.models import User
from todo_app.accounts.passwords import (
    check_password,
    hash_password,
    needs_rehash,
    verify_password,
)
from todo_app.accounts.service import lock_self
from todo_app.audit.service import record
from todo_app.auth import digest, new_secret
from todo_app.database import db
from todo_app.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from todo_app.hashing import BusyError, in_turn, lookups
from todo_app.origin import current_origin
from todo_app.registration import members
from todo_app.registration.models import ACTIVATION, PASSWORD_RESET, OneTimeToken
from todo_app.sessions import throttle
from todo_app.sessions.models import (
    PERMANENT_SESSION_ENDS,
    PERMANENT_SESSION_IDLE,
    SESSION_ENDS,
    SESSION_IDLE,
    AccessToken,
    end_sessions,
)
from todo_app.tenancy import CurrentUser, current_tenant
from todo_app.two_factor import service as two_factor

log = structlog.get_logger(__name__)


class WrongCredentialsError(UnauthenticatedError):
    """Address or password is wrong; the answer does not say which."""

    code = "wrong-credentials"
    detail = "Email address or password is wrong."


class WrongPasswordError(UnauthenticatedError):
    """Somebody who is signed in has not shown the right password."""

    code = "wrong-credentials"
    detail = "The password is wrong."


class NotActivatedError(ForbiddenError):
    """The password is right, but nobody has shown yet that the address is theirs."""

    code = "not-activated"
    detail = "Confirm your address first, or ask for a new password."


FAILURES = (WrongCredentialsError, two_factor.WrongCodeError)
"""What a log-in can fail with that should be known to the company."""

TENANT_UNCLEAR = "Email address or password is wrong, or the tenant has to be named."


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


class _Account(NamedTuple):
    """What log-in needs to know of a user."""

    id: int
    uuid: uuid.UUID
    password_hash: str
    is_active: bool
    is_unconfirmed: bool


_UNCONFIRMED = sa.exists().where(
    OneTimeToken.user_id == User.id, OneTimeToken.purpose == ACTIVATION
)
_ACCOUNT = sa.select(
    User.id, User.uuid, User.password_hash, User.is_active, _UNCONFIRMED.label("is_unconfirmed")
).where(
    sa.func.lower(User.email) == sa.bindparam("email", type_=sa.Text), User.deleted_at.is_(None)
)


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


_UNCHANGED = {
    for_new_hash: sa.select(User)
    .where(
        User.id == sa.bindparam("user_id"),
        User.password_hash == sa.bindparam("known_hash"),
        User.is_active,
        User.deleted_at.is_(None),
    )
    .with_for_update(of=User, read=not for_new_hash)
    for for_new_hash in (False, True)
}


def tenant_of(email: str, password: str) -> str:
    """Schema name of the one tenant that an address alone leads to; runs in the control plane.

    Raises:
        WrongCredentialsError: there is none, or more than one; it took as long as a wrong password.
        TooManyAttemptsError: too many have failed lately.
    """
    with lookups:
        found = members.schemas_of(email)
        db.session.rollback()
        if len(found) == 1:
            return found[0]
        # In a tenant, the user would be looked up now.
        members.schemas_of(email)
        db.session.rollback()
    throttle.attempt(email)
    in_turn(verify_password, None, password)
    raise _refused(tenant_named=False)


def log_in(
    email: str,
    password: str,
    *,
    permanent: bool,
    code: str | None = None,
    tenant_named: bool = True,
) -> Session:
    """Start a session in the current tenant.

    Args:
        email: the address, in any case.
        password: as it was typed.
        permanent: whether the session lasts for 30 days without use instead of one.
        code: of the second factor, or a recovery code.
        tenant_named: whether the request named the tenant, rather than the address alone.

    Raises:
        WrongCredentialsError: no active user has this address and password.
        NotActivatedError, SecondFactorNeededError: the password is right, but not enough.
        WrongCodeError: the password is right, the code is not.
        TooManyAttemptsError: too many have failed lately.
        BusyError: too many sign in at this moment.
    """
    with lookups:
        row = db.session.execute(_ACCOUNT, {"email": email.lower()}).one_or_none()
        found = _Account._make(row) if row else None
        tenant = current_tenant().schema_name
        # The transaction ends before the slow part, so that hashing holds no connection.
        db.session.rollback()
    attempt = throttle.attempt(email, tenant if tenant_named else "")
    try:
        is_right = in_turn(verify_password, found.password_hash if found else None, password)
        if found is None or not is_right:
            raise _refused(tenant_named=tenant_named)
        if not found.is_active and found.is_unconfirmed:
            raise NotActivatedError
        new_hash = None
        if needs_rehash(found.password_hash):
            new_hash = in_turn(hash_password, password)
        user = _lock_unchanged(found, for_new_hash=new_hash is not None)
        if user is None:
            raise _refused(tenant_named=tenant_named)
        # A statement of its own: it sees what those did who held the lock before.
        two_factor.check_log_in(user.id, code)
        session = begin_session(user.id, permanent=permanent)
    except FAILURES:
        raise
    except BaseException:
        attempt.forgive()
        raise
    if new_hash:
        _replace_hash(user.id, new_hash)
    if user.is_verified:
        members.note(email)
    attempt.succeeded(throttle.name_of(email, tenant))
    return session


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


def step_up(actor: CurrentUser, password: str, code: str | None) -> None:
    """Note that the user has shown the password again, and the second factor where there is one.

    Raises:
        WrongPasswordError, SecondFactorNeededError, WrongCodeError, TooManyAttemptsError, BusyError
    """
    tenant = current_tenant().schema_name
    email, password_hash = _own_password(actor)
    attempt = throttle.attempt(email, tenant)
    try:
        if not in_turn(verify_password, password_hash, password):
            raise WrongPasswordError
        two_factor.check_log_in(actor.id, code)
    except (WrongPasswordError, two_factor.WrongCodeError):
        raise
    except BaseException:
        attempt.forgive()
        raise
    _note_authenticated(actor)
    record(actor, "session.stepped_up", ("user", actor.uuid))
    attempt.succeeded()


def change_own_password(actor: CurrentUser, current_password: str, password: str) -> None:
    """Give the user a new password, and end all of the user's other sessions.

    API tokens go on: they were made on purpose, are listed, and can be revoked one by one.

    Raises:
        WrongPasswordError: `current_password` is wrong, or was changed meanwhile.
        UnauthenticatedError: the session has ended meanwhile.
        InvalidInputError: the new one is not good enough.
        TooManyAttemptsError, BusyError
    """
    user = db.session.get_one(User, actor.id)
    tenant = current_tenant()
    context = (user.email, user.first_name, user.last_name, tenant.name)
    old_hash = user.password_hash
    db.session.rollback()
    check_password(password, context)
    attempt = throttle.attempt(context[0], tenant.schema_name)
    try:
        is_right = in_turn(verify_password, old_hash, current_password)
    except BusyError:
        attempt.forgive()
        raise
    if not is_right:
        raise WrongPasswordError
    attempt.succeeded()
    new_hash = in_turn(hash_password, password)
    user = lock_self(actor)
    if user.password_hash != old_hash:
        raise WrongPasswordError
    user.password_hash = new_hash
    end_sessions(user.id, but=actor.token_id)
    db.session.execute(
        sa.delete(OneTimeToken).where(
            OneTimeToken.user_id == user.id, OneTimeToken.purpose == PASSWORD_RESET
        )
    )
    # Nobody was asked for a second factor here.
    if not two_factor.is_on(user.id):
        _note_authenticated(actor)
    mails.send(
        "password_changed", user.email, user.language, name=user.first_name, company=tenant.name
    )
    record(actor, "password.changed", ("user", user.uuid))
    db.session.flush()


def note_failure(email: str, reason: str) -> None:
    """Record a failed log-in; an account that does not exist costs the same as one that does.

    Args:
        email: the address that was typed. It is not kept: people type passwords there, too.
        reason: the code of the error.
    """
    found = db.session.execute(_ACCOUNT, {"email": email.lower()}).one_or_none()
    record(None, "session.failed", ("user", found.uuid if found else None), reason=reason)


def _own_password(actor: CurrentUser) -> tuple[str, str]:
    """Address and password hash of the user; the transaction ends, for hashing comes next."""
    row = db.session.execute(
        sa.select(User.email, User.password_hash).where(User.id == actor.id)
    ).one()
    db.session.rollback()
    return row.email, row.password_hash


def _lock_unchanged(found: _Account, *, for_new_hash: bool) -> User | None:
    """The user, unless they were changed, and their sessions ended, while the hash was made."""
    statement = _UNCHANGED[for_new_hash]
    return db.session.scalars(
        statement, {"user_id": found.id, "known_hash": found.password_hash}
    ).one_or_none()


def _replace_hash(user_id: int, password_hash: str) -> None:
    """Keep a password's hash with the parameters of today; it is no change that anybody sees."""
    db.session.execute(
        sa.update(User)
        .where(User.id == user_id)
        .values(password_hash=password_hash, updated_at=User.updated_at)
        .execution_options(synchronize_session=False)
    )


def _note_authenticated(actor: CurrentUser) -> None:
    db.session.execute(
        sa.update(AccessToken)
        .where(AccessToken.id == actor.token_id)
        .values(authenticated_at=sa.func.now())
        .execution_options(synchronize_session=False)
    )


def _refused(*, tenant_named: bool) -> WrongCredentialsError:
    log.info("log-in failed")
    return WrongCredentialsError(None if tenant_named else TENANT_UNCLEAR)
