"""Changes of a user, by an administrator or by the person."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app import mails
from todo_app.accounts.models import User
from todo_app.accounts.passwords import check_password, hash_password
from todo_app.accounts.service import (
    WRITE,
    check_not_last_master_admin,
    flush_unique_email,
    get_managed_user,
    get_user,
)
from todo_app.audit.service import record
from todo_app.auth import check_fresh
from todo_app.database import Versions, current_session, db
from todo_app.errors import NotFoundError, PreconditionFailedError, UnauthenticatedError
from todo_app.feeds.models import end_feeds
from todo_app.hashing import in_turn
from todo_app.permissions.service import (
    change_powers,
    check_may_manage,
    get_role,
    revoke_invitations,
)
from todo_app.registration import members, one_time
from todo_app.registration.models import ADDRESS, PASSWORD_RESET, PURPOSES
from todo_app.sessions.models import end_all_tokens, end_sessions
from todo_app.tenancy import CurrentUser, current_tenant


def with_password_hash(
    actor: CurrentUser, values: dict[str, Any], user_uuid: uuid.UUID | None = None
) -> dict[str, Any]:
    """`values` with `password_hash` in place of `password`, where there is one.

    Called before the transaction of a change: hashing takes long, and must hold neither locks nor
    a connection that others need.

    Args:
        actor: who sets it.
        values: what is going to be written.
        user_uuid: whose password it becomes; None for somebody who is about to be added.

    Raises:
        NotFoundError: the tenant has no such user.
        InvalidInputError: it is not good enough.
        StepUpNeededError, ScopeMissingError: others than new users get one from those alone who
            have just shown their own.
        BusyError: too many sign in at this moment.
    """
    if "password" not in values:
        return values
    if user_uuid is not None:
        check_fresh(actor)
    columns = dict(values)
    password = columns.pop("password")
    check_password(password, _context(values, get_user(user_uuid) if user_uuid else None))
    if not current_session().depth:
        db.session.rollback()
    return {**columns, "password_hash": in_turn(hash_password, password)}


def change_user(
    actor: CurrentUser, user_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> User:
    """Change only what `changes` names.

    A new password or role ends the user's sessions (your own: the others), and deactivation all
    tokens.

    Args:
        actor: who does it.
        user_uuid: whom.
        changes: columns, with `role_uuid` for the role.
        versions: the versions that the change may start from; None for any.

    Raises:
        NotFoundError, EmailTakenError, InvalidInputError, ForbiddenError, LastMasterAdminError
        PreconditionFailedError: the current version is not among `versions`.
        StepUpNeededError, ScopeMissingError: password, role and address of others are changed by
            those alone who have just shown their own password.
    """
    actor = change_powers(actor, WRITE)
    user = get_managed_user(actor, user_uuid, versions)
    columns = dict(changes)
    own_session = actor.token_id if user.id == actor.id else None
    if "role_uuid" in columns:
        _change_role(actor, user, columns.pop("role_uuid"), own_session)
    if columns.get("is_active") is False:
        check_not_last_master_admin(user)
        end_all_tokens(user.id)
        end_feeds(user.id)
        one_time.forget(user.id, *PURPOSES)
        revoke_invitations(User.id == user.id)
    if "password_hash" in columns:
        user.password_hash = columns.pop("password_hash")
        end_sessions(user.id, but=own_session)
        one_time.forget(user.id, PASSWORD_RESET)
        mails.send("password_changed", user.email, user.language, **_names(user))
        record(actor, "password.changed", ("user", user.uuid))
    return _write(actor, user, columns)


def change_own(actor: CurrentUser, changes: dict[str, Any], versions: Versions) -> User:
    """Change what people may change of themselves.

    Raises:
        UnauthenticatedError: the user is not active any more.
        PreconditionFailedError: the current version is not among `versions`.
        EmailTakenError
        StepUpNeededError: the address is changed by those alone who have just shown their password.
    """
    try:
        user = get_user(actor.uuid, for_update=True)
    except NotFoundError:
        raise UnauthenticatedError from None
    if not user.is_active:
        raise UnauthenticatedError
    if versions is not None and user.version not in versions:
        raise PreconditionFailedError
    return _write(actor, user, dict(changes))


def _change_role(
    actor: CurrentUser, user: User, role_uuid: uuid.UUID, own_session: int | None
) -> None:
    role = get_role(role_uuid)
    check_may_manage(actor, role)
    if role.id == user.role_id:
        return
    if own_session is None:
        check_fresh(actor)
    check_not_last_master_admin(user)
    if set(user.role.permissions) - set(role.permissions):
        revoke_invitations(User.id == user.id)
    record(actor, "user.role_changed", ("user", user.uuid), before=user.role.name, after=role.name)
    user.role = role
    end_sessions(user.id, but=own_session)


def _write(actor: CurrentUser, user: User, columns: dict[str, Any]) -> User:
    """Write columns that need no rules of their own, and the address, which does."""
    email = columns.pop("email", user.email)
    changed = [name for name, value in columns.items() if getattr(user, name) != value]
    for column, value in columns.items():
        setattr(user, column, value)
    if email != user.email.lower():
        check_fresh(actor)
        _change_address(user, email)
        changed.append("email")
    flush_unique_email()
    if changed:
        record(actor, "user.changed", ("user", user.uuid), fields=sorted(changed))
    db.session.refresh(user)
    return user


def _change_address(user: User, email: str) -> None:
    """Give a user an address that has yet to be confirmed, and tell the old one."""
    old = user.email
    user.email = email
    user.is_verified = False
    flush_unique_email()
    members.forget(old)
    # What was mailed to the old address is good for nothing any more.
    one_time.forget(user.id, *PURPOSES)
    mailed = one_time.make(user.id, ADDRESS)
    names = _names(user)
    mails.send("address", email, user.language, token=mailed.token, until=mailed.until, **names)
    mails.send("address_changed", old, user.language, **names)


def _names(user: User) -> dict[str, str]:
    return {"name": user.first_name, "company": current_tenant().name}


def _context(values: dict[str, Any], user: User | None) -> list[str]:
    """What somebody's password must not be made of: names, address and company."""
    names = [values.get(name) for name in ("first_name", "last_name", "email")]
    if user is not None:
        names += [user.first_name, user.last_name, user.email]
    return [*filter(None, names), current_tenant().name]
