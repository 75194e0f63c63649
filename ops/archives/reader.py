"""Reads an archive once, from front to back, and checks everything on the way."""

from __future__ import annotations

import hashlib
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ops.archives.codec import Writable, decoding, encoding
from ops.archives.copying import PART_BYTES, Readable, Summed
from ops.archives.errors import ArchiveDamagedError
from ops.archives.manifest import (
    FILES,
    HEADER,
    MANIFEST,
    RESTORE,
    SCHEMA,
    FileSum,
    Header,
    Manifest,
    Table,
    TableSum,
    part_name,
)
from ops.archives.writer import BLOCK
from todo_app.storage import Storage

DESCRIPTION_BYTES = 64 * 1024 * 1024
"""More than any description has; what claims to be larger is damaged, and is not read."""

DRAIN_BYTES = 256 * 1024


@dataclass(frozen=True)
class Expected:
    """What is known of an archive from elsewhere: the catalogue, or its descriptor."""

    name: str
    tenant_uuid: uuid.UUID
    size: int
    sha256: str


def repack(storage: Storage, expected: Expected, identity: bytes | None, out: Writable) -> None:
    """Compress an archive anew, without encryption, for somebody who has no key of ours.

    Raises:
        ArchiveDamagedError, WrongKeyError, StorageError, NotStoredError: as `opened` does; what has
            been written until then is worth nothing.
    """
    with storage.reading(expected.name) as stored:
        file = _File(stored)
        with decoding(file, identity) as plain, encoding(out, None) as again:
            while data := plain.read(DRAIN_BYTES):
                again.write(data)
        file.check(expected)


@contextmanager
def opened(storage: Storage, expected: Expected, identity: bytes | None) -> Iterator[Archive]:
    """Read an archive in the storage.

    Args:
        storage: where it lies.
        expected: which one, and what it should be.
        identity: secret key of the tenant; None for an archive that is not encrypted.

    Raises:
        ArchiveDamagedError: it is not what was written, now or while it is read.
        FormatTooNewError: a newer program has written it.
        WrongKeyError: it is encrypted for another key.
        NotStoredError, StorageError: it cannot be had.
    """
    with storage.reading(expected.name) as stored:
        file = _File(stored)
        with decoding(file, identity) as plain:
            archive = Archive(plain, file, expected)
            yield archive


