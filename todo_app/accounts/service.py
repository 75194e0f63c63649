"""Registration, sessions, and the users of a tenant."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from todo_app import outbox
from todo_app.accounts.models import ADMIN, MASTER_ADMIN, AccessToken, Role, User
from todo_app.accounts.passwords import hash_password, verify_password
from todo_app.auth import digest, new_secret
from todo_app.database import Versions, db
from todo_app.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
    UnauthenticatedError,
)
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenancy import CurrentUser, current_tenant, enter_new_tenant
from todo_app.tenants import service as tenants
from todo_app.tenants.models import Tenant

SESSION_LASTS = timedelta(days=1)
PERMANENT_SESSION_LASTS = timedelta(days=30)

_ROLE = (
    sa.select(sa.func.jsonb_build_object("uuid", Role.uuid, "name", Role.name, "title", Role.title))
    .where(Role.id == User.role_id)
    .scalar_subquery()
)
_USER_COLUMNS = (
    User.uuid,
    User.first_name,
    User.last_name,
    User.email,
    User.phone,
    User.is_active,
    User.is_verified,
    _ROLE.label("role"),
)
_USERS = sa.select(*_USER_COLUMNS).where(User.deleted_at.is_(None))
ORDER_BY = {
    "last_name": User.last_name,
    "first_name": User.first_name,
    "email": User.email,
    "created_at": User.created_at,
}
_PAGES = PageQuery(_USERS, ORDER_BY, User.id)
_PATTERN = sa.bindparam("pattern", type_=sa.Text)
_SEARCH = PageQuery(
    _USERS.where(
        sa.or_(
            User.first_name.ilike(_PATTERN),
            User.last_name.ilike(_PATTERN),
            User.email.ilike(_PATTERN),
        )
    ),
    ORDER_BY,
    User.id,
)


class EmailTakenError(ConflictError):
    """Another user of the tenant has this address."""

    code = "email-taken"
    detail = "Another user has this email address."


class WrongCredentialsError(UnauthenticatedError):
    """Address or password is wrong; the answer does not say which."""

    code = "wrong-credentials"
    detail = "Email address or password is wrong."


class LastMasterAdminError(ConflictError):
    """A tenant always keeps an active master administrator."""

    code = "last-master-admin"
    detail = "This is the last active master administrator."


class Registration(NamedTuple):
    """What a registration has made."""

    tenant: Tenant
    user: User


class Session(NamedTuple):
    """A fresh session; the only moment at which its token is known."""

    token: str
    expires_at: datetime
    user: User


def register(
    company: dict[str, str | None], person: dict[str, Any], public_url: str
) -> Registration:
    """Make a tenant and its first user, who is its master administrator.

    Args:
        company: `name` and further columns of the catalogue.
        person: columns of the user, and `password`.
        public_url: how clients reach the API, for the welcome mail.
    """
    tenant = tenants.create(**company)  # type: ignore[arg-type]
    enter_new_tenant(tenant.schema_name)
    user = add_user_with_role(person, MASTER_ADMIN)
    outbox.send_mail(
        to=user.email,
        subject=f"Welcome to TODO, {user.first_name}",
        text=(
            f"Hello {user.first_name} {user.last_name},\n\n"
            f"{tenant.name} is ready at {public_url}.\n"
            f"Sign in with this address and the tenant {tenant.slug}.\n"
        ),
    )
    return Registration(tenant, user)


def log_in(email: str, password: str, *, permanent: bool, user_agent: str | None) -> Session:
    """Start a session in the current tenant.

    Raises:
        WrongCredentialsError: no active user has this address and password.
    """
    found = db.session.execute(
        sa.select(User.id, User.uuid, User.password_hash, User.is_active).where(
            sa.func.lower(User.email) == email.lower(), User.deleted_at.is_(None)
        )
    ).one_or_none()
    schema_name = current_tenant().schema_name
    # The transaction ends before the slow part, so that hashing holds no connection.
    db.session.rollback()
    is_right = verify_password(found.password_hash if found else None, password)
    if found is None or not is_right or not found.is_active:
        raise WrongCredentialsError
    _check_unchanged(found.id, found.password_hash)
    secret = new_secret()
    lasts = PERMANENT_SESSION_LASTS if permanent else SESSION_LASTS
    expires_at = datetime.now(UTC) + lasts
    db.session.execute(
        sa.delete(AccessToken).where(
            AccessToken.user_id == found.id, AccessToken.expires_at < sa.func.now()
        )
    )
    db.session.add(
        AccessToken(
            user_id=found.id, digest=digest(secret), expires_at=expires_at, user_agent=user_agent
        )
    )
    db.session.flush()
    return Session(f"{schema_name}.{secret}", expires_at, get_user(found.uuid))


def _check_unchanged(user_id: int, password_hash: str) -> None:
    """Refuse a log-in whose user was changed, and whose sessions were ended, meanwhile."""
    statement = (
        sa.select(User.id)
        .where(
            User.id == user_id,
            User.password_hash == password_hash,
            User.is_active,
            User.deleted_at.is_(None),
        )
        .with_for_update(read=True)
    )
    if db.session.scalar(statement) is None:
        raise WrongCredentialsError


def check_session(token_digest: bytes) -> tuple[User, datetime]:
    """The user of a session, and when it ends.

    Raises:
        NotFoundError: there is no such session, or it has ended.
    """
    row = db.session.execute(
        sa.select(User, AccessToken.expires_at)
        .join(AccessToken, AccessToken.user_id == User.id)
        .where(
            AccessToken.digest == token_digest,
            AccessToken.expires_at > sa.func.now(),
            User.is_active,
            User.deleted_at.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError("There is no such session.")
    return row.User, row.expires_at


def log_out(token_id: int) -> None:
    """End one session."""
    db.session.execute(sa.delete(AccessToken).where(AccessToken.id == token_id))


def page_of_users(request: PageRequest) -> Page:
    """A page of the tenant's users; `search` looks into names and address."""
    if request.search:
        return _SEARCH.fetch(request, pattern=contains(request.search))
    return _PAGES.fetch(request)


