"""How a lost password is replaced: a mailed token, good once and for an hour, sets a new one.

The request only leaves a message. Whether there is such a user is looked up when that is delivered,
so the answer is the same, and takes the same time, for every address.
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from todo_app import mails, outbox
from todo_app.accounts.models import User
from todo_app.accounts.passwords import check_password, hash_password
from todo_app.audit.service import record
from todo_app.database import db
from todo_app.hashing import in_turn
from todo_app.registration import members, one_time
from todo_app.registration.models import ACTIVATION, PASSWORD_RESET, OneTimeToken
from todo_app.sessions.models import end_sessions
from todo_app.tenancy import current_tenant

MAILS_APART = timedelta(minutes=2)
"""A user gets no second mail before this time is over, however often somebody asks."""


def ask(email: str, schema_name: str | None) -> None:
    """Have a mail to set a new password sent to whoever has this address.

    Args:
        email: the address; there may be no such user.
        schema_name: of the tenant that was named; without one, all that the address is known in.
    """
    outbox.put(outbox.PASSWORD_RESET, {"email": email, "schema_name": schema_name})


def mail_token(email: str) -> None:
    """Mail a token to the current tenant's user with this address; nothing where there is none.

    Nothing either where the user is deactivated, or got such a mail a moment ago. Whoever has
    registered and was never activated may have one: it shows that the address is theirs.
    """
    statement = (
        sa.select(User)
        .where(sa.func.lower(User.email) == email.lower(), User.deleted_at.is_(None))
        .with_for_update(of=User, key_share=True)
    )
    user = db.session.scalars(statement).one_or_none()
    if user is None or not (user.is_active or _has_token(user, ACTIVATION)):
        return
    if _has_token(user, PASSWORD_RESET, OneTimeToken.created_at > sa.func.now() - MAILS_APART):
        return
    mailed = one_time.make(user.id, PASSWORD_RESET)
    mails.send(
        "password_reset",
        user.email,
        user.language,
        name=user.first_name,
        company=current_tenant().name,
        token=mailed.token,
        until=mailed.until,
    )


def set_password(token_digest: bytes, password: str) -> None:
    """Give the user of a mailed token a new password, and end all of the user's sessions.

    API tokens go on: they were made on purpose, are listed, and can be revoked one by one. The
    address is proven, too, which activates whoever has registered.

    Raises:
        InvalidTokenError: the token is not good, or not any more.
        InvalidInputError: the password is not good enough; the token stays good.
        BusyError: too many sign in at this moment.
    """
    found = one_time.owner(token_digest, PASSWORD_RESET)
    company = current_tenant().name
    # The transaction ends before the slow part, so that hashing holds no connection.
    db.session.rollback()
    check_password(password, (found.email, found.first_name, found.last_name, company))
    password_hash = in_turn(hash_password, password)
    user, _ = one_time.use(token_digest, PASSWORD_RESET)
    if one_time.forget(user.id, ACTIVATION):
        user.is_active = True
    if not user.is_active:
        raise one_time.InvalidTokenError
    user.password_hash = password_hash
    user.is_verified = True
    db.session.flush()
    members.note(user.email)
    end_sessions(user.id)
    mails.send("password_changed", user.email, user.language, name=user.first_name, company=company)
    record(None, "password.reset", ("user", user.uuid))


def _has_token(user: User, purpose: str, *conditions: sa.ColumnElement[bool]) -> bool:
    exists = sa.exists().where(
        OneTimeToken.user_id == user.id, OneTimeToken.purpose == purpose, *conditions
    )
    return bool(db.session.scalar(sa.select(exists)))
