"""Moves one tenant's schema from its revision to another, each revision in one transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple, Protocol

import sqlalchemy as sa
import structlog
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import RevisionStep

from ops.runs.claims import Item, Outcome
from ops.runs.models import DONE, FAILED, SKIPPED
from ops.runs.work import Perform
from ops.upgrades.locks import BusyError, lock_schema, one_concurrent_build, slug_of
from ops.upgrades.script import Step, for_schema, note_revision, script_directory, steps
from todo_app.database import OPS_BIND, db, own_connection, quote_identifier
from todo_app.errors import AppError, UnavailableError, first_line
from todo_app.extensions import migrate
from todo_app.histories import set_revision
from todo_app.tenancy import TenantNotFoundError

log = structlog.get_logger(__name__)

WORTH_ANOTHER_TRY = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "53300",  # too_many_connections
    "55P03",  # lock_not_available: lock_timeout
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now
}
"""SQLSTATEs that say nothing against the revision, as PostgreSQL's appendix A lists them."""

SCHEMAS_SEEN = 200
"""Tenants moved on one connection: PostgreSQL's process keeps what it has read of each schema."""

_CONCURRENT_INDEX = re.compile(
    r"(?P<verb>CREATE(?: UNIQUE)?|DROP) INDEX CONCURRENTLY "
    r'(?:IF (?:NOT )?EXISTS )?"?(?P<name>\w+)"?'
)

_INDEX_STATE = sa.text(
    "SELECT i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
    " WHERE c.relname = :name AND c.relnamespace = to_regnamespace(quote_ident(:schema))"
)


class Before(Protocol):
    """What is done with a tenant before it is moved, while it is held."""

    def __call__(self, connection: sa.Connection, *, schema_name: str) -> object:
        """Do it, on the connection that holds it; raises where the tenant must not be moved."""


class Timeouts(NamedTuple):
    """Bounds for the statements of a revision, in seconds; 0 for none."""

    lock: int
    statement: int


@contextmanager
def mover(
    target: str,
    timeouts: Timeouts,
    before: Before | None = None,
    *,
    downgrade: bool | None = None,
) -> Iterator[Perform]:
    """What moves tenants to a revision, all on one connection; nothing that goes wrong is raised.

    Args:
        target: name of the revision; empty for none at all.
        timeouts: bounds for the statements.
        before: called for each tenant first; where it raises, the tenant is not moved.
        downgrade: whether tenants are taken back, and only that; None for either way.
    """
    with ExitStack() as stack:
        connection: sa.Connection | None = None
        moved = 0

        def move_next(item: Item) -> Outcome:
            nonlocal connection, moved
            try:
                if connection is None or connection.invalidated or moved % SCHEMAS_SEEN == 0:
                    stack.close()
                    connection = None
                    # In autocommit mode: the steps open their transactions themselves.
                    connection = stack.enter_context(own_connection())
                    _bound_waiting(connection, timeouts)
                moved += 1
            except sa.exc.DBAPIError as error:
                return Outcome(FAILED, first_line(error), retry=True)
            return move(connection, item, target, timeouts, before, downgrade=downgrade)

        yield move_next


def move(
    connection: sa.Connection,
    item: Item,
    target: str,
    timeouts: Timeouts,
    before: Before | None = None,
    *,
    downgrade: bool | None = None,
) -> Outcome:
    """Move one tenant, as `mover` does, on a connection in autocommit mode.

    Returns:
        Its outcome, with the revision that the schema really has then.
    """
    start = revision = None
    try:
        with lock_schema(connection, item.schema_name):
            is_ours, start = _look(connection, item)
            if not is_ours:
                return Outcome(SKIPPED, "another worker has taken the tenant meanwhile")
            revision = start
            if downgrade is not None and (start < target if downgrade else start > target):
                # As where an old run is resumed: others have moved the tenant on since.
                return Outcome(
                    SKIPPED, f"It is at {start or 'base'} already.", result=_result(start)
                )
            if before is not None and start != target:
                before(connection, schema_name=item.schema_name)
            try:
                for step in steps(start, target):
                    take_step(connection, item.schema_name, step, timeouts)
                    revision = step.to_revision
            except Exception:
                # What the step that failed has left is asked for, not assumed.
                revision = None
                if connection.invalidated:
                    raise
                connection.exec_driver_sql("ROLLBACK")
                _, revision = _look(connection, item)
                raise
    except TenantNotFoundError as error:
        return Outcome(SKIPPED, error.detail)
    except Exception as error:
        # A revision is anybody's code; whatever it raises must not stop the other tenants.
        # What a traceback shows of a database error may be a tenant's data.
        is_known = isinstance(error, (AppError, sa.exc.DBAPIError))
        trace = None if is_known else error
        log.warning("tenant not moved", tenant=item.slug, error=first_line(error), exc_info=trace)
        return Outcome(FAILED, first_line(error), is_worth_another_try(error), _result(revision))
    # Moved by an earlier attempt, whose worker was lost before it could say so, is moved.
    state = SKIPPED if start == target and item.attempts == 1 else DONE
    return Outcome(state, result=_result(revision))


def _result(revision: str | None) -> dict[str, str]:
    return {} if revision is None else {"to_revision": revision}


def is_worth_another_try(error: Exception) -> bool:
    """Whether an error says nothing against what was tried."""
    if isinstance(error, BusyError | UnavailableError):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    code = getattr(error.orig, "pgcode", None)
    return error.connection_invalidated or code is None or code in WORTH_ANOTHER_TRY


