"""The users of a tenant: who there is, and how one is added."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.accounts.passwords import hash_password
from todo_app.audit.service import record
from todo_app.database import Versions, db
from todo_app.errors import (
    ConflictError,
    NotFoundError,
    PreconditionFailedError,
    UnauthenticatedError,
)
from todo_app.groups.models import GroupMember
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.permissions.models import MASTER_ADMIN, Role
from todo_app.permissions.service import (
    check_may_hand_out,
    check_may_manage,
    get_role,
    use_powers,
)
from todo_app.registration.limit import check_room
from todo_app.sessions.models import AccessToken
from todo_app.settings.service import defaults
from todo_app.tenancy import CurrentUser

WRITE = "users:write"

ACTIVE = "active"
INACTIVE = "inactive"
DELETED = "deleted"
PRESENT = "present"
EVERYBODY = "all"
STATES = {
    PRESENT: User.deleted_at.is_(None),
    ACTIVE: User.is_active & User.deleted_at.is_(None),
    INACTIVE: ~User.is_active & User.deleted_at.is_(None),
    DELETED: User.deleted_at.is_not(None),
    EVERYBODY: sa.true(),
}
"""Which users a page can be of. Present are those who are not deleted."""

_ROLE = (
    sa.select(sa.func.jsonb_build_object("uuid", Role.uuid, "name", Role.name, "title", Role.title))
    .where(Role.id == User.role_id)
    .scalar_subquery()
)
_USERS = sa.select(
    User.uuid,
    User.first_name,
    User.last_name,
    User.email,
    User.phone,
    User.is_active,
    User.is_verified,
    _ROLE.label("role"),
)
ORDER_BY = {
    "last_name": User.last_name,
    "first_name": User.first_name,
    "email": User.email,
    "created_at": User.created_at,
}


class _Pages:
    """Pages of some users, with a search or without."""

    def __init__(self, which: sa.ColumnElement[bool]) -> None:
        rows = _USERS.where(which)
        found = rows.where(matches(User.first_name, User.last_name, User.email))
        self._all = PageQuery(rows, ORDER_BY, User.id)
        self._found = PageQuery(found, ORDER_BY, User.id)

    def fetch(self, request: PageRequest, **parameters: Any) -> Page:
        """A page; `search` looks into names and address."""
        if request.search:
            return self._found.fetch(request, search=request.search, **parameters)
        return self._all.fetch(request, **parameters)


_PAGES = {state: _Pages(which) for state, which in STATES.items()}
_PAGES_OF_ROLE = _Pages(
    STATES[PRESENT]
    & User.role_id.in_(sa.select(Role.id).where(Role.uuid == sa.bindparam("role_uuid")))
)
_PAGES_OF_HOLDERS = _Pages(
    STATES[PRESENT]
    & User.role_id.in_(
        sa.select(Role.id).where(
            sa.bindparam("permission", type_=sa.Text) == sa.func.any(Role.permissions)
        )
    )
)
_PAGES_OF_GROUP = _Pages(
    STATES[PRESENT]
    & User.id.in_(
        sa.select(GroupMember.user_id).where(GroupMember.group_id == sa.bindparam("group_id"))
    )
)


class EmailTakenError(ConflictError):
    """Another user of the tenant has this address."""

    code = "email-taken"
    detail = "Another user has this email address."


class LastMasterAdminError(ConflictError):
    """A tenant always keeps an active master administrator."""

    code = "last-master-admin"
    detail = "This is the last active master administrator."


def page_of_users(request: PageRequest, state: str = PRESENT) -> Page:
    """A page of the tenant's users; `search` looks into names and address.

    Args:
        request: which page.
        state: one of STATES.
    """
    return _PAGES[state].fetch(request)


def page_of_users_with_role(request: PageRequest, role_uuid: uuid.UUID) -> Page:
    """A page of those who have a role."""
    return _PAGES_OF_ROLE.fetch(request, role_uuid=role_uuid)


def page_of_holders(request: PageRequest, permission: str) -> Page:
    """A page of those who have a permission."""
    return _PAGES_OF_HOLDERS.fetch(request, permission=permission)


def page_of_group(request: PageRequest, group_id: int) -> Page:
    """A page of those who are in a group."""
    return _PAGES_OF_GROUP.fetch(request, group_id=group_id)


def count_users() -> int:
    """How many users the tenant has."""
    statement = sa.select(sa.func.count()).select_from(User).where(User.deleted_at.is_(None))
    return db.session.scalar(statement) or 0


def get_user(user_uuid: uuid.UUID, *, for_update: bool = False, even_deleted: bool = False) -> User:
    """One user.

    Args:
        user_uuid: whose row.
        for_update: whether the row is going to be changed.
        even_deleted: whether it may be one who is deleted.

    Raises:
        NotFoundError: the tenant has no such user.
    """
    statement = sa.select(User).where(User.uuid == user_uuid)
    if not even_deleted:
        statement = statement.where(User.deleted_at.is_(None))
    if for_update:
        # Rows that refer to the user, such as tasks, may be written meanwhile. Without the role:
        # PostgreSQL finds no row whose role changes while this waits, where both are joined.
        statement = statement.options(sa.orm.lazyload(User.role))
        statement = statement.with_for_update(of=User, key_share=True)
        statement = statement.execution_options(populate_existing=True)
    user = db.session.scalars(statement).one_or_none()
    if user is None:
        raise NotFoundError("There is no such user.")
    return user


def lock_self(actor: CurrentUser) -> User:
    """The actor's own row, locked, and as it is now.

    Raises:
        UnauthenticatedError: they are not active any more, or their session has ended meanwhile.
    """
    try:
        user = get_user(actor.uuid, for_update=True)
    except NotFoundError:
        raise UnauthenticatedError from None
    # A statement of its own: it sees what those did who held the lock before.
    has_token = sa.exists().where(AccessToken.id == actor.token_id, AccessToken.user_id == user.id)
    if not user.is_active or not db.session.scalar(sa.select(has_token)):
        raise UnauthenticatedError
    return user


def get_managed_user(
    actor: CurrentUser,
    user_uuid: uuid.UUID,
    versions: Versions = None,
    *,
    even_deleted: bool = False,
) -> User:
    """A user whom `actor` may change, ready for that. Everybody may change themselves.

    Args:
        actor: as `change_powers` has returned them.
        user_uuid: whom.
        versions: the versions that the change may start from.
        even_deleted: whether it may be one who is deleted.

    Raises:
        NotFoundError: the tenant has no such user.
        PreconditionFailedError: `versions` are given and the current one is not among them.
        ForbiddenError: the user may do what the actor may not.
    """
    user = get_user(user_uuid, for_update=True, even_deleted=even_deleted)
    if versions is not None and user.version not in versions:
        raise PreconditionFailedError
    if user.id != actor.id:
        check_may_manage(actor, user.role)
    return user


def check_not_last_master_admin(user: User) -> None:
    """Check that the tenant has another active master administrator, where the user is one.

    Two who go at once do not both pass: `change_powers` lets one come after the other.

    Raises:
        LastMasterAdminError
    """
    if user.role.name != MASTER_ADMIN or not user.is_active or user.deleted_at is not None:
        return
    others = sa.exists().where(
        User.role_id == user.role_id, User.id != user.id, User.is_active, User.deleted_at.is_(None)
    )
    if not db.session.scalar(sa.select(others)):
        raise LastMasterAdminError


def add_user(actor: CurrentUser, values: dict[str, Any]) -> User:
    """Add a user.

    Args:
        actor: on whose behalf.
        values: columns of the user, with `role_uuid` for the role, and `password_hash`.

    Raises:
        EmailTakenError, AccountLimitError, InvalidInputError (no such role), ForbiddenError (the
        role is above the actor's).
        StepUpNeededError, ScopeMissingError: as in `check_may_hand_out`.
    """
    actor = use_powers(actor, WRITE)
    role = get_role(values["role_uuid"])
    check_may_hand_out(actor, role)
    check_room()
    columns = {name: value for name, value in values.items() if name != "role_uuid"}
    user = add_user_with_role({**defaults()._asdict(), **columns}, role.name)
    record(actor, "user.added", ("user", user.uuid), role=role.name)
    return user


def add_user_with_role(values: dict[str, Any], role_name: str) -> User:
    """Add a user with a role, on nobody's behalf.

    Args:
        values: columns of the user; `password` may stand for `password_hash`.
        role_name: of the role.

    Raises:
        EmailTakenError
    """
    role = db.session.scalars(sa.select(Role).where(Role.name == role_name)).one()
    columns = {name: value for name, value in values.items() if name != "password"}
    if "password" in values:
        columns["password_hash"] = hash_password(values["password"])
    user = User(**columns, role=role)
    db.session.add(user)
    flush_unique_email()
    db.session.refresh(user)
    return user


def flush_unique_email() -> None:
    """Write what has changed of users.

    Raises:
        EmailTakenError: somebody else has the address.
    """
    try:
        db.session.flush()
    except sa.exc.IntegrityError as error:
        if "uq_users_email" in str(error.orig):
            raise EmailTakenError from None
        raise
