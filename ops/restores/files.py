"""The contents of files in a restore: none that the live tenant knows is forgotten.

An object lies in the storage only as long as the live schema has its row. So whatever takes that
schema's place gets the rows that it lacks, as contents that nothing uses: they are kept for as long
as those of files that were deleted, and an `undo` finds them.
"""

# ruff: noqa: S608 - the names of schemas are quoted identifiers, all else is constant

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ops.archives.copying import Readable
from ops.archives.reader import Archive
from ops.restores.carried import Pair, send
from todo_app.config import Settings
from todo_app.database import quote_identifier
from todo_app.files.store import PIECE_BYTES, object_name, open_storage
from todo_app.storage import NotStoredError, Storage

DELETED_AT_ONCE = 1000

log = structlog.get_logger(__name__)


class _DiffersError(Exception):
    """A content is not the one that its row names."""


class Home(NamedTuple):
    """Where the contents of one tenant's files lie."""

    storage: Storage
    tenant_uuid: uuid.UUID
    live: str | None = None
    """The schema whose keys are right, where it has a content; see `carry_over`."""

    def keys(self) -> set[str]:
        """Of all that are there."""
        return {name.rsplit("/", 1)[-1] for name in self.storage.names(str(self.tenant_uuid))}

    def name(self, key: str) -> str:
        """That of an object."""
        return object_name(self.tenant_uuid, uuid.UUID(key))


def home(settings: Settings, tenant_uuid: uuid.UUID) -> Home | None:
    """Where the contents of a tenant's files lie; None where files are not kept here.

    Raises:
        ConfigError, StorageError: as of `store.open_storage`.
    """
    storage = open_storage(settings)
    return Home(storage, tenant_uuid) if storage else None


def put(connection: sa.Connection, archive: Archive, schema_name: str, home: Home) -> None:
    """Put the contents that an archive holds where they are missing.

    Where the restore fails after this, the nightly sweep of the tenant removes them.

    Args:
        connection: whose transaction has loaded the tables.
        archive: whose tables have been read.
        schema_name: that they were loaded into.
        home: of the tenant that the schema is for.

    Raises:
        ArchiveDamagedError, StorageError
    """
    there: set[str] | None = None
    wanted: dict[str, str] = {}
    moved: dict[str, str] = {}
    for key, content in archive.files():
        if there is None:
            there = home.keys()
            wanted = dict(_contents(connection, schema_name))
            if home.live is not None:
                moved = {sha256: key for key, sha256 in _contents(connection, home.live)}
        place = moved.get(wanted.get(key, ""), key)
        if key in wanted and place not in there:
            _put(home, place, content, wanted[key])


def _put(home: Home, key: str, content: Readable, sha256: str) -> None:
    digest = hashlib.sha256()
    try:
        with home.storage.writing(home.name(key)) as upload:
            while data := content.read(PIECE_BYTES):
                digest.update(data)
                upload.write(data)
            if digest.hexdigest() != sha256:
                raise _DiffersError
    except _DiffersError:
        # It was damaged before it came into the archive: one file less is no reason to stop.
        log.error("content of a file is damaged", name=home.name(key))


def carry_over(connection: sa.Connection, live: str, incoming: str) -> None:
    """Give a schema the contents of the live one whose place it is about to take.

    Writes only what differs: called a second time, it has next to nothing to do.

    Args:
        connection: as the owner of both.
        live: name of the live schema.
        incoming: name of the other, at the newest revision.
    """
    old, new = quote_identifier(live), quote_identifier(incoming)
    if not Pair(connection, old, new).columns("contents"):
        return
    send(
        connection,
        # Where both have a content, it lies where the live one says.
        f"UPDATE {new}.contents AS i SET key = l.key,"
        "  unused_since = CASE WHEN i.unused_since IS NULL THEN NULL ELSE now() END"
        f" FROM {old}.contents AS l WHERE l.sha256 = i.sha256"
        "  AND (l.key <> i.key OR i.unused_since < now() - interval '1 hour')",
        f"INSERT INTO {new}.contents (sha256, key, size, created_at, unused_since)"
        f" SELECT l.sha256, l.key, l.size, l.created_at, now() FROM {old}.contents AS l"
        f" WHERE NOT EXISTS (SELECT FROM {new}.contents AS i WHERE i.sha256 = l.sha256)",
    )


def provide(
    connection: sa.Connection, schema_name: str, home: Home | None, source_uuid: uuid.UUID
) -> int:
    """Copy contents that a tenant lacks from the one whose archive it was made of.

    Args:
        connection: as the owner.
        schema_name: of the schema, which is at the newest revision.
        home: of its tenant; None where files are not kept here.
        source_uuid: the other tenant, which may be the same one.

    Returns:
        How many contents are missing: their files cannot be downloaded.
    """
    keys = {key for key, _ in _contents(connection, schema_name, only_used=True)}
    if not keys:
        return 0
    if home is None:
        return len(keys)
    missing = keys - home.keys()
    if source_uuid == home.tenant_uuid:
        return len(missing)
    source = Home(home.storage, source_uuid)
    return sum(not _copy(source.name(key), home.name(key), home.storage) for key in missing)


def _copy(name: str, to: str, storage: Storage) -> bool:
    try:
        storage.copy(name, to)
    except NotStoredError:
        return False
    return True


def delete_all(settings: Settings, tenant_uuid: uuid.UUID) -> None:
    """Delete the contents of all files of a tenant.

    Raises:
        ConfigError, StorageError
    """
    storage = open_storage(settings)
    if storage is None:
        return
    some: list[str] = []
    for name in storage.names(str(tenant_uuid)):
        some.append(name)
        if len(some) == DELETED_AT_ONCE:
            storage.delete(some)
            some = []
    storage.delete(some)


def _contents(
    connection: sa.Connection, schema_name: str, *, only_used: bool = False
) -> Iterator[tuple[str, str]]:
    """The contents of a schema: key, and hash in hexadecimal."""
    schema = quote_identifier(schema_name)
    if connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": f"{schema}.contents"}):
        used = f" WHERE sha256 IN (SELECT sha256 FROM {schema}.attachments)" if only_used else ""
        sql = f"SELECT key::text, encode(sha256, 'hex') FROM {schema}.contents{used}"
        yield from (
            (row[0], row[1])
            for row in connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
        )
