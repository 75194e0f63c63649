"""Roles of a company's own, beside those that come with the schema."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from slugify import slugify

from todo_app.accounts.models import User
from todo_app.audit.service import record
from todo_app.database import Versions, db
from todo_app.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
)
from todo_app.invitations.models import Invitation
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.permissions.models import ALL_PERMISSIONS, PERMISSIONS, READ_ONLY, Role
from todo_app.permissions.service import (
    change_powers,
    check_may_manage,
    check_may_permit,
    revoke_invitations,
)
from todo_app.tenancy import CurrentUser

WRITE = "roles:write"

_USER_COUNT = (
    sa.select(sa.func.count())
    .where(User.role_id == Role.id, User.deleted_at.is_(None))
    .correlate(Role)
    .scalar_subquery()
)
_ROLES = sa.select(
    Role.uuid,
    Role.name,
    Role.title,
    Role.description,
    Role.is_builtin,
    Role.permissions,
    Role.version,
    _USER_COUNT.label("user_count"),
)
ORDER_BY = {"title": Role.title, "name": Role.name, "created_at": Role.created_at}
_PAGES = PageQuery(_ROLES, ORDER_BY, Role.id)
_SEARCH = PageQuery(_ROLES.where(matches(Role.title)), ORDER_BY, Role.id)


class BuiltinRoleError(ConflictError):
    """The roles that come with the schema stay as they are."""

    code = "builtin-role"
    detail = "This role is built in and never changes."


class RoleExistsError(ConflictError):
    """Another role of the tenant has this title, or one that makes the same name."""

    code = "role-exists"
    detail = "There is a role with this title, or one that is too much like it."


class RoleInUseError(ConflictError):
    """A role that somebody has, or is invited to, stays."""

    code = "role-in-use"


def page_of_roles(request: PageRequest) -> Page:
    """A page of the tenant's roles; `search` looks into the title."""
    if request.search:
        return _SEARCH.fetch(request, search=request.search)
    return _PAGES.fetch(request)


def get_role(role_uuid: uuid.UUID) -> sa.Row[*tuple[Any, ...]]:
    """One role as it is shown, with its `version`.

    Raises:
        NotFoundError: the tenant has no such role.
    """
    row = db.session.execute(_ROLES.where(Role.uuid == role_uuid)).one_or_none()
    if row is None:
        raise NotFoundError("There is no such role.")
    return row


def add_role(actor: CurrentUser, values: dict[str, Any]) -> sa.Row[*tuple[Any, ...]]:
    """Add a role; its name is made from its title.

    Raises:
        ForbiddenError: it permits what the actor may not do.
        RoleExistsError: there is one with this title or name.
        InvalidInputError: the title has nothing that a name could be made from.
    """
    actor = change_powers(actor, WRITE)
    check_may_permit(actor, values["permissions"])
    name = slugify(values["title"], separator="_")
    if not name:
        raise InvalidInputError(errors={"json": {"title": ["Needs a letter or a digit."]}})
    _check_free((Role.name == name) | _has_title(values["title"]))
    role = Role(**values | {"permissions": _in_order(values["permissions"])}, name=name)
    db.session.add(role)
    db.session.flush()
    record(actor, "role.added", ("role", role.uuid), name=name, permissions=role.permissions)
    return get_role(role.uuid)


def change_role(
    actor: CurrentUser, role_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> sa.Row[*tuple[Any, ...]]:
    """Change only what `changes` names; the role's name stays.

    What it permits from now on counts from the next request of those who have it.

    Raises:
        NotFoundError, BuiltinRoleError, RoleExistsError
        ForbiddenError: it permits, before or after, what the actor may not do.
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    actor, role = _lock(actor, role_uuid, versions)
    if "title" in changes:
        _check_free(_has_title(changes["title"]) & (Role.id != role.id))
    if "permissions" in changes:
        changes = changes | {"permissions": _in_order(changes["permissions"])}
        check_may_permit(actor, changes["permissions"])
        if set(role.permissions) - set(changes["permissions"]):
            revoke_invitations(User.role_id == role.id)
    for column, value in changes.items():
        if getattr(role, column) != value:
            setattr(role, column, value)
    if db.session.is_modified(role):
        record(actor, "role.changed", ("role", role.uuid), name=role.name, **changes)
        db.session.flush()
    return get_role(role_uuid)


def delete_role(actor: CurrentUser, role_uuid: uuid.UUID, versions: Versions) -> None:
    """Delete a role; deleted users who had it may read, should they ever come back.

    Raises:
        NotFoundError, BuiltinRoleError, ForbiddenError, PreconditionFailedError: as in
        `change_role`.
        RoleInUseError: somebody has it, or is invited to it.
    """
    actor, role = _lock(actor, role_uuid, versions)
    _check_unused(role)
    reader = sa.select(Role.id).where(Role.name == READ_ONLY).scalar_subquery()
    for table in (User, Invitation):
        db.session.execute(
            sa.update(table)
            .where(table.role_id == role.id)
            .values(role_id=reader, version=table.version + 1)
            .execution_options(synchronize_session=False)
        )
    db.session.delete(role)
    db.session.flush()
    record(actor, "role.deleted", ("role", role_uuid), name=role.name)


def _lock(actor: CurrentUser, role_uuid: uuid.UUID, versions: Versions) -> tuple[CurrentUser, Role]:
    actor = change_powers(actor, WRITE)
    # Who accepts an invitation to the role keeps it in place meanwhile.
    statement = sa.select(Role).where(Role.uuid == role_uuid).with_for_update()
    role = db.session.scalars(statement.execution_options(populate_existing=True)).one_or_none()
    if role is None:
        raise NotFoundError("There is no such role.")
    if versions is not None and role.version not in versions:
        raise PreconditionFailedError
    if role.is_builtin:
        raise BuiltinRoleError
    check_may_manage(actor, role)
    return actor, role


def _check_unused(role: Role) -> None:
    people = sa.select(sa.func.count()).where(User.role_id == role.id, User.deleted_at.is_(None))
    invited = sa.select(sa.func.count()).where(
        Invitation.role_id == role.id,
        Invitation.accepted_at.is_(None),
        Invitation.revoked_at.is_(None),
        Invitation.expires_at > sa.func.now(),
    )
    users, invitations = db.session.execute(
        sa.select(people.scalar_subquery(), invited.scalar_subquery())
    ).one()
    if users or invitations:
        raise RoleInUseError(
            f"Users who have this role: {users}; pending invitations to it: {invitations}."
        )


def _has_title(title: str) -> sa.ColumnElement[bool]:
    return sa.func.lower(Role.title) == sa.func.lower(title)


def _check_free(same: sa.ColumnElement[bool]) -> None:
    if db.session.scalar(sa.select(sa.exists().where(same))):
        raise RoleExistsError


def _in_order(permissions: list[str]) -> list[str]:
    """Permissions as `PERMISSIONS` lists them, so that equal ones look equal."""
    listed = [name for group in PERMISSIONS.values() for name in group]
    return [name for name in listed if name in permissions and name in ALL_PERMISSIONS]