class _File:
    """The archive as it lies in the storage, hashed on the way."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    def check(self, expected: Expected) -> None:
        """Compare what was read, which must be all, with what was stored."""
        while self.read(DRAIN_BYTES):
            pass
        if (self.size, self._hash.hexdigest()) != (expected.size, expected.sha256):
            raise ArchiveDamagedError("The file is not the one that was stored.")


class Archive:
    """An archive that is being read.

    Args:
        source: the plain tar.
        file: what `source` comes from.
        expected: what the file should be.
    """

    def __init__(self, source: Readable, file: _File, expected: Expected) -> None:
        self._source = source
        self._file = file
        self._expected = expected
        self._next = self._header_block()
        self._members: dict[str, str] = {}
        self._sums: dict[str, TableSum] = {}
        self._file_sums: dict[str, FileSum] = {}
        self._tables = self._read_tables()
        self._files = self._read_files()
        self.header = Header.from_json(self._description(HEADER))
        """What stands in front of the data."""
        if str(self.header.tenant.get("uuid")) != str(expected.tenant_uuid):
            raise ArchiveDamagedError("It is the archive of another tenant.")
        self._description(SCHEMA)

    def tables(self) -> Iterator[tuple[Table, Readable]]:
        """The tables in order, each with its rows as COPY's text.

        Rows that the caller has not read are read when it asks for the next table.
        """
        return self._tables

    def _read_tables(self) -> Iterator[tuple[Table, Readable]]:
        for table in self.header.tables:
            rows = Summed(_Rows(self, table.name))
            yield table, rows
            while rows.read(DRAIN_BYTES):
                pass
            self._sums[table.name] = rows.sum

    def files(self) -> Iterator[tuple[str, Readable]]:
        """The contents of files by key, once the tables have been read.

        What the caller has not read is read when it asks for the next one.
        """
        return self._files

    def _read_files(self) -> Iterator[tuple[str, Readable]]:
        while self._next is not None and self._next.name.startswith(FILES):
            key = self._next.name.removeprefix(FILES)
            content = _Content(self, self._next.size)
            yield key, content
            while content.read(DRAIN_BYTES):
                pass
            self._file_sums[key] = content.sum
            self._skip_padding(content.sum.bytes)
            self._next = self._header_block()

    def finish(self) -> Manifest:
        """Read what is left, and compare everything.

        Returns:
            What stands behind the data.

        Raises:
            ArchiveDamagedError: anything differs from what was written.
        """
        for _ in self._tables:
            pass
        for _ in self._files:
            pass
        self._description(RESTORE)
        # Its own hash cannot stand in it.
        members = dict(self._members)
        manifest = Manifest.from_json(self._description(MANIFEST))
        if self._next is not None or any(
            iter(lambda: self._source.read(DRAIN_BYTES).strip(b"\0"), b"")
        ):
            raise ArchiveDamagedError("Something follows the end of the archive.")
        self._file.check(self._expected)
        if dict(manifest.members) != members:
            raise ArchiveDamagedError("A description in the archive has changed.")
        for name, sum_ in self._sums.items():
            if manifest.sums.get(name) != sum_:
                raise ArchiveDamagedError(f"The rows of the table {name} have changed.")
        if dict(manifest.files) != self._file_sums:
            raise ArchiveDamagedError("The content of a file has changed.")
        return manifest

    def _description(self, name: str) -> bytes:
        """The member that comes next, which has to be this one."""
        info = self._next
        if info is None or info.name != name or info.size > DESCRIPTION_BYTES:
            raise ArchiveDamagedError(f"{name} is not where it should be.")
        data = self._exactly(info.size)
        self._skip_padding(info.size)
        self._members[name] = hashlib.sha256(data).hexdigest()
        self._next = self._header_block()
        return data

    def _header_block(self) -> tarfile.TarInfo | None:
        """What the next member is; None at the end of the archive."""
        block = self._exactly(BLOCK)
        if not any(block):
            if any(self._exactly(BLOCK)):
                raise ArchiveDamagedError("The end of the archive is not one.")
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeError):
            raise ArchiveDamagedError("A part of the archive has no header.") from None

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                raise ArchiveDamagedError("The archive has been cut.")
            data += more
        return bytes(data)

    def _skip_padding(self, size: int) -> None:
        if any(self._exactly(-size % BLOCK)):
            raise ArchiveDamagedError("Something stands between two parts of the archive.")


class _Content:
    """The content of one file, hashed on the way."""

    def __init__(self, archive: Archive, size: int) -> None:
        self._archive = archive
        self._size = self._left = size
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._archive._exactly(min(wanted, PART_BYTES))
        self._left -= len(data)
        self._hash.update(data)
        return data

    @property
    def sum(self) -> FileSum:
        """Of all of it, once it has been read."""
        return FileSum(self._size, self._hash.hexdigest())


class _Rows:
    """The parts of one table as one text."""

    def __init__(self, archive: Archive, table: str) -> None:
        self._archive = archive
        self._table = table
        self._number = 0
        self._size = 0
        self._left = 0
        self._is_at_end = not self._begin_part()
        if self._is_at_end:
            raise ArchiveDamagedError(f"The rows of the table {table} are missing.")

    def _begin_part(self) -> bool:
        info = self._archive._next
        if info is None or info.name != part_name(self._table, self._number + 1):
            return False
        self._number += 1
        self._size = self._left = info.size
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""
        while not self._left and not self._is_at_end:
            self._archive._skip_padding(self._size)
            self._archive._next = self._archive._header_block()
            self._is_at_end = not self._begin_part()
        if not self._left:
            return b""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._archive._exactly(min(wanted, PART_BYTES))
        self._left -= len(data)
        return data
