"""One operation at a time works on a tenant, and one concurrent index build in a database."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from todo_app.errors import ConflictError
from todo_app.histories import LOCK_SCHEMA, UNLOCK_SCHEMA
from todo_app.tenancy import TenantNotFoundError
from todo_app.tenants.models import Tenant

CONCURRENT_BUILD_LOCK = 7_301_005
"""Key of the advisory lock for what waits for all other transactions of the database."""

ASK_EVERY_SECONDS = 0.1

_LOCK = sa.text("SELECT pg_try_advisory_lock(:key)")
_UNLOCK = sa.text("SELECT pg_advisory_unlock(:key)")


class BusyError(ConflictError):
    """Another operation works on the tenant."""

    code = "tenant-busy"
    detail = "Another operation works on this tenant."


@contextmanager
def lock_tenant(connection: sa.Connection, schema_name: str) -> Iterator[str]:
    """Hold a tenant while the block runs.

    Args:
        connection: not a pooled one: should it be lost, the lock ends with it.
        schema_name: of the tenant.

    Yields:
        The tenant's slug.

    Raises:
        BusyError: another operation holds it.
        TenantNotFoundError: there is no such tenant any more.
    """
    with lock_schema(connection, schema_name):
        # Read after the lock was taken, as whoever held it may have dropped the tenant.
        slug = slug_of(connection, schema_name)
        connection.commit()
        yield slug


@contextmanager
def lock_schema(connection: sa.Connection, schema_name: str) -> Iterator[None]:
    """Hold a tenant as `lock_tenant` does, for callers that find out themselves whether it exists.

    Raises:
        BusyError: another operation holds it.
    """
    lock = {"schema": schema_name}
    is_ours = connection.execute(LOCK_SCHEMA, lock).scalar_one()
    try:
        if not is_ours:
            raise BusyError
        yield
    finally:
        # A lost connection has taken the lock with it.
        if is_ours and not connection.invalidated:
            with suppress(sa.exc.DBAPIError):
                connection.rollback()
                connection.execute(UNLOCK_SCHEMA, lock)
                connection.commit()


def slug_of(connection: sa.Connection, schema_name: str) -> str:
    """The slug of the tenant with this schema.

    Raises:
        TenantNotFoundError: there is no such tenant any more.
    """
    statement = sa.select(Tenant.slug).where(Tenant.schema_name == schema_name)
    slug = connection.execute(statement).scalar_one_or_none()
    if slug is None:
        raise TenantNotFoundError("The tenant is gone.")
    return slug


@contextmanager
def one_concurrent_build(connection: sa.Connection, patience: float) -> Iterator[None]:
    """Be the only one in the database who builds an index concurrently, while the block runs.

    Asks again and again instead of waiting in PostgreSQL: whoever waits there holds a snapshot,
    and the build waits for all of these to go, which would be a deadlock.

    Args:
        connection: in autocommit mode.
        patience: seconds after which somebody else's build is reported as an error.

    Raises:
        BusyError: another build has taken all that time.
    """
    ends = time.monotonic() + patience
    key = {"key": CONCURRENT_BUILD_LOCK}
    while not connection.execute(_LOCK, key).scalar_one():
        if time.monotonic() > ends:
            raise BusyError("Another index is being built concurrently in this database.")
        time.sleep(ASK_EVERY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311
    try:
        yield
    finally:
        with suppress(sa.exc.DBAPIError):
            connection.execute(_UNLOCK, key)
