"""Rules of the catalogue: names, creation, and changes of state."""

from __future__ import annotations

import re
import secrets
from typing import Any

import sqlalchemy as sa
from slugify import slugify
from sqlalchemy.dialects.postgresql import insert

from todo_app.database import Versions, db
from todo_app.errors import ConflictError, InvalidInputError, PreconditionFailedError
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenancy import SCHEMA_PREFIX, TenantNotFoundError
from todo_app.tenants.models import ACTIVE, DELETING, SUSPENDED, Tenant

MAX_NAME_LENGTH = 300
MAX_SLUG_LENGTH = 40
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
HOST = re.compile(r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII)

RESERVED_SLUGS = frozenset({"create", "runs", "backups", "operators", "public", "www", "api"})
"""Names that mean something else in addresses and commands."""

ORDER_BY = {"slug": Tenant.slug, "name": Tenant.name, "created_at": Tenant.created_at}


class SlugTakenError(ConflictError):
    """Another tenant has this slug."""

    code = "slug-taken"
    detail = "Another tenant has this slug."


class HostTakenError(ConflictError):
    """Another tenant has this host name."""

    code = "host-taken"
    detail = "Another tenant has this host name."


class TenantStateError(ConflictError):
    """The tenant is in a state that does not allow the change."""

    code = "tenant-state"
    detail = "The tenant's state does not allow this."


def slug_for(name: str) -> str:
    """A slug made of a company's name: ASCII letters, digits and inner hyphens, never empty."""
    slug = slugify(name, max_length=MAX_SLUG_LENGTH).strip("-")
    return slug if SLUG.fullmatch(slug) and slug not in RESERVED_SLUGS else f"{slug or 'tenant'}-1"


def schema_name_for(slug: str) -> str:
    """A name for the schema of a new tenant: readable, at most 63 bytes, never used before."""
    return f"{SCHEMA_PREFIX}{slug.replace('-', '_')[:MAX_SLUG_LENGTH]}_{secrets.token_hex(4)}"


def create(name: str, slug: str | None = None, **details: str | None) -> Tenant:
    """Create a tenant with its schema; both exist once the transaction is committed.

    Args:
        name: of the company, any text.
        slug: wanted slug; without one it is made of the name, and numbered where it is taken.
        details: further columns of the catalogue.

    Raises:
        SlugTakenError: the slug was asked for and is taken.
        HostTakenError: the host is taken.
        InvalidInputError: slug or host cannot be used.
    """
    _check_names(slug, details.get("host"))
    _check_name(name)
    base = slug or slug_for(name)
    candidate = base
    while True:
        schema_name = schema_name_for(candidate)
        values = {**details, "name": name, "slug": candidate, "schema_name": schema_name}
        statement = (
            insert(Tenant)
            .values(**values, state=ACTIVE, revision="")
            .on_conflict_do_nothing(index_elements=["slug"])
            .returning(Tenant)
        )
        try:
            tenant = db.session.scalars(statement).one_or_none()
        except sa.exc.IntegrityError as error:
            raise _taken(error) from None
        if tenant is not None:
            break
        if slug is not None:
            raise SlugTakenError
        candidate = f"{base}-{secrets.token_hex(3)}"
    tenant.revision = db.session.execute(
        sa.text("SELECT public.claim_schema(:name)"), {"name": schema_name}
    ).scalar_one()
    db.session.flush()
    return tenant


def get(key: str, *, for_update: bool = False) -> Tenant:
    """The tenant with this slug or schema name.

    Raises:
        TenantNotFoundError: there is none.
    """
    statement = sa.select(Tenant).where(sa.or_(Tenant.slug == key, Tenant.schema_name == key))
    if for_update:
        statement = statement.with_for_update()
    tenant = db.session.scalars(statement).one_or_none()
    if tenant is None:
        raise TenantNotFoundError
    return tenant


def page(request: PageRequest) -> Page:
    """A page of the catalogue; `search` looks into slug and name."""
    table = Tenant.__table__
    rows = sa.select(*table.c)
    if request.search:
        pattern = contains(request.search)
        rows = rows.where(sa.or_(table.c.slug.ilike(pattern), table.c.name.ilike(pattern)))
    return PageQuery(rows, ORDER_BY, table.c.id).fetch(request)


def change(key: str, changes: dict[str, Any], versions: Versions = None) -> Tenant:
    """Change slug, name, host, company details, or the state between active and suspended.

    Raises:
        TenantNotFoundError, SlugTakenError, HostTakenError, InvalidInputError
        TenantStateError: it is neither active nor suspended.
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    tenant = _lock(key, versions)
    _check_names(changes.get("slug"), changes.get("host"))
    if tenant.state not in (ACTIVE, SUSPENDED):
        raise TenantStateError(f"The tenant is {tenant.state}.")
    for column, value in changes.items():
        setattr(tenant, column, value)
    try:
        db.session.flush()
    except sa.exc.IntegrityError as error:
        raise _taken(error) from None
    return tenant


def mark_deleting(key: str, confirm: str, versions: Versions = None) -> Tenant:
    """Close a tenant for good; operations drop its schema afterwards.

    Args:
        key: slug or schema name.
        confirm: the slug once more, so that no slip of a finger deletes a company.

    Raises:
        TenantNotFoundError
        InvalidInputError: the confirmation is not the slug.
        PreconditionFailedError: as in `change`.
    """
    tenant = _lock(key, versions)
    if confirm != tenant.slug:
        raise InvalidInputError(f"To delete this tenant, confirm its slug: {tenant.slug}.")
    tenant.state = DELETING
    db.session.flush()
    return tenant


def _lock(key: str, versions: Versions) -> Tenant:
    tenant = get(key, for_update=True)
    if versions is not None and tenant.version not in versions:
        raise PreconditionFailedError
    return tenant


def _taken(error: sa.exc.IntegrityError) -> ConflictError:
    """What a violated unique constraint means."""
    return HostTakenError() if "uq_tenants_host" in str(error.orig) else SlugTakenError()


def _check_name(name: str) -> None:
    is_storable = "\x00" not in name and name.encode(errors="ignore").decode() == name
    if not is_storable or not 1 <= len(name.strip()) <= MAX_NAME_LENGTH:
        raise InvalidInputError(f"A name is text of 1 to {MAX_NAME_LENGTH} characters.")


def _check_names(slug: str | None, host: str | None) -> None:
    errors: dict[str, list[str]] = {}
    if slug is not None and not SLUG.fullmatch(slug):
        errors["slug"] = ["Lower-case letters, digits and inner hyphens, 1 to 63 of them."]
    elif slug in RESERVED_SLUGS:
        errors["slug"] = ["This name is reserved."]
    if host is not None and not HOST.fullmatch(host):
        errors["host"] = ["Not a host name."]
    if errors:
        raise InvalidInputError(errors={"json": errors})
