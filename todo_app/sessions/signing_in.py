"""Signing in with address and password."""

from __future__ import annotations

import uuid
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from todo_app.accounts.models import User
from todo_app.accounts.passwords import hash_password, needs_rehash, verify_password
from todo_app.audit.service import record
from todo_app.database import db
from todo_app.errors import ForbiddenError, UnauthenticatedError
from todo_app.hashing import in_turn, lookups
from todo_app.registration import members
from todo_app.registration.models import ACTIVATION, OneTimeToken
from todo_app.sessions import throttle
from todo_app.sessions.service import Session, begin_session
from todo_app.tenancy import current_tenant
from todo_app.two_factor import service as two_factor

log = structlog.get_logger(__name__)


class WrongCredentialsError(UnauthenticatedError):
    """Address or password is wrong; the answer does not say which."""

    code = "wrong-credentials"
    detail = "Email address or password is wrong."


class NotActivatedError(ForbiddenError):
    """The password is right, but nobody has shown yet that the address is theirs."""

    code = "not-activated"
    detail = "Confirm your address first, or ask for a new password."


FAILURES = (WrongCredentialsError, two_factor.WrongCodeError)
"""What a log-in can fail with that should be known to the company."""

TENANT_UNCLEAR = "Email address or password is wrong, or the tenant has to be named."


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


def note_failure(email: str, reason: str) -> None:
    """Record a failed log-in; an account that does not exist costs the same as one that does.

    Args:
        email: the address that was typed. It is not kept: people type passwords there, too.
        reason: the code of the error.
    """
    found = db.session.execute(_ACCOUNT, {"email": email.lower()}).one_or_none()
    record(None, "session.failed", ("user", found.uuid if found else None), reason=reason)


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


def _refused(*, tenant_named: bool) -> WrongCredentialsError:
    log.info("log-in failed")
    return WrongCredentialsError(None if tenant_named else TENANT_UNCLEAR)