def count_users() -> int:
    """How many users the tenant has."""
    statement = sa.select(sa.func.count()).select_from(User).where(User.deleted_at.is_(None))
    return db.session.scalar(statement) or 0


def get_user(user_uuid: uuid.UUID, *, for_update: bool = False) -> User:
    """One user.

    Raises:
        NotFoundError: the tenant has no such user.
    """
    statement = sa.select(User).where(User.uuid == user_uuid, User.deleted_at.is_(None))
    if for_update:
        statement = statement.with_for_update(of=User)
    user = db.session.scalars(statement).one_or_none()
    if user is None:
        raise NotFoundError("There is no such user.")
    return user


def add_user(actor: CurrentUser, values: dict[str, Any]) -> User:
    """Add a user.

    Raises:
        EmailTakenError, InvalidInputError (no such role), ForbiddenError (the role is above the
        actor's).
    """
    role = _get_role(values.pop("role_uuid"))
    _check_may_manage(actor, role)
    return add_user_with_role(values, role.name)


def change_user(
    actor: CurrentUser, user_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> User:
    """Change only what `changes` names; a new password or deactivation ends all sessions.

    Raises:
        NotFoundError, EmailTakenError, InvalidInputError, ForbiddenError, LastMasterAdminError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    user = _get_for_change(actor, user_uuid, versions)
    if "role_uuid" in changes:
        role = _get_role(changes.pop("role_uuid"))
        _check_may_manage(actor, role)
        if role.id != user.role_id:
            _check_not_last_master_admin(user)
            user.role = role
    is_deactivated = changes.get("is_active") is False
    if is_deactivated:
        _check_not_last_master_admin(user)
    password = changes.pop("password", None)
    if password is not None:
        user.password_hash = hash_password(password)
    if password is not None or is_deactivated:
        _end_sessions(user)
    for column, value in changes.items():
        setattr(user, column, value)
    _flush_unique_email()
    db.session.refresh(user)
    return user


def delete_user(actor: CurrentUser, user_uuid: uuid.UUID, versions: Versions) -> None:
    """Delete a user and end all sessions; the row stays, without a way to sign in.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError, LastMasterAdminError
        ConflictError: users cannot delete themselves.
    """
    user = _get_for_change(actor, user_uuid, versions)
    if user.id == actor.id:
        raise ConflictError("You cannot delete yourself.")
    _check_not_last_master_admin(user)
    user.deleted_at = datetime.now(UTC)
    user.is_active = False
    _end_sessions(user)
    db.session.flush()


def roles() -> list[Role]:
    """All roles of the tenant."""
    return list(db.session.scalars(sa.select(Role).order_by(Role.id)))


def _get_for_change(actor: CurrentUser, user_uuid: uuid.UUID, versions: Versions) -> User:
    user = get_user(user_uuid, for_update=True)
    if versions is not None and user.version not in versions:
        raise PreconditionFailedError
    if user.id != actor.id:
        _check_may_manage(actor, user.role)
    return user


def _end_sessions(user: User) -> None:
    db.session.execute(sa.delete(AccessToken).where(AccessToken.user_id == user.id))


def _check_may_manage(actor: CurrentUser, role: Role) -> None:
    if role.name in (MASTER_ADMIN, ADMIN) and "admins:write" not in actor.permissions:
        raise ForbiddenError("Only a master administrator may do this to an administrator.")


def _check_not_last_master_admin(user: User) -> None:
    if user.role.name != MASTER_ADMIN or not user.is_active:
        return
    # Locking the role row makes two such changes wait for each other.
    db.session.execute(sa.select(Role.id).where(Role.id == user.role_id).with_for_update())
    others = sa.select(sa.func.count()).where(
        User.role_id == user.role_id,
        User.id != user.id,
        User.is_active,
        User.deleted_at.is_(None),
    )
    if not db.session.scalar(others):
        raise LastMasterAdminError


def _get_role(role_uuid: uuid.UUID) -> Role:
    role = db.session.scalars(sa.select(Role).where(Role.uuid == role_uuid)).one_or_none()
    if role is None:
        raise InvalidInputError(errors={"json": {"role_uuid": ["There is no such role."]}})
    return role


def add_user_with_role(values: dict[str, Any], role_name: str) -> User:
    """Add a user with a seeded role, on nobody's behalf.

    Raises:
        EmailTakenError
    """
    role = db.session.scalars(sa.select(Role).where(Role.name == role_name)).one()
    columns = {name: value for name, value in values.items() if name != "password"}
    user = User(**columns, password_hash=hash_password(values["password"]), role=role)
    db.session.add(user)
    _flush_unique_email()
    db.session.refresh(user)
    return user


def _flush_unique_email() -> None:
    try:
        db.session.flush()
    except sa.exc.IntegrityError as error:
        if "uq_users_email" in str(error.orig):
            raise EmailTakenError from None
        raise
