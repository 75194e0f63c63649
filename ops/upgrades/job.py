"""Moves tenants' schemas to another revision, through Flask-Migrate's configuration of Alembic."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from todo_app.database import OPS_BIND, db, quote_identifier
from todo_app.errors import ConflictError, InvalidInputError, first_line
from todo_app.extensions import migrate
from todo_app.histories import BOUND_WAITING, LOCK_SCHEMA
from todo_app.tenancy import TenantNotFoundError
from todo_app.tenants.models import ACTIVE, SUSPENDED, Tenant

BATCH_SIZE = 25

log = structlog.get_logger(__name__)

REVISION = re.compile(r"\w+", re.ASCII)

MOVED = "moved"
UNCHANGED = "unchanged"
FAILED = "failed"


class Outcome(NamedTuple):
    """What became of one tenant."""

    tenant: str
    status: str
    from_revision: str
    to_revision: str
    error: str | None
    seconds: float


class Planned(NamedTuple):
    """A tenant that has to move; the schema name stays its own whatever becomes of the slug."""

    schema_name: str
    slug: str


class BusyError(ConflictError):
    """Another operation works on the tenant."""

    code = "tenant-busy"
    detail = "Another operation works on this tenant."


def script_directory() -> ScriptDirectory:
    """The tenant history."""
    return ScriptDirectory.from_config(migrate.get_config(x_arg="history=tenant"))


def head() -> str:
    """The newest revision of the tenant history."""
    return script_directory().get_current_head() or ""


def check_revision(revision: str) -> str:
    """The full name of a revision: `head`, `base`, or the name or its beginning.

    Raises:
        InvalidInputError: the tenant history has no such revision.
    """
    if revision == "base":
        return ""
    found = None
    if REVISION.fullmatch(revision):
        with suppress(CommandError):
            found = script_directory().get_revision(revision)
    if found is None:
        raise InvalidInputError(f"The tenant history has no revision {revision!r}.")
    return str(found.revision)


def plan(target: str, slugs: Sequence[str] = (), *, downgrade: bool = False) -> list[Planned]:
    """Who has to move, by the catalogue's copy of the revision: one query, no tenant is touched.

    Args:
        target: revision name.
        slugs: only these tenants; empty means all.
        downgrade: look for tenants above the target instead of below.

    Returns:
        The tenants in order of their slugs.

    Raises:
        InvalidInputError: there is no tenant with one of the slugs.
    """
    statement = sa.select(Tenant.schema_name, Tenant.slug).where(
        Tenant.revision > target if downgrade else Tenant.revision < target,
        Tenant.state.in_((ACTIVE, SUSPENDED)),
    )
    if slugs:
        known = set(db.session.scalars(sa.select(Tenant.slug).where(Tenant.slug.in_(slugs))))
        unknown = sorted(set(slugs) - known)
        if unknown:
            raise InvalidInputError(f"There is no tenant {', '.join(unknown)}.")
        statement = statement.where(Tenant.slug.in_(slugs))
    return [Planned._make(row) for row in db.session.execute(statement.order_by(Tenant.slug))]


def batches(planned: Sequence[Planned]) -> Iterator[list[str]]:
    """Schema names, in pieces for one task each."""
    for start in range(0, len(planned), BATCH_SIZE):
        yield [tenant.schema_name for tenant in planned[start : start + BATCH_SIZE]]


def move(schema_name: str, target: str, *, downgrade: bool = False) -> Outcome:
    """Bring one tenant to a revision, each revision in a transaction of its own.

    Never raises for what goes wrong in the tenant: the outcome says it.
    """
    started = time.monotonic()
    slug = schema_name
    before = after = ""
    error = None
    try:
        with (
            db.engines[OPS_BIND].connect() as connection,
            lock_tenant(connection, schema_name) as slug,
        ):
            before = _revision(connection, schema_name)
            try:
                _run_alembic(connection, schema_name, target, downgrade=downgrade)
            finally:
                connection.rollback()
                after = _revision(connection, schema_name)
    except Exception as failure:
        # A revision is anybody's code; whatever it raises must not stop the other tenants.
        log.warning("tenant not moved", tenant=slug, exc_info=failure)
        error = first_line(failure)
    status = FAILED if error else MOVED if before != after else UNCHANGED
    return Outcome(slug, status, before, after, error, round(time.monotonic() - started, 3))


@contextmanager
def lock_tenant(connection: sa.Connection, schema_name: str) -> Iterator[str]:
    """Hold the tenant for one operation at a time, on a connection that ends with it.

    Yields:
        The tenant's slug.

    Raises:
        BusyError: another operation holds it.
        TenantNotFoundError: there is no such tenant any more.
    """
    connection.detach()
    slug = connection.execute(
        sa.select(Tenant.slug).where(Tenant.schema_name == schema_name)
    ).scalar_one_or_none()
    if slug is None:
        raise TenantNotFoundError("The tenant is gone.")
    is_ours = connection.execute(LOCK_SCHEMA, {"schema": schema_name}).scalar_one()
    connection.commit()
    if not is_ours:
        raise BusyError
    yield slug


def _revision(connection: sa.Connection, schema_name: str) -> str:
    """What the schema's own version table says; the catalogue's copy is put right by it."""
    version_table = f"{quote_identifier(schema_name)}.alembic_version"
    versions = connection.exec_driver_sql(f"SELECT version_num FROM {version_table}")  # noqa: S608
    revision = versions.scalar_one_or_none() or ""
    connection.execute(
        sa.update(Tenant)
        .where(Tenant.schema_name == schema_name, Tenant.revision != revision)
        .values(revision=revision)
    )
    connection.commit()
    return revision


def _run_alembic(
    connection: sa.Connection, schema_name: str, target: str, *, downgrade: bool
) -> None:
    connection.execute(BOUND_WAITING)
    connection.commit()
    config = migrate.get_config(x_arg="history=tenant")
    config.attributes.update(connection=connection, schema=schema_name)
    if downgrade:
        command.downgrade(config, target or "base")
    else:
        command.upgrade(config, target)
