"""Loads an archive into a scratch schema in one pass, and proves that it is all there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2
import sqlalchemy as sa

from ops.archives.copying import Readable, copy_in, copy_out
from ops.archives.errors import ArchiveDamagedError
from ops.archives.manifest import Header, Manifest, Table
from ops.archives.reader import Archive
from ops.restores import files, scratch
from ops.restores.files import Home
from ops.restores.progress import Progress
from ops.upgrades import move
from ops.upgrades.move import Timeouts
from ops.upgrades.script import head, steps
from todo_app.config import Settings
from todo_app.errors import AppError, InvalidInputError

READ_BYTES = 256 * 1024


class NotEqualError(AppError):
    """What was loaded is not what the archive holds."""

    status = 500
    code = "restore-not-equal"
    detail = "What was loaded is not what the archive holds."


class NotLoadableError(InvalidInputError):
    """PostgreSQL does not take what the archive holds."""

    code = "not-loadable"


def load(
    connection: sa.Connection,
    archive: Archive,
    schema_name: str,
    role: str | None,
    progress: Progress,
    only: Sequence[str] | None = None,
    home: Home | None = None,
) -> Manifest:
    """Make a schema of an archive, within the caller's `text_transaction`.

    Args:
        connection: as the owner of all schemas.
        archive: at its beginning; it is read to the end.
        schema_name: of the schema, which does not exist yet.
        role: of the tenant, as in `scratch.build`.
        progress: is told of what is loaded.
        only: names of the tables to load, where not all are; the others are left empty, and
            foreign keys to them are left out.
        home: where the contents of files go that the archive holds; None to leave them.

    Returns:
        The archive's manifest. Every byte of the archive has been checked then, and every table
        that was loaded has been read back and compared.

    Raises:
        ArchiveDamagedError: the archive is not what was written.
        DriftedArchiveError: it does not fit its revision; nothing was loaded.
        NotEqualError, NotLoadableError: the database does not hold what the archive does.
        StorageError: the storage went away.
    """
    header = archive.header
    progress.begin("making the schema")
    made = scratch.build(connection, schema_name, header.revision, role)
    scratch.check_fit(header.tables, made, header.revision)
    if only is not None:
        _check_names(header, only)
    # A side schema keeps its indexes, and has no foreign keys, for what they name may be missing.
    rows = progress.total if only is None else 0
    loosened = scratch.loosen(connection, schema_name, made, rows=rows)
    driver_connection: Any = connection.connection
    wanted = [table for table in header.tables if only is None or table.name in only]
    with driver_connection.cursor() as cursor:
        for table, text in archive.tables():
            if table in wanted:
                progress.begin(f"loading {table.name}")
                _copy_in(cursor, schema_name, table, text, progress)
        if home is not None:
            progress.begin("storing files")
            files.put(connection, archive, schema_name, home)
        progress.begin("checking the archive")
        manifest = archive.finish()
        _set_sequences(connection, manifest, {table.name for table in wanted})
        if only is None:
            progress.begin("building indexes and foreign keys")
            _tighten(connection, loosened)
        else:
            scratch.keep_only(connection, schema_name, only)
        for table in wanted:
            progress.begin(f"comparing {table.name}")
            _compare(cursor, schema_name, table, manifest)
    return manifest


def _check_names(header: Header, only: Sequence[str]) -> None:
    names = {table.name for table in header.tables}
    unknown = sorted(set(only) - names)
    if unknown:
        raise InvalidInputError(
            f"The archive has no table {unknown[0]}. It has: {', '.join(sorted(names))}."
        )


def _copy_in(
    cursor: Any, schema_name: str, table: Table, rows: Readable, progress: Progress
) -> None:
    source = _Source(rows, progress)
    try:
        copy_in(cursor, schema_name, table, source)
    except psycopg2.Error as error:
        # psycopg2 makes an error of its own of what reading has raised.
        if source.error is not None:
            raise source.error from None
        raise _of_the_database(error, table.name) from None


def _of_the_database(error: psycopg2.Error, table: str) -> Exception:
    """The same error, as the rest of the program knows it."""
    code = error.pgcode or ""
    if code.startswith(("22", "23", "42")):
        # Class 22 and 23 repeat the value in their text, which may be a person's.
        return NotLoadableError(
            f"Table {table} cannot be loaded: {type(error).__name__} (SQLSTATE {code})."
        )
    return sa.exc.OperationalError(None, None, error, connection_invalidated=not code)


class _Source:
    """A table's rows on their way in; keeps the error that reading them raises."""

    def __init__(self, rows: Readable, progress: Progress) -> None:
        self._rows = rows
        self._progress = progress
        self.error: Exception | None = None

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = self._rows.read(size)
        except Exception as error:
            self.error = error
            raise
        self._progress.add(data)
        return data


def _set_sequences(connection: sa.Connection, manifest: Manifest, tables: set[str]) -> None:
    statement = sa.text(
        "SELECT setval(pg_get_serial_sequence(quote_ident(:table), :column), :value)"
    )
    for sequence in manifest.sequences:
        if sequence.last_value is not None and sequence.table in tables:
            values = {"table": sequence.table, "column": sequence.column}
            connection.execute(statement, {**values, "value": sequence.last_value})


def _tighten(connection: sa.Connection, loosened: scratch.Loosened) -> None:
    try:
        scratch.tighten(connection, loosened)
    except sa.exc.IntegrityError as error:
        constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
        raise ArchiveDamagedError(f"The rows of the archive break {constraint}.") from None


def _compare(cursor: Any, schema_name: str, table: Table, manifest: Manifest) -> None:
    try:
        found = copy_out(cursor, schema_name, table, lambda part: None)
    except psycopg2.Error as error:
        raise _of_the_database(error, table.name) from None
    archived = manifest.sums[table.name]
    if found != archived:
        raise NotEqualError(
            f"Table {table.name} was loaded with {found.rows} rows and SHA-256 {found.sha256}; "
            f"the archive says {archived.rows} rows and {archived.sha256}."
        )


def bring_to_head(
    connection: sa.Connection, schema_name: str, revision: str, settings: Settings
) -> str:
    """Upgrade a scratch schema; the catalogue knows nothing of it.

    Args:
        connection: in autocommit mode.
        schema_name: of the scratch schema.
        revision: that it is at.
        settings: with the bounds of upgrades.

    Returns:
        The revision that it is at then.
    """
    timeouts = Timeouts(settings.upgrade_lock_timeout, settings.upgrade_statement_timeout)
    target = head()
    for step in steps(revision, target):
        move.take_step(connection, schema_name, step, timeouts)
    return target
