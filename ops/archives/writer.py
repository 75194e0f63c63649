"""Writes one tenant as a tar: a snapshot of all its tables, streamed."""

from __future__ import annotations

import hashlib
import tarfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from ops.archives import copying
from ops.archives.codec import Writable
from ops.archives.contents import Contents
from ops.archives.copying import TEXT_FORMAT
from ops.archives.errors import SchemaReplacedError
from ops.archives.manifest import (
    FILES,
    FORMAT,
    HEADER,
    MANIFEST,
    RESTORE,
    SCHEMA,
    FileSum,
    ForeignKey,
    Header,
    Manifest,
    Table,
    folder,
    part_name,
)
from ops.archives.manifest import Sequence as SequenceState
from ops.upgrades.script import for_schema, plain_script
from todo_app.database import quote_identifier
from todo_app.storage import Storage

BLOCK = 512
"""Tar counts in blocks."""

NOT_KEPT = {"id", "version", "created_at", "updated_at", "last_proven_restore", "is_canary"}
"""Columns of a tenant's row that belong to this installation and not to the tenant."""


class Snapshot(NamedTuple):
    """A moment that another transaction keeps."""

    name: str
    """As `pg_export_snapshot` gave it."""
    taken_at: str
    lsn: str


def write_archive(
    connection: sa.Connection,
    schema_name: str,
    out: Writable,
    snapshot: Snapshot | None = None,
    files: Storage | None = None,
) -> tuple[Header, Manifest]:
    """Write a tenant's archive, neither compressed nor encrypted.

    Args:
        connection: as the owner of the schema, in autocommit mode; the caller holds the tenant.
        schema_name: of the tenant.
        out: where to.
        snapshot: what to see instead of the present.
        files: where the contents of files lie, where the archive is to have them in it.

    Returns:
        What the archive says of itself.

    Raises:
        SchemaReplacedError: what the snapshot saw is no longer there.
        StorageError: the contents of files cannot be read.
    """
    connection.exec_driver_sql(_begin(schema_name, snapshot))
    try:
        return _write(connection, schema_name, _Tar(out), snapshot, files)
    finally:
        connection.exec_driver_sql("ROLLBACK")


def _begin(schema_name: str, snapshot: Snapshot | None) -> str:
    take = f"SET TRANSACTION SNAPSHOT '{_checked(snapshot.name)}';" if snapshot else ""
    return (
        f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {take}"
        f" SET LOCAL search_path TO {quote_identifier(schema_name)};"
        f" SET LOCAL statement_timeout TO 0; {TEXT_FORMAT}"
    )


def _checked(snapshot: str) -> str:
    if not snapshot.replace("-", "").isalnum():
        raise ValueError("not the name of a snapshot")
    return snapshot


def _write(
    connection: sa.Connection,
    schema_name: str,
    tar: _Tar,
    snapshot: Snapshot | None,
    files: Storage | None,
) -> tuple[Header, Manifest]:
    header = _header(connection, schema_name, snapshot)
    contents = Contents(connection, header, files) if files else ()
    if contents:
        header = replace(header, format=FORMAT)
    keys = copying.foreign_keys(connection, schema_name)
    members = {
        HEADER: tar.describe(HEADER, header.to_json()),
        SCHEMA: tar.describe(SCHEMA, _schema_sql(schema_name, header.revision).encode()),
    }
    driver_connection: Any = connection.connection
    sums = {}
    with driver_connection.cursor() as cursor:
        for table in header.tables:
            parts = _Parts(tar, table.name)
            sums[table.name] = copying.copy_out(cursor, schema_name, table, parts.add)
            parts.end()
    file_sums = {
        content.key: tar.stream(FILES + content.key, content.size, content.pieces)
        for content in contents
    }
    sequences = tuple(copying.sequences(connection, schema_name))
    restore = "\n".join(_restore_sql(schema_name, header.tables, keys, sequences))
    members[RESTORE] = tar.describe(RESTORE, f"{restore}\n".encode())
    manifest = Manifest(sums, sequences, members, file_sums, header.format)
    tar.add(MANIFEST, manifest.to_json())
    tar.end()
    return header, manifest


class _Parts:
    """The parts of one table; there is at least one, so that a shell's `*` finds it."""

    def __init__(self, tar: _Tar, table: str) -> None:
        self._tar = tar
        self._table = table
        self._number = 0

    def add(self, data: bytes) -> None:
        self._number += 1
        self._tar.add(part_name(self._table, self._number), data)

    def end(self) -> None:
        if not self._number:
            self.add(b"")


MOMENT = (
    " to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS taken_at,"
    " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"
    "  ::text AS lsn"
)
"""SQL: when the transaction began, and how far the write-ahead log has come."""

