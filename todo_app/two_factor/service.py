"""Second factors: time-based codes (RFC 6238), and recovery codes for when the device is gone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
import uuid
from datetime import datetime
from typing import NamedTuple

import pyotp
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app import mails
from todo_app.accounts.models import User
from todo_app.accounts.service import WRITE, get_user, lock_self
from todo_app.audit.service import record
from todo_app.database import db
from todo_app.errors import ConflictError, UnauthenticatedError
from todo_app.permissions.service import check_may_manage, use_powers
from todo_app.secrets_box import NoKeyError, seal, unseal
from todo_app.sessions import throttle
from todo_app.sessions.models import AccessToken, end_sessions
from todo_app.settings.models import CompanySettings
from todo_app.tenancy import CurrentUser, current_tenant
from todo_app.two_factor.models import RecoveryCode, TwoFactor

STEP_SECONDS = 30
WINDOW_STEPS = 1
"""A code is taken so many steps early or late: clocks differ, and typing takes its time."""

RECOVERY_CODES = 10
RECOVERY_BYTES = 15

_DIGITS = re.compile(r"[0-9]{6}", re.ASCII)


class SecondFactorNeededError(UnauthenticatedError):
    """The password is right; a code is needed, too."""

    code = "second-factor-needed"
    detail = "Send a code of your second factor, or a recovery code, in `code`, too."


class WrongCodeError(UnauthenticatedError):
    """The code is wrong, was used before, or its time is over."""

    code = "wrong-code"
    detail = "The code is wrong, or it was used before."


class TwoFactorUnavailableError(ConflictError):
    """No key to encrypt secrets with, or not the one that this secret was encrypted with."""

    code = "two-factor-unavailable"
    detail = "Second factors are not available here: the operator has to set SECRETS_KEYS."


class TwoFactorOnError(ConflictError):
    """There is a second factor already."""

    code = "two-factor-on"
    detail = "You have a second factor: switch it off first, to set up another one."


class TwoFactorOffError(ConflictError):
    """There is no second factor, or none that waits to be confirmed."""

    code = "two-factor-off"
    detail = "You have no second factor that this could be done with."


class TwoFactorRequiredError(ConflictError):
    """The company asks for it."""

    code = "two-factor-required"
    detail = "Your company asks for a second factor."


class State(NamedTuple):
    """What a user has set up."""

    is_on: bool
    confirmed_at: datetime | None
    recovery_codes_left: int
    is_required: bool


class Enrolment(NamedTuple):
    """What an authenticator app needs; the only moment at which it is shown."""

    secret: str
    uri: str


def state_of(actor: CurrentUser) -> State:
    """What the user has set up, and whether the company asks for it."""
    left = (
        sa.select(sa.func.count())
        .where(RecoveryCode.user_id == actor.id, RecoveryCode.used_at.is_(None))
        .scalar_subquery()
    )
    row = db.session.execute(
        sa.select(CompanySettings.require_two_factor, TwoFactor.confirmed_at, left.label("left"))
        .select_from(CompanySettings)
        .outerjoin(TwoFactor, TwoFactor.user_id == actor.id)
    ).one()
    is_on = row.confirmed_at is not None
    return State(is_on, row.confirmed_at, row.left, row.require_two_factor)


def begin(actor: CurrentUser) -> Enrolment:
    """Make a secret, which counts once a first code has confirmed it. A second call makes another.

    Raises:
        TwoFactorOnError, TwoFactorUnavailableError
    """
    secret = pyotp.random_base32()
    try:
        sealed = seal(secret)
    except NoKeyError:
        raise TwoFactorUnavailableError from None
    statement = insert(TwoFactor).values(user_id=actor.id, secret=sealed)
    begun = db.session.scalar(
        statement.on_conflict_do_update(
            index_elements=[TwoFactor.user_id],
            set_={"secret": sealed, "last_step": None, "created_at": sa.func.now()},
            where=TwoFactor.confirmed_at.is_(None),
        ).returning(TwoFactor.user_id)
    )
    if begun is None:
        raise TwoFactorOnError
    email = db.session.scalar(sa.select(User.email).where(User.id == actor.id)) or ""
    # Some apps take what is before a colon for the issuer.
    issuer = current_tenant().name.replace(":", " ")
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer))


def confirm(actor: CurrentUser, code: str) -> list[str]:
    """Switch the second factor on, and end the user's other sessions.

    Returns:
        Recovery codes; the only moment at which they are known.

    Raises:
        TwoFactorOffError: nothing waits to be confirmed.
        UnauthenticatedError: the session has ended meanwhile.
        WrongCodeError, TooManyAttemptsError, TwoFactorUnavailableError
    """
    # Locked: a log-in that goes on meanwhile is either asked for a code, or ended below.
    user = lock_self(actor)
    attempt = throttle.attempt(user.email, current_tenant().schema_name)
    factor = _factor(actor.id, is_confirmed=False)
    if factor is None:
        attempt.forgive()
        raise TwoFactorOffError
    _use_code(factor, code, confirmed_at=sa.func.now())
    attempt.succeeded()
    db.session.execute(
        sa.update(AccessToken)
        .where(AccessToken.id == actor.token_id)
        .values(authenticated_at=sa.func.now())
        .execution_options(synchronize_session=False)
    )
    end_sessions(actor.id, but=actor.token_id)
    _tell("two_factor_on", user)
    record(actor, "two_factor.enabled", ("user", actor.uuid))
    return _make_recovery_codes(actor.id)


def renew_recovery_codes(actor: CurrentUser) -> list[str]:
    """Make new recovery codes; the old ones are good for nothing any more.

    Raises:
        TwoFactorOffError
    """
    # Locked, so that of two such calls the codes of one are left.
    if _factor(actor.id, is_confirmed=True, for_update=True) is None:
        raise TwoFactorOffError
    record(actor, "two_factor.codes_renewed", ("user", actor.uuid))
    return _make_recovery_codes(actor.id)


def switch_off(actor: CurrentUser) -> None:
    """Do without a second factor, or give up one that is not confirmed; no factor is no error.

    Raises:
        TwoFactorRequiredError
    """
    # Shared: whoever makes it a rule waits, and sees who has none.
    required = db.session.scalar(
        sa.select(CompanySettings.require_two_factor).with_for_update(read=True)
    )
    if required:
        raise TwoFactorRequiredError
    user = db.session.get_one(User, actor.id)
    if _remove(user.id):
        _tell("two_factor_off", user)
        record(actor, "two_factor.disabled", ("user", user.uuid))


def reset(actor: CurrentUser, user_uuid: uuid.UUID) -> None:
    """Take a user's second factor away, who has lost the device, and end the user's sessions.

    Raises:
        NotFoundError: the tenant has no such user.
        ForbiddenError: the user's role is above the actor's.
        UnauthenticatedError: the actor's session has ended meanwhile.
        ConflictError: it is the actor's own.
    """
    actor = use_powers(actor, WRITE)
    user = get_user(user_uuid, for_update=True)
    if user.id == actor.id:
        raise ConflictError("Switch off your own second factor at /auth/two-factor.")
    check_may_manage(actor, user.role)
    if _remove(user.id):
        end_sessions(user.id)
        _tell("two_factor_off", user)
        record(actor, "two_factor.reset", ("user", user.uuid))


def is_on(user_id: int) -> bool:
    """Whether a user has a second factor that is asked for."""
    return _factor(user_id, is_confirmed=True) is not None


def check_log_in(user_id: int, code: str | None) -> None:
    """Check the code of somebody who has shown the right password, and use it up.

    Args:
        user_id: who.
        code: of the device, or a recovery code; None where none was sent.

    Raises:
        SecondFactorNeededError, WrongCodeError, TwoFactorUnavailableError
    """
    factor = _factor(user_id, is_confirmed=True)
    if factor is None:
        return
    if code is None:
        raise SecondFactorNeededError
    if _DIGITS.fullmatch(code):
        _use_code(factor, code)
    else:
        _use_recovery_code(user_id, code)


def _factor(user_id: int, *, is_confirmed: bool, for_update: bool = False) -> TwoFactor | None:
    confirmed = TwoFactor.confirmed_at.is_not(None)
    statement = sa.select(TwoFactor).where(
        TwoFactor.user_id == user_id, confirmed if is_confirmed else ~confirmed
    )
    if for_update:
        statement = statement.with_for_update()
    return db.session.scalars(statement).one_or_none()


def _use_code(factor: TwoFactor, code: str, **values: sa.ColumnElement[datetime]) -> None:
    """Take a code; none is taken twice, nor one that is older than the last."""
    try:
        totp = pyotp.TOTP(unseal(factor.secret))
    except NoKeyError:
        raise TwoFactorUnavailableError from None
    now = int(time.time()) // STEP_SECONDS
    steps = range(now - WINDOW_STEPS, now + WINDOW_STEPS + 1)
    # All are looked at, whichever is right.
    right = [s for s in steps if hmac.compare_digest(totp.generate_otp(s), code)]
    if not right:
        raise WrongCodeError
    statement = (
        sa.update(TwoFactor)
        .where(
            TwoFactor.user_id == factor.user_id,
            TwoFactor.secret == factor.secret,
            sa.func.coalesce(TwoFactor.last_step, 0) < right[-1],
        )
        .values(last_step=right[-1], **values)
        .returning(TwoFactor.user_id)
        .execution_options(synchronize_session=False)
    )
    # A second request waits here for the first, and then finds the step taken.
    if db.session.scalar(statement) is None:
        raise WrongCodeError


def _use_recovery_code(user_id: int, code: str) -> None:
    statement = (
        sa.update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user_id,
            RecoveryCode.digest == _digest(code),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=sa.func.now())
        .returning(RecoveryCode.id)
        .execution_options(synchronize_session=False)
    )
    if db.session.scalar(statement) is None:
        raise WrongCodeError
    record(None, "two_factor.recovery_code_used", ("user", _uuid_of(user_id)))


def _make_recovery_codes(user_id: int) -> list[str]:
    """Replace a user's recovery codes."""
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    rows = [{"user_id": user_id, "digest": _digest(code)} for code in codes]
    db.session.execute(sa.insert(RecoveryCode).values(rows).inline())
    return codes


def _new_recovery_code() -> str:
    """120 random bits, in groups that can be read aloud."""
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _digest(code: str) -> bytes:
    """What is stored of a recovery code: its random bits make a fast hash enough."""
    return hashlib.sha256(re.sub(r"[\s-]", "", code).upper().encode()).digest()


def _remove(user_id: int) -> bool:
    """Take a second factor and its codes away; whether it was in use."""
    db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    statement = sa.delete(TwoFactor).where(TwoFactor.user_id == user_id)
    return db.session.scalar(statement.returning(TwoFactor.confirmed_at)) is not None


def _uuid_of(user_id: int) -> uuid.UUID | None:
    return db.session.scalar(sa.select(User.uuid).where(User.id == user_id))


def _tell(mail: str, user: User) -> None:
    company = current_tenant().name
    mails.send(mail, user.email, user.language, name=user.first_name, company=company)
