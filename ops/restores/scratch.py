"""A scratch schema: made at any revision, with nothing in the way of a load, for the tenant's role.

It has no role of its own, so it never stands in the way of dropping one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import sqlalchemy as sa

from ops.archives import copying
from ops.archives.copying import TEXT_FORMAT, VERSION_TABLE
from ops.archives.manifest import Table
from ops.control.job import api_role
from ops.restores.names import LEFT_BEHIND, scratch_name
from ops.tenants.job import drop_schema
from ops.upgrades.locks import BusyError, lock_schema
from ops.upgrades.script import for_schema, plain_script, revisions
from todo_app.config import Settings
from todo_app.database import own_connection, quote_identifier
from todo_app.errors import InvalidInputError

INDEXES_ARE_REBUILT_FROM = 20_000
"""Rows from which a load is faster without the indexes, though they have to be built again."""

INDEX_MEMORY = "256MB"

# Tables by pg_depend, which has an index for it; those with partitions keep what they have.
_TABLES = (
    "WITH t AS MATERIALIZED (SELECT c.oid, c.relname::text FROM pg_depend AS d"
    "  JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'r' AND NOT c.relispartition"
    "  WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass"
    "  AND d.refobjid = to_regnamespace(quote_ident(:schema)))"
)

_UNIQUE_CONSTRAINTS = sa.text(
    f"{_TABLES} SELECT t.relname, k.conname::text, pg_get_constraintdef(k.oid)"  # noqa: S608
    " FROM t JOIN pg_constraint AS k ON k.conrelid = t.oid AND k.contype IN ('p', 'u', 'x')"
    " WHERE t.relname <> :version_table ORDER BY k.oid"
)

_PLAIN_INDEXES = sa.text(
    f"{_TABLES} SELECT c.relname::text AS name, pg_get_indexdef(c.oid) AS definition"  # noqa: S608
    " FROM t JOIN pg_index AS i ON i.indrelid = t.oid JOIN pg_class AS c ON c.oid = i.indexrelid"
    " WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid)"
    " ORDER BY c.oid"
)


class DriftedArchiveError(InvalidInputError):
    """The archive's tables are not those that its revision makes."""

    code = "archive-drifted"


@contextmanager
def scratch() -> Iterator[str]:
    """The name of a scratch schema; whatever has it when the block ends is dropped.

    The schemas of restores that were killed are dropped before: others may be behind their lock.
    """
    name = scratch_name()
    with own_connection() as guard, lock_schema(guard, name):
        drop_left_behind(guard)
        try:
            yield name
        finally:
            # Where the database is away, the next restore or sweep does it.
            with suppress(sa.exc.DBAPIError):
                if _exists(guard, name):
                    drop_schema(name)


def _exists(connection: sa.Connection, name: str) -> bool:
    statement = sa.text("SELECT to_regnamespace(quote_ident(:name)) IS NOT NULL")
    return bool(connection.execute(statement, {"name": name}).scalar_one())


def drop_left_behind(connection: sa.Connection) -> list[str]:
    """Drop the schemas of restores that were killed, and of tenants that are gone.

    Args:
        connection: an own one, in autocommit mode.

    Returns:
        Their names.
    """
    dropped = []
    for name in connection.scalars(LEFT_BEHIND).all():
        # Another process may be dropping it, too; what is left is dropped the next time.
        with suppress(BusyError, sa.exc.DBAPIError), lock_schema(connection, name):
            # It may have got its place since.
            if name in connection.scalars(LEFT_BEHIND).all():
                drop_schema(name)
                dropped.append(name)
    return dropped


def grantee(connection: sa.Connection, settings: Settings, schema_name: str) -> str | None:
    """The role that uses a tenant's schema, quoted; None where that is its owner."""
    if settings.tenant_roles:
        return quote_identifier(schema_name)
    owner = connection.exec_driver_sql("SELECT current_user").scalar_one()
    role = api_role(settings)
    return quote_identifier(role) if role != owner else None


@contextmanager
def text_transaction(connection: sa.Connection, end: str = "COMMIT") -> Iterator[None]:
    """A transaction whose text is the same on every server, and that no timeout ends.

    Where this process is killed, the server does not go on with what it was doing.
    """
    connection.exec_driver_sql(
        "BEGIN; SET LOCAL statement_timeout TO 0;"
        f" SET LOCAL client_connection_check_interval TO '1s'; {TEXT_FORMAT}"
    )
    try:
        yield
        connection.exec_driver_sql(end)
    except BaseException:
        with suppress(sa.exc.DBAPIError):
            connection.exec_driver_sql("ROLLBACK")
        raise


