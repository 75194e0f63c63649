"""Moves tenants' schemas to another revision, through Flask-Migrate's configuration of Alembic."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from todo_app.database import OPS_BIND, db
from todo_app.errors import InvalidInputError
from todo_app.extensions import migrate
from todo_app.tenants.models import ACTIVE, SUSPENDED, Tenant

LOCK_TIMEOUT = "5s"
"""How long DDL waits for a table that somebody uses: requests queue up behind it meanwhile."""

TENANT_LOCK = 7_301_002
"""First key of the advisory lock of each tenant; the second is the tenant's id."""

BATCH_SIZE = 25

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


class BusyError(Exception):
    """Another operation works on the tenant."""


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


def plan(target: str, slugs: Sequence[str] = (), *, downgrade: bool = False) -> list[str]:
    """Who has to move, by the catalogue's copy of the revision: one query, no tenant is touched.

    Args:
        target: revision name.
        slugs: only these tenants; empty means all.
        downgrade: look for tenants above the target instead of below.

    Returns:
        Slugs in order of their names.

    Raises:
        InvalidInputError: there is no tenant with one of the slugs.
    """
    statement = sa.select(Tenant.slug).where(
        Tenant.revision > target if downgrade else Tenant.revision < target,
        Tenant.state.in_((ACTIVE, SUSPENDED)),
    )
    if slugs:
        known = set(db.session.scalars(sa.select(Tenant.slug).where(Tenant.slug.in_(slugs))))
        unknown = sorted(set(slugs) - known)
        if unknown:
            raise InvalidInputError(f"There is no tenant {', '.join(unknown)}.")
        statement = statement.where(Tenant.slug.in_(slugs))
    return list(db.session.scalars(statement.order_by(Tenant.slug)))


def batches(slugs: Sequence[str]) -> Iterator[list[str]]:
    """Split into pieces for one task each."""
    for start in range(0, len(slugs), BATCH_SIZE):
        yield list(slugs[start : start + BATCH_SIZE])


def move(slug: str, target: str, *, downgrade: bool = False) -> Outcome:
    """Bring one tenant to a revision, each revision in a transaction of its own.

    Never raises for what goes wrong in the tenant: the outcome says it.
    """
    started = time.monotonic()
    before = after = ""
    error = None
    try:
        with db.engines[OPS_BIND].connect() as connection, lock_tenant(connection, slug) as schema:
            before = _revision(connection, schema)
            try:
                _run_alembic(connection, schema, target, downgrade=downgrade)
            finally:
                connection.rollback()
                after = _revision(connection, schema)
    except BusyError:
        error = "another operation works on this tenant"
    except sa.exc.DBAPIError as failure:
        error = str(failure.orig).strip().splitlines()[0]
    except (sa.exc.SQLAlchemyError, CommandError, InvalidInputError) as failure:
        error = str(failure).strip().splitlines()[0]
    except Exception as failure:
        # A revision is anybody's code; whatever it raises must not stop the other tenants.
        error = f"{type(failure).__name__}: {failure}"
    status = FAILED if error else MOVED if before != after else UNCHANGED
    return Outcome(slug, status, before, after, error, round(time.monotonic() - started, 3))


@contextmanager
def lock_tenant(connection: sa.Connection, slug: str) -> Iterator[str]:
    """Hold the tenant for one operation at a time, on a connection that ends with it.

    Yields:
        The name of the tenant's schema.

    Raises:
        BusyError: another operation holds it.
        InvalidInputError: there is no such tenant any more.
    """
    connection.detach()
    statement = sa.select(
        Tenant.schema_name,
        sa.func.pg_try_advisory_lock(TENANT_LOCK, sa.cast(Tenant.id, sa.Integer)),
    ).where(Tenant.slug == slug)
    row = connection.execute(statement).first()
    connection.commit()
    if row is None:
        raise InvalidInputError("The tenant is gone.")
    schema_name, is_ours = row
    if not is_ours:
        raise BusyError
    yield schema_name


def _revision(connection: sa.Connection, schema: str) -> str:
    statement = sa.select(Tenant.revision).where(Tenant.schema_name == schema)
    revision = connection.execute(statement).scalar_one_or_none()
    connection.commit()
    return revision or ""


def _run_alembic(connection: sa.Connection, schema: str, target: str, *, downgrade: bool) -> None:
    connection.exec_driver_sql(f"SET lock_timeout TO '{LOCK_TIMEOUT}'")
    connection.commit()
    config = migrate.get_config(x_arg="history=tenant")
    config.attributes.update(connection=connection, schema=schema)
    if downgrade:
        command.downgrade(config, target or "base")
    else:
        command.upgrade(config, target)
