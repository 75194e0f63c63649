"""Puts a schema in a live one's place, in one short transaction that no request ever sees half."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from ops.restores.models import ReplacedSchema
from ops.restores.names import replaced_name
from ops.runs.claims import Item
from ops.runs.models import RunItem
from todo_app.database import quote_identifier
from todo_app.errors import ConflictError
from todo_app.tenants.models import Tenant

WAIT_MILLISECONDS = 50
"""Longest that requests wait behind a swap that itself waits for older ones."""
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.1

LOCK_NOT_AVAILABLE = "55P03"

_GATE = sa.text("SELECT pg_advisory_xact_lock(7301006, hashtext(:schema))")


class NeverQuietError(ConflictError):
    """A transaction of the tenant has not ended all the time."""

    code = "never-quiet"
    detail = "A request of this tenant has run all the time: its schema could not be replaced."


class ClaimLostError(ConflictError):
    """Another worker has taken this restore over."""

    code = "claim-lost"
    detail = "Another worker has taken the tenant meanwhile."


@dataclass(frozen=True)
class Swap:
    """What takes whose place.

    `archive` says what the live schema gives way to; None where it is not kept. `set_aside` is the
    name that it gets. `values` are further columns of the tenant's row.
    """

    tenant_id: int
    live: str
    incoming: str
    revision: str
    role: str | None
    archive: str | None
    keep: timedelta
    values: Mapping[str, Any] = field(default_factory=dict)
    set_aside: str = field(default_factory=replaced_name)


def swap(
    connection: sa.Connection,
    order: Swap,
    last: Callable[[], None],
    item: Item | None = None,
) -> float:
    """Replace a live schema.

    Nothing of it is seen unless all of it is. The tenant's open transactions end first; new ones
    wait, for `WAIT_MILLISECONDS` at most before this gives way to them and tries again.

    Args:
        connection: as the owner, in autocommit mode, that holds the tenant.
        order: what is to be done.
        last: called within the transaction, when no request can change anything any more.
        item: of the ledger, which learns in the same transaction that it has been done.

    Returns:
        Seconds for which new transactions of the tenant waited, at most.

    Raises:
        NeverQuietError: a minute was not enough.
        ClaimLostError: the item belongs to another worker now.
    """
    return _when_quiet(lambda: _try(connection, order, last, item))


def wait_for_requests(connection: sa.Connection, schema_name: str) -> None:
    """Wait until the transactions of a tenant that were open have ended.

    Raises:
        NeverQuietError: a minute was not enough.
    """

    def wait() -> None:
        with _gate(connection, schema_name):
            pass

    _when_quiet(wait)


def _when_quiet(attempt: Callable[[], None]) -> float:
    """Try until no transaction of the tenant stands in the way; gives seconds of the last try."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        began = time.monotonic()
        try:
            attempt()
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
                raise
        else:
            return time.monotonic() - began
        if time.monotonic() > ends:
            raise NeverQuietError
        time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311


@contextmanager
def _gate(connection: sa.Connection, schema_name: str) -> Iterator[None]:
    """A transaction in which the tenant has no other one."""
    try:
        connection.exec_driver_sql(
            f"BEGIN; SET LOCAL lock_timeout TO '{WAIT_MILLISECONDS:d}ms';"
            " SET LOCAL search_path TO pg_catalog"
        )
        connection.execute(_GATE, {"schema": schema_name})
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        with suppress(sa.exc.DBAPIError):
            connection.exec_driver_sql("ROLLBACK")
        raise


def _try(
    connection: sa.Connection, order: Swap, last: Callable[[], None], item: Item | None
) -> None:
    with _gate(connection, order.live):
        if item is not None:
            note(connection, item, {"replaced": order.set_aside})
        last()
        _rename(connection, order)


def note(connection: sa.Connection, item: Item, done: Mapping[str, Any]) -> None:
    """Tell the ledger in the transaction that does it, so that no other attempt does it again.

    Raises:
        ClaimLostError: the item belongs to another worker now.
    """
    if item.token is None:
        return
    this = sa.and_(
        RunItem.run_id == item.run_id,
        RunItem.tenant_id == item.tenant_id,
        RunItem.claim == item.token,
    )
    result = RunItem.result.concat(sa.cast(dict(done), JSONB))
    if connection.execute(sa.update(RunItem).where(this).values(result=result)).rowcount != 1:
        raise ClaimLostError


def _rename(connection: sa.Connection, order: Swap) -> None:
    live, incoming = quote_identifier(order.live), quote_identifier(order.incoming)
    aside = quote_identifier(order.set_aside)
    statements = [
        f"ALTER SCHEMA {live} RENAME TO {aside}",
        f"ALTER SCHEMA {incoming} RENAME TO {live}",
    ]
    if order.role:
        # Without this, no table in it can be reached, whatever is granted on these.
        statements.append(f"REVOKE ALL ON SCHEMA {aside} FROM {order.role}")
        statements.append(f"GRANT USAGE ON SCHEMA {live} TO {order.role}")
    connection.exec_driver_sql("; ".join(statements), execution_options={"no_parameters": True})
    connection.execute(
        sa.delete(ReplacedSchema).where(ReplacedSchema.schema_name == order.incoming)
    )
    if order.archive is not None:
        connection.execute(_put_aside(order))
    this = Tenant.id == order.tenant_id
    values = {**order.values, "revision": order.revision}
    connection.execute(sa.update(Tenant).where(this).values(values))


def _put_aside(order: Swap) -> sa.Insert:
    revision = sa.select(Tenant.revision).where(Tenant.id == order.tenant_id).scalar_subquery()
    return sa.insert(ReplacedSchema).values(
        schema_name=order.set_aside,
        tenant_id=order.tenant_id,
        revision=revision,
        archive=order.archive,
        keep_until=sa.func.now() + order.keep,
    )
