"""Who may hand out which role.

Nobody gives away, or takes from others, what they do not have themselves: whoever changes a role,
or somebody who has it, has all of its permissions. Administrators are changed by those alone who
have `admins:write`.

What the beginning of a request has read of its user may have been taken away since. Whoever makes
use of a power therefore calls `use_powers` first, and whoever may take one away `change_powers`:
the second waits for all of the first, and for its like, so that what they return holds until the
transaction ends. It is the first lock of each such transaction, which lets none of them deadlock.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.auth import check_fresh
from todo_app.database import db
from todo_app.errors import ForbiddenError, InvalidInputError, UnauthenticatedError
from todo_app.invitations.models import Invitation
from todo_app.permissions.models import ADMINISTRATIVE, Role
from todo_app.sessions.models import AccessToken
from todo_app.tenancy import CurrentUser

POWERS_LOCK = 7301007
"""First key of the advisory lock of a tenant's powers; the second stands for its schema."""


def roles() -> list[Role]:
    """All roles of the tenant."""
    return list(db.session.scalars(sa.select(Role).order_by(Role.id)))


def get_role(role_uuid: uuid.UUID) -> Role:
    """The role that some input names.

    Raises:
        InvalidInputError: there is no such role.
    """
    # Shared: whoever deletes it, or changes what it permits, waits until it has been handed out.
    statement = sa.select(Role).where(Role.uuid == role_uuid).with_for_update(read=True)
    role = db.session.scalars(statement.execution_options(populate_existing=True)).one_or_none()
    if role is None:
        raise InvalidInputError(errors={"json": {"role_uuid": ["There is no such role."]}})
    return role


def use_powers(actor: CurrentUser, permission: str) -> CurrentUser:
    """The actor as they are now; nobody takes a power from them until the transaction ends.

    Args:
        actor: as the beginning of the request has found them.
        permission: what they must still have.

    Raises:
        UnauthenticatedError: they are not active any more, or their session has ended.
        ForbiddenError: they do not have the permission any more.
    """
    return _hold(actor, permission, sa.func.pg_advisory_xact_lock_shared)


def change_powers(actor: CurrentUser, permission: str) -> CurrentUser:
    """As `use_powers`, for what may take a power away from somebody: one such change at a time.

    Raises:
        UnauthenticatedError, ForbiddenError: as there.
    """
    return _hold(actor, permission, sa.func.pg_advisory_xact_lock)


def check_may_manage(actor: CurrentUser, role: Role) -> None:
    """Check that `actor` may hand `role` out, or change it or somebody who has it.

    Raises:
        ForbiddenError: it permits what the actor may not do.
    """
    check_may_permit(actor, role.permissions)


def check_may_hand_out(actor: CurrentUser, role: Role) -> None:
    """Check that `actor` may give `role` to somebody new.

    An administrator is made by those alone who have just shown their password: whoever found a
    session open, or an API token, could else make one, sign in as that, and do all the rest.

    Raises:
        ForbiddenError: it permits what the actor may not do.
        StepUpNeededError, ScopeMissingError: it is an administrator's.
    """
    check_may_manage(actor, role)
    if ADMINISTRATIVE & set(role.permissions):
        check_fresh(actor)


def check_may_permit(actor: CurrentUser, permissions: list[str]) -> None:
    """Check that `actor` may give these permissions to a role, or take them away.

    Raises:
        ForbiddenError: there is one that the actor does not have.
    """
    if ADMINISTRATIVE & set(permissions) and "admins:write" not in actor.permissions:
        raise ForbiddenError("Only a master administrator may do this to an administrator.")
    missing = sorted(set(permissions) - set(actor.permissions))
    if missing:
        raise ForbiddenError(f"You lack permissions that this role has: {', '.join(missing)}.")


def revoke_invitations(inviters: sa.ColumnElement[bool]) -> None:
    """Revoke the pending invitations of people who have lost the power to make them.

    Args:
        inviters: which users; a condition on `User`.
    """
    db.session.execute(
        sa.update(Invitation)
        .where(
            Invitation.invited_by_id.in_(sa.select(User.id).where(inviters)),
            Invitation.accepted_at.is_(None),
            Invitation.revoked_at.is_(None),
        )
        .values(revoked_at=sa.func.now(), version=Invitation.version + 1)
        .execution_options(synchronize_session=False)
    )


def _hold(
    actor: CurrentUser, permission: str, lock: sa.sql.functions._FunctionGenerator
) -> CurrentUser:
    db.session.execute(sa.select(lock(POWERS_LOCK, sa.func.hashtext(sa.func.current_schema()))))
    has_token = sa.exists().where(AccessToken.id == actor.token_id, AccessToken.user_id == User.id)
    now = db.session.execute(
        sa.select(Role.name, Role.permissions)
        .join(User, User.role_id == Role.id)
        .where(User.id == actor.id, User.is_active, User.deleted_at.is_(None), has_token)
    ).one_or_none()
    if now is None:
        raise UnauthenticatedError
    if permission not in now.permissions:
        raise ForbiddenError(f"Your role lacks the permission {permission}.")
    return actor._replace(role=now.name, permissions=now.permissions)
