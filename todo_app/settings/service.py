"""What a company sets for all of its people, and what each of them sets for themselves."""

from __future__ import annotations

from datetime import time
from typing import Any, NamedTuple

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.audit.service import record
from todo_app.database import Versions, db
from todo_app.errors import (
    ConflictError,
    InvalidInputError,
    PreconditionFailedError,
    UnauthenticatedError,
)
from todo_app.permissions.service import use_powers
from todo_app.settings.models import CompanySettings
from todo_app.tenancy import CurrentUser
from todo_app.two_factor.models import TwoFactor

WRITE = "settings:write"
BOTH_OR_NEITHER = "Quiet hours have a beginning and an end, or neither."


class NoSecondFactorError(ConflictError):
    """Whoever asks everybody for a second factor would be locked out at once without one."""

    code = "no-second-factor"
    detail = "Set up a second factor of your own first, at /auth/two-factor."


class Defaults(NamedTuple):
    """What people get who are added without saying it."""

    language: str
    timezone: str


def get_company() -> CompanySettings:
    """The settings of the current tenant."""
    return db.session.scalars(sa.select(CompanySettings)).one()


def defaults() -> Defaults:
    """Language and time zone of new people in the current tenant."""
    company = get_company()
    return Defaults(company.language, company.timezone)


def change_company(
    actor: CurrentUser, changes: dict[str, Any], versions: Versions
) -> CompanySettings:
    """Change settings of the current tenant.

    Args:
        actor: on whose behalf.
        changes: columns.
        versions: the versions that the change may start from.

    Raises:
        ForbiddenError, UnauthenticatedError: the actor has lost the permission meanwhile.
        PreconditionFailedError: the current version is not among `versions`.
        NoSecondFactorError: all are to have a second factor, and the actor has none.
    """
    actor = use_powers(actor, WRITE)
    statement = sa.select(CompanySettings).with_for_update()
    company = db.session.scalars(statement.execution_options(populate_existing=True)).one()
    if versions is not None and company.version not in versions:
        raise PreconditionFailedError
    if changes.get("require_two_factor") and not company.require_two_factor:
        _check_second_factor(actor)
    _write(actor, company, changes, ("company", None))
    return company


def get_own(actor: CurrentUser) -> User:
    """The actor's row, which holds their settings.

    Raises:
        UnauthenticatedError: there is no such user any more.
    """
    return _own(actor, sa.select(User))


def change_own(actor: CurrentUser, changes: dict[str, Any], versions: Versions) -> User:
    """Change the actor's own settings.

    Args:
        actor: whose.
        changes: columns of the user.
        versions: the versions of the user that the change may start from.

    Raises:
        UnauthenticatedError: the user is not active any more.
        PreconditionFailedError: the current version is not among `versions`.
        InvalidInputError: quiet hours would begin and not end, or the other way round.
    """
    statement = sa.select(User).with_for_update(of=User, key_share=True)
    user = _own(actor, statement.execution_options(populate_existing=True))
    if versions is not None and user.version not in versions:
        raise PreconditionFailedError
    quiet = [changes.get(name, getattr(user, name)) for name in ("quiet_from", "quiet_until")]
    if (quiet[0] is None) != (quiet[1] is None):
        raise InvalidInputError(errors={"json": {"quiet_until": [BOTH_OR_NEITHER]}})
    _write(actor, user, changes, ("user", user.uuid))
    return user


def _own(actor: CurrentUser, statement: sa.Select[User]) -> User:
    present = statement.where(User.id == actor.id, User.is_active, User.deleted_at.is_(None))
    user = db.session.scalars(present).one_or_none()
    if user is None:
        raise UnauthenticatedError
    return user


def _check_second_factor(actor: CurrentUser) -> None:
    # Shared: whoever switches the factor off waits, and is asked for it from then on.
    has_one = sa.select(TwoFactor.user_id).where(
        TwoFactor.user_id == actor.id, TwoFactor.confirmed_at.is_not(None)
    )
    if db.session.scalar(has_one.with_for_update(read=True)) is None:
        raise NoSecondFactorError


def _write(
    actor: CurrentUser, row: CompanySettings | User, changes: dict[str, Any], target: Any
) -> None:
    changed = {
        name: {"old": _plain(getattr(row, name)), "new": _plain(value)}
        for name, value in changes.items()
        if getattr(row, name) != value
    }
    if not changed:
        return
    for name, value in changes.items():
        setattr(row, name, value)
    db.session.flush()
    record(actor, "settings.changed", target, changes=changed)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    return f"{value:%H:%M}" if isinstance(value, time) else value
