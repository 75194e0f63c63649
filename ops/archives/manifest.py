"""What an archive says of itself: a header in front of the data, and a manifest behind it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from ops.archives.errors import ArchiveDamagedError, FormatTooNewError

FORMAT = 2
"""The newest that is read."""
WITHOUT_FILES = 1
"""That of an archive which has no contents of files, as older programs can read it."""

HEADER = "header.json"
SCHEMA = "schema.sql"
RESTORE = "restore.sql"
MANIFEST = "manifest.json"

FILES = "files/"
"""Where the contents of files lie, by their keys."""

_PLAIN_NAME = re.compile(r"\w{1,63}", re.ASCII)


class Table(NamedTuple):
    """A table of a tenant."""

    name: str
    columns: tuple[str, ...]
    """Without generated ones, which cannot be copied."""
    key: tuple[str, ...]
    """Columns of the primary key: the order of the rows."""
    texts: tuple[str, ...] = ()
    """Those of the key that hold text; ordered by their bytes, the same in every database."""


class TableSum(NamedTuple):
    """What a table's rows come to, as COPY writes them."""

    rows: int
    bytes: int
    sha256: str


class FileSum(NamedTuple):
    """What the content of a file comes to."""

    bytes: int
    sha256: str


class Sequence(NamedTuple):
    """How far the sequence of a column has come; None where it has not begun."""

    table: str
    column: str
    last_value: int | None


class ForeignKey(NamedTuple):
    """A foreign key, and the SQL behind `ADD CONSTRAINT name`."""

    table: str
    name: str
    definition: str


@dataclass(frozen=True)
class Header:
    """What is known before the data."""

    tenant: Mapping[str, Any]
    """The tenant's row in the control plane."""
    revision: str
    server_version: str
    taken_at: str
    """When the snapshot was taken: RFC 3339, UTC."""
    lsn: str
    """How far the server's write-ahead log had come."""
    tables: tuple[Table, ...]
    format: int = WITHOUT_FILES

    def to_json(self) -> bytes:
        """As it stands in the archive."""
        return _to_json(asdict(self) | {"tables": [table._asdict() for table in self.tables]})

    @classmethod
    def from_json(cls, data: bytes) -> Header:
        """Read one.

        Raises:
            ArchiveDamagedError: it is none.
            FormatTooNewError: a newer program has written it.
        """
        values = _from_json(data)
        _check_format(values)
        try:
            tables = tuple(
                Table(table["name"], *(tuple(table[name]) for name in Table._fields[1:]))
                for table in values.pop("tables")
            )
            return cls(tables=tables, **values)
        except (KeyError, TypeError):
            raise ArchiveDamagedError(f"{HEADER} is not complete.") from None


@dataclass(frozen=True)
class Manifest:
    """What is known after the data; an archive without one has been cut."""

    sums: Mapping[str, TableSum]
    """By table."""
    sequences: tuple[Sequence, ...]
    members: Mapping[str, str]
    """SHA-256 of the members that are no table's data, and no file's content."""
    files: Mapping[str, FileSum] = field(default_factory=dict)
    """By key."""
    format: int = WITHOUT_FILES

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.sums.values())

    @property
    def size(self) -> int:
        """Bytes of all tables, before compression."""
        return sum(table.bytes for table in self.sums.values())

    def to_json(self) -> bytes:
        """As it stands in the archive."""
        sums = {name: table._asdict() for name, table in self.sums.items()}
        sequences = [sequence._asdict() for sequence in self.sequences]
        values = asdict(self) | {"sums": sums, "sequences": sequences}
        # Programs that know only archives without files would not know the word.
        del values["files"]
        if self.files:
            values["files"] = {key: file._asdict() for key, file in self.files.items()}
        return _to_json(values)

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read one.

        Raises:
            ArchiveDamagedError: it is none.
        """
        values = _from_json(data)
        try:
            sums = {name: TableSum(**table) for name, table in values.pop("sums").items()}
            sequences = tuple(Sequence(**sequence) for sequence in values.pop("sequences"))
            files = {key: FileSum(**file) for key, file in values.pop("files", {}).items()}
            return cls(sums=sums, sequences=sequences, files=files, **values)
        except (KeyError, TypeError, AttributeError):
            raise ArchiveDamagedError(f"{MANIFEST} is not complete.") from None


def folder(table: str) -> str:
    """Where the parts of a table's data lie; file systems and shells know fewer names than SQL."""
    if _PLAIN_NAME.fullmatch(table):
        return f"data/{table}"
    return f"data/-{hashlib.sha256(table.encode()).hexdigest()[:16]}"


def part_name(table: str, number: int) -> str:
    """Name of one part of a table's data, counted from 1."""
    return f"{folder(table)}/{number:06}.copy"


def _check_format(values: Mapping[str, Any]) -> None:
    number = values.get("format")
    if not isinstance(number, int):
        raise ArchiveDamagedError(f"{HEADER} names no format.")
    if number > FORMAT:
        raise FormatTooNewError(
            f"The archive has format {number}; this program knows up to {FORMAT}."
        )


def _to_json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, indent=1, ensure_ascii=False, default=str).encode()


def _from_json(data: bytes) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise ArchiveDamagedError("A description in the archive cannot be read.")
    return values
