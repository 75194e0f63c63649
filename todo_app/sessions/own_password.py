"""What somebody who is signed in does with their own password."""

from __future__ import annotations

import sqlalchemy as sa

from todo_app import mails
from todo_app.accounts.models import User
from todo_app.accounts.passwords import check_password, hash_password, verify_password
from todo_app.accounts.service import lock_self
from todo_app.audit.service import record
from todo_app.database import db
from todo_app.errors import UnauthenticatedError
from todo_app.hashing import BusyError, in_turn
from todo_app.registration.models import PASSWORD_RESET, OneTimeToken
from todo_app.sessions import throttle
from todo_app.sessions.models import AccessToken, end_sessions
from todo_app.tenancy import CurrentUser, current_tenant
from todo_app.two_factor import service as two_factor


class WrongPasswordError(UnauthenticatedError):
    """Somebody who is signed in has not shown the right password."""

    code = "wrong-credentials"
    detail = "The password is wrong."


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


def _own_password(actor: CurrentUser) -> tuple[str, str]:
    """Address and password hash of the user; the transaction ends, for hashing comes next."""
    row = db.session.execute(
        sa.select(User.email, User.password_hash).where(User.id == actor.id)
    ).one()
    db.session.rollback()
    return row.email, row.password_hash


def _note_authenticated(actor: CurrentUser) -> None:
    db.session.execute(
        sa.update(AccessToken)
        .where(AccessToken.id == actor.token_id)
        .values(authenticated_at=sa.func.now())
        .execution_options(synchronize_session=False)
    )