def build(
    connection: sa.Connection, schema_name: str, revision: str, role: str | None
) -> list[Table]:
    """Make the empty tables of a revision, within the caller's transaction.

    Args:
        connection: as the owner of all schemas.
        schema_name: of the scratch schema; it becomes the search_path.
        revision: of the tenant history.
        role: who gets the privileges on the tables, as a new tenant's role does, but not yet on
            the schema; quoted.

    Returns:
        The tables.

    Raises:
        InvalidInputError: this code does not have the revision.
    """
    if revision not in ("", *revisions()):
        raise InvalidInputError(
            f"The archive is at revision {revision}, which this code does not have."
        )
    schema = quote_identifier(schema_name)
    statements = [f"CREATE SCHEMA {schema};", f"SET LOCAL search_path TO {schema};"]
    if role:
        defaults = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT"
        statements += [
            f"{defaults} SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};",
            f"{defaults} USAGE ON SEQUENCES TO {role};",
        ]
    statements.append(for_schema(plain_script(revision), schema_name))
    if role and revision:
        statements.append(f"REVOKE ALL ON {schema}.{VERSION_TABLE} FROM {role};")
    run(connection, "\n".join(statements))
    return copying.describe(connection, schema_name)


def check_fit(archived: Sequence[Table], made: Sequence[Table], revision: str) -> None:
    """Check that an archive's tables are those of its revision.

    Raises:
        DriftedArchiveError: they are not; the text names the first table and column.
    """
    ours = {table.name: table for table in made}
    theirs = {table.name: table for table in archived}
    for name in sorted(ours.keys() | theirs.keys()):
        problem = _difference(name, theirs.get(name), ours.get(name))
        if problem:
            raise DriftedArchiveError(
                f"The archive does not fit revision {revision or 'base'}: {problem}. The tenant's "
                "schema had been changed by hand; nothing was loaded."
            )


def _difference(name: str, theirs: Table | None, ours: Table | None) -> str | None:
    if ours is None:
        return f"the revision has no table {name}"
    if theirs is None:
        return f"the archive has no table {name}"
    unknown = sorted(set(theirs.columns) - set(ours.columns))
    if unknown:
        return f"the revision has no column {name}.{unknown[0]}"
    missing = sorted(set(ours.columns) - set(theirs.columns))
    return f"the archive has no column {name}.{missing[0]}" if missing else None


class Loosened(NamedTuple):
    """What was taken away for a load, as the statements that bring it back."""

    indexes: Sequence[str]
    """Those of unique constraints included."""
    foreign_keys: Sequence[str]


def loosen(
    connection: sa.Connection, schema_name: str, tables: Sequence[Table], *, rows: int
) -> Loosened:
    """Empty the tables, and take away the foreign keys and, for many rows, the indexes.

    Without foreign keys the order of the tables does not matter. All within the transaction of
    `build`, in which nobody else can see the schema.
    """
    keys = [
        (key.table, key.name, key.definition)
        for key in copying.foreign_keys(connection, schema_name)
    ]
    unique: list[tuple[str, str, str]] = []
    plain: list[tuple[str, str]] = []
    if rows >= INDEXES_ARE_REBUILT_FROM:
        names = {"schema": schema_name}
        found = connection.execute(_PLAIN_INDEXES, names)
        plain = [(row.name, row.definition) for row in found]
        names["version_table"] = VERSION_TABLE
        unique = [
            (row[0], row[1], row[2]) for row in connection.execute(_UNIQUE_CONSTRAINTS, names)
        ]
    # A foreign key leans on the unique constraint that it names, hence first.
    statements = [
        f"ALTER TABLE {quote_identifier(table)} DROP CONSTRAINT {quote_identifier(name)};"
        for table, name, _ in [*keys, *unique]
    ]
    if plain:
        statements.append(f"DROP INDEX {_list([name for name, _ in plain])};")
    if unique or plain:
        statements.append(f"SET LOCAL maintenance_work_mem TO '{INDEX_MEMORY}';")
    if tables:
        # Revisions seed rows, and the archive has them.
        statements.append(f"TRUNCATE {_list([table.name for table in tables])} RESTART IDENTITY;")
    run(connection, "\n".join(statements))
    indexes = [*map(_add, unique), *(f"{definition};" for _, definition in plain)]
    return Loosened(indexes, list(map(_add, keys)))


def _add(constraint: tuple[str, str, str]) -> str:
    table, name, definition = constraint
    return (
        f"ALTER TABLE {quote_identifier(table)} ADD CONSTRAINT {quote_identifier(name)}"
        f" {definition};"
    )


def tighten(connection: sa.Connection, loosened: Loosened) -> None:
    """Bring back what `loosen` took away; uniqueness and foreign keys are checked."""
    run(connection, "\n".join([*loosened.indexes, *loosened.foreign_keys]))


def keep_only(connection: sa.Connection, schema_name: str, tables: Sequence[str]) -> None:
    """Drop the other tables of a schema, which hold nothing."""
    others = [t.name for t in copying.describe(connection, schema_name) if t.name not in tables]
    if others:
        run(connection, f"DROP TABLE {_list(others)} CASCADE")


def rename(connection: sa.Connection, schema_name: str, new_name: str) -> None:
    """Give a schema another name."""
    run(
        connection,
        f"ALTER SCHEMA {quote_identifier(schema_name)} RENAME TO {quote_identifier(new_name)}",
    )


def run(connection: sa.Connection, sql: str) -> None:
    """Send SQL as it is, several statements in one round trip; nothing where there is none."""
    if sql:
        connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def _list(names: Sequence[str]) -> str:
    return ", ".join(quote_identifier(name) for name in names)