def _look(connection: sa.Connection, item: Item) -> tuple[bool, str]:
    """Where a tenant stands; asked in one statement, as it is asked for each of them.

    Returns:
        Whether the tenant is still held for us, and what its own version table says. The
        catalogue's copy of that is put right by it.

    Raises:
        TenantNotFoundError: there is no such tenant any more.
    """
    version_table = f"{quote_identifier(item.schema_name)}.alembic_version".replace("%", "%%")
    parameters = {"run": item.run_id, "id": item.tenant_id, "schema": item.schema_name}
    try:
        found = connection.exec_driver_sql(_LOOK.format(version_table), parameters).one()
    except (sa.exc.NoResultFound, sa.exc.ProgrammingError):
        # Where the tenant is gone, that is the better thing to say.
        slug_of(connection, item.schema_name)
        raise
    revision = found.version_num or ""
    if found.revision != revision:
        connection.execute(set_revision(item.schema_name, revision))
    return item.token is None or found.claim == item.token, revision


_LOOK = (
    "SELECT t.revision, (SELECT version_num FROM {}), (SELECT claim FROM public.ops_run_items"
    " WHERE run_id = %(run)s AND tenant_id = %(id)s)"
    " FROM public.tenants AS t WHERE t.schema_name = %(schema)s"
)


def take_step(connection: sa.Connection, schema_name: str, step: Step, timeouts: Timeouts) -> None:
    """Take a schema from one revision to the next, on a connection in autocommit mode.

    Raises:
        sqlalchemy.exc.DBAPIError: the revision does not run, or waits for too long.
    """
    if step.reads_data:
        _run_alembic(connection, schema_name, step, timeouts)
        return
    if step.outside:
        _run_outside(connection, schema_name, step, timeouts)
    # One round trip; the server runs it up to the first error and nothing behind it.
    _run(connection, "\n".join(_transaction(step, schema_name, timeouts)))


def _transaction(step: Step, schema_name: str, timeouts: Timeouts) -> Iterator[str]:
    yield "BEGIN;"
    yield _settings("SET LOCAL", schema_name, timeouts)
    for sql in step.inside:
        yield for_schema(sql, schema_name)
    yield note_revision(step.to_revision)
    yield "COMMIT;"


def step_sql(step: Step, schema_name: str, timeouts: Timeouts) -> Iterator[str]:
    """The statements of a step for one schema, as an operator could run them by hand."""
    if step.reads_data:
        yield "-- This revision reads the tenant's data: Alembic runs it; what follows is not all."
    if step.outside:
        yield _settings("SET", schema_name, Timeouts(0, timeouts.statement))
    for sql in step.outside:
        yield for_schema(sql, schema_name)
    yield from _transaction(step, schema_name, timeouts)


def _settings(verb: str, schema_name: str, timeouts: Timeouts) -> str:
    return (
        f"{verb} search_path TO {quote_identifier(schema_name)};"
        # Whole numbers and nothing else: the ledger, where they come from, is the API's to write.
        f" {verb} lock_timeout TO '{timeouts.lock:d}s';"
        f" {verb} statement_timeout TO '{timeouts.statement:d}s';"
    )


def _bound_waiting(connection: sa.Connection, timeouts: Timeouts) -> None:
    """Let nothing that runs on the connection wait for a lock for long."""
    _run(connection, f"SET lock_timeout TO '{timeouts.lock:d}s'")


def _run(connection: sa.Connection, sql: str) -> None:
    """Send SQL as it is: a percent sign in it means nothing to the driver."""
    connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def _run_outside(
    connection: sa.Connection, schema_name: str, step: Step, timeouts: Timeouts
) -> None:
    """Run what cannot be in a transaction, so that it can be run again after any failure."""
    patience = timeouts.statement or float("inf")
    with one_concurrent_build(connection, patience):
        # No lock_timeout: a concurrent build waits for old transactions, and nobody waits for it.
        _run(connection, _settings("SET", schema_name, Timeouts(0, timeouts.statement)))
        try:
            for sql in step.outside:
                if not _is_done(connection, schema_name, sql):
                    _run(connection, for_schema(sql, schema_name))
        finally:
            with suppress(sa.exc.DBAPIError):
                _run(connection, "RESET ALL;")
                _bound_waiting(connection, timeouts)


def _is_done(connection: sa.Connection, schema_name: str, sql: str) -> bool:
    """Whether an earlier attempt has done this; an invalid index that it left is dropped."""
    found = _CONCURRENT_INDEX.match(sql)
    if found is None:
        return False
    index = {"name": found["name"], "schema": schema_name}
    is_valid = connection.execute(_INDEX_STATE, index).scalar_one_or_none()
    if found["verb"] == "DROP":
        return is_valid is None
    if is_valid is False:
        _run(connection, f"DROP INDEX CONCURRENTLY {quote_identifier(found['name'])}")
    return bool(is_valid)


def _run_alembic(
    connection: sa.Connection, schema_name: str, step: Step, timeouts: Timeouts
) -> None:
    """Run a revision that reads data through Alembic itself, on a connection that commits."""
    directory = script_directory()
    is_upgrade = step.from_revision < step.to_revision
    script = directory.get_revision(step.to_revision if is_upgrade else step.from_revision)
    config = migrate.get_config(x_arg="history=tenant")
    with db.engines[OPS_BIND].connect() as own:
        own.detach()
        _run(own, _settings("SET", schema_name, timeouts))
        own.commit()
        config.attributes.update(connection=own, schema=schema_name)
        revision_step = RevisionStep(directory.revision_map, script, is_upgrade)
        with EnvironmentContext(config, directory, fn=lambda heads, context: [revision_step]):
            directory.run_env()
