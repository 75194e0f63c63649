"""From a request to its tenant, and from the tenant to the schema of every transaction.

How it travels: `select_tenant()` runs before each request and only decides *which* tenant is meant
(token, else header, else host name). The first statement of each transaction then calls
`enter_tenant_as`, which looks the tenant up in the catalogue, makes its schema the whole
search_path and its role the current role until the end of the transaction, and finds the token's
user, all in one round trip. A tenant that is unknown, suspended or too old is refused there, so
jobs and requests obey the same rule.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Request, current_app, g

from todo_app.config import Settings
from todo_app.database import OPS_BIND, current_session, in_scope, saw_schema
from todo_app.errors import AppError, ForbiddenError, NotFoundError, UnavailableError
from todo_app.tenants.models import ACTIVE

REQUIRED_REVISION = "0008"
"""Oldest tenant revision that this code can serve; raise it when the code needs newer columns."""

SCHEMA_PREFIX = "t_"

_ENTER = """
SELECT * FROM public.enter_tenant_as(
    %(by)s, %(key)s, %(host)s, %(oldest)s, %(roles)s, %(digest)s
)
"""

_ENTER_CONTROL_PLANE = (
    "SELECT set_config('search_path', 'pg_catalog', true), set_config('role', 'none', true)"
)

# Whoever waits for a lock holds a thread and a connection that other tenants need.
_BOUND_WAITING = (
    ", set_config('lock_timeout', '3s', true), set_config('statement_timeout', '30s', true)"
)


class TenantNotFoundError(NotFoundError):
    """No tenant has this name."""

    code = "unknown-tenant"
    detail = "There is no such tenant."


class TenantNotGivenError(AppError):
    """The request names no tenant at all."""

    status = 400
    code = "tenant-missing"
    detail = "Name the tenant in the `tenant` header."


class TenantInactiveError(ForbiddenError):
    """The tenant is suspended, archived, or not there yet."""

    code = "tenant-inactive"
    detail = "This tenant is not active."


class TenantMismatchError(ForbiddenError):
    """Token, header and host name do not agree on one tenant."""

    code = "tenant-mismatch"
    detail = "The token, the tenant header and the host name belong to different tenants."


class TenantBehindError(UnavailableError):
    """The tenant's schema is older than this code can serve: its upgrade is under way."""

    code = "tenant-behind"
    detail = "This tenant is being upgraded; try again in a moment."


class CurrentTenant(NamedTuple):
    """The tenant of the running transaction, as the catalogue has it."""

    id: int
    uuid: uuid.UUID
    slug: str
    schema_name: str
    name: str
    host: str | None
    state: str
    revision: str
    account_limit: int | None


class CurrentUser(NamedTuple):
    """Who sent the request, and what its token is."""

    id: int
    uuid: uuid.UUID
    first_name: str
    last_name: str
    language: str
    role: str
    permissions: list[str]
    token_id: int
    scopes: list[str] | None
    """Of an API token; None for a session, which may do all that the role may."""
    authenticated_ago: int | None
    """Seconds since password and second factor were last shown in this session."""
    used_ago: int | None
    """Seconds since the token's use was last noted."""
    lacks_second_factor: bool
    """Whether the company asks for a second factor that this user has not set up."""


class ControlPlane:
    """Scope of the API's own role: the catalogue, and no tenant's schema."""

    bind_key: str | None = None

    def enter(self, connection: sa.Connection) -> None:
        """Leave only `pg_catalog` on the path: every control-plane table is written `public.x`."""
        connection.exec_driver_sql(_ENTER_CONTROL_PLANE + _BOUND_WAITING)


class Operations:
    """Scope of operations: the owner of the catalogue and of every schema."""

    bind_key: str | None = OPS_BIND

    def enter(self, connection: sa.Connection) -> None:
        """Leave only `pg_catalog` on the path."""
        connection.exec_driver_sql(_ENTER_CONTROL_PLANE)