_STANDING = sa.text(
    "SELECT to_jsonb(t) AS tenant,"  # noqa: S608 (made of constants)
    " (SELECT version_num FROM alembic_version) AS revision,"
    f" current_setting('server_version') AS server_version, {MOMENT}"
    " FROM public.tenants AS t WHERE t.schema_name = :schema"
)


# Tables that were replaced or rewritten since look empty to an old snapshot: what it sees of the
# catalogue then differs from what is there now.
_REPLACED = sa.text(
    "SELECT n.oid IS DISTINCT FROM CAST(to_regnamespace(quote_ident(:schema)) AS oid)"
    " OR EXISTS (SELECT FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid"
    "  WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass"
    "  AND d.refobjid = n.oid AND c.relkind IN ('r', 'm')"
    "  AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid))"
    " FROM (VALUES (:schema)) AS s (name) LEFT JOIN pg_namespace AS n ON n.nspname = s.name"
)


def _header(connection: sa.Connection, schema_name: str, snapshot: Snapshot | None) -> Header:
    found = connection.execute(_STANDING, {"schema": schema_name}).one()
    if snapshot and connection.execute(_REPLACED, {"schema": schema_name}).scalar_one():
        raise SchemaReplacedError
    if found.tenant["revision"] and not found.revision:
        raise SchemaReplacedError("The tenant has a revision, but its version table has none.")
    return Header(
        tenant={name: value for name, value in found.tenant.items() if name not in NOT_KEPT},
        revision=found.revision or "",
        server_version=found.server_version,
        taken_at=snapshot.taken_at if snapshot else found.taken_at,
        lsn=snapshot.lsn if snapshot else found.lsn,
        tables=tuple(copying.describe(connection, schema_name)),
    )


def _schema_sql(schema_name: str, revision: str) -> str:
    """What the migrations make of an empty schema, up to this revision."""
    return for_schema(plain_script(revision), schema_name)


def _restore_sql(
    schema_name: str,
    tables: Iterable[Table],
    keys: Sequence[ForeignKey],
    sequences: Iterable[SequenceState],
) -> Iterable[str]:
    """What `psql` needs to restore the archive where it has been unpacked."""
    schema = quote_identifier(schema_name)
    names = [quote_identifier(table.name) for table in tables]
    yield "\\set ON_ERROR_STOP on"
    yield "BEGIN;"
    yield f"CREATE SCHEMA {schema};"
    yield f"SET LOCAL search_path TO {schema};"
    yield "\\i schema.sql"
    yield TEXT_FORMAT
    for key in keys:
        name = quote_identifier(key.name)
        yield f"ALTER TABLE {quote_identifier(key.table)} DROP CONSTRAINT IF EXISTS {name};"
    if names:
        yield f"TRUNCATE {', '.join(names)};"
    for table in tables:
        columns = ", ".join(quote_identifier(column) for column in table.columns)
        source = f"cat {folder(table.name)}/*.copy"
        yield f"\\copy {quote_identifier(table.name)} ({columns}) FROM PROGRAM '{source}'"
    for key in keys:
        name = quote_identifier(key.name)
        yield (f"ALTER TABLE {quote_identifier(key.table)} ADD CONSTRAINT {name} {key.definition};")
    for sequence in sequences:
        if sequence.last_value is not None:
            owner = quote_identifier(sequence.table).replace("'", "''")
            column = sequence.column.replace("'", "''")
            value = f"{sequence.last_value:d}"
            yield f"SELECT setval(pg_get_serial_sequence('{owner}', '{column}'), {value});"
    yield "COMMIT;"


class _Tar:
    """The few things of tar that a stream of plain files needs; Python's writer adds copies."""

    def __init__(self, out: Writable) -> None:
        self._out = out
        self._time = int(time.time())

    def describe(self, name: str, data: bytes) -> str:
        """Write one file.

        Returns:
            Its SHA-256.
        """
        self.add(name, data)
        return hashlib.sha256(data).hexdigest()

    def add(self, name: str, data: bytes) -> None:
        """Write one file, whose hash nobody asks for."""
        self._begin(name, len(data))
        self._out.write(data)
        self._out.write(bytes(-len(data) % BLOCK))

    def stream(self, name: str, size: int, pieces: Iterable[bytes]) -> FileSum:
        """Write one file of so many bytes, piece by piece."""
        digest = hashlib.sha256()
        self._begin(name, size)
        for piece in pieces:
            digest.update(piece)
            self._out.write(piece)
        self._out.write(bytes(-size % BLOCK))
        return FileSum(size, digest.hexdigest())

    def _begin(self, name: str, size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size = size
        info.mtime = self._time
        self._out.write(info.tobuf(tarfile.USTAR_FORMAT))

    def end(self) -> None:
        """Write the end, which is two empty blocks."""
        self._out.write(bytes(2 * BLOCK))