class TenantScope:
    """Scope of one tenant.

    Args:
        key: what names the tenant.
        by: the catalogue column that `key` is compared with: schema_name, slug or host.
        header: the `tenant` header, which must agree.
        host: the host name of the request, which must agree where it belongs to a tenant.
        host_slug: the slug that the host name spells, which must agree.
        token_digest: of a session's token, whose user is looked up in the same round trip.
    """

    bind_key: str | None = None

    def __init__(
        self,
        key: str,
        by: str = "slug",
        *,
        header: str | None = None,
        host: str | None = None,
        host_slug: str | None = None,
        token_digest: bytes | None = None,
    ) -> None:
        self.key = key
        self.by = by
        self.header = header
        self.host = host
        self.host_slug = host_slug
        self.token_digest = token_digest
        self.tenant: CurrentTenant | None = None
        self.user: CurrentUser | None = None

    def enter(self, connection: sa.Connection) -> None:
        """Look the tenant up and make its schema and role those of the transaction.

        Raises:
            TenantNotFoundError, TenantMismatchError, TenantInactiveError, TenantBehindError: the
            transaction has no tenant then and must be rolled back.
        """
        settings: Settings = current_app.config["SETTINGS"]
        oldest = settings.required_revision or REQUIRED_REVISION
        parameters = {
            "by": self.by,
            "key": self.key,
            "host": self.host,
            "oldest": oldest,
            "roles": settings.tenant_roles,
            "digest": self.token_digest,
        }
        row = connection.exec_driver_sql(_ENTER, parameters).one()
        if row.id is None:
            raise TenantNotGivenError if self.by == "host" else TenantNotFoundError
        tenant = CurrentTenant._make(row[:9])
        self._check_agreement(tenant, host_owner=row.host_owner)
        if tenant.state != ACTIVE:
            raise TenantInactiveError
        if tenant.revision < oldest:
            raise TenantBehindError
        saw_schema(connection, tenant.schema_name)
        self.tenant = tenant
        g.tenant = tenant.slug
        self.user = CurrentUser._make(row[10:]) if row.user_id is not None else None

    def _check_agreement(self, tenant: CurrentTenant, host_owner: str | None) -> None:
        if self.header and self.header not in (tenant.slug, tenant.schema_name):
            raise TenantMismatchError
        if self.host_slug and self.host_slug != tenant.slug:
            raise TenantMismatchError
        if host_owner and host_owner != tenant.schema_name:
            raise TenantMismatchError


def current_tenant() -> CurrentTenant:
    """The tenant of the current scope; the first call begins its transaction.

    Raises:
        TenantNotGivenError: the scope is not that of a tenant.
    """
    session = current_session()
    if not isinstance(session.scope, TenantScope):
        raise TenantNotGivenError
    if session.scope.tenant is None:
        session.connection()
    assert session.scope.tenant is not None  # noqa: S101 (set by the line above, or it raised)
    return session.scope.tenant


@contextmanager
def tenant_scope(key: str, by: str = "slug") -> Iterator[None]:
    """Run the block inside one tenant, as jobs and commands do."""
    with in_scope(TenantScope(key, by)):
        yield


@contextmanager
def control_plane() -> Iterator[None]:
    """Run the block in the control plane, with the API's narrow role."""
    with in_scope(ControlPlane()):
        yield


@contextmanager
def operations() -> Iterator[None]:
    """Run the block in the control plane, as the owner of all schemas."""
    with in_scope(Operations()):
        yield


class Token(NamedTuple):
    """The two halves of a token: where its tenant is, and the digest of its secret."""

    schema_name: str
    digest: bytes


def choose_tenant(request: Request, token: Token | None) -> TenantScope | None:
    """The tenant that a request means: by its token, else its header, else its host name.

    Args:
        request: the request.
        token: the bearer token, where there is one.

    Returns:
        A scope that checks on entering that all three agree; None where nothing names a tenant.
    """
    settings: Settings = current_app.config["SETTINGS"]
    header = request.headers.get("tenant")
    host: str | None = request.host.rsplit(":", 1)[0].lower()
    host_slug = None
    if host == urlsplit(settings.public_url).hostname:
        host = None  # The service's own name stands for no tenant.
    elif host and settings.host_domain and host.endswith("." + settings.host_domain):
        host_slug = host[: -len(settings.host_domain) - 1]
    agree: dict[str, Any] = {"header": header, "host": host, "host_slug": host_slug}
    if token:
        return TenantScope(token.schema_name, "schema_name", token_digest=token.digest, **agree)
    if header:
        # A schema name has an underscore, a slug never has.
        return TenantScope(header, "schema_name" if "_" in header else "slug", **agree)
    if host_slug:
        return TenantScope(host_slug, "slug", **agree)
    if host and "." in host:
        return TenantScope(host, "host", **agree)
    return None


def enter_new_tenant(schema_name: str) -> None:
    """Go on inside a tenant that the current control-plane transaction has just made.

    Company and first user are one transaction this way: both are there, or neither.
    """
    session = current_session()
    session.flush()
    scope = TenantScope(schema_name, "schema_name")
    scope.enter(session.connection())
    session.scope = scope
