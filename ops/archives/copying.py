"""A schema's tables out of PostgreSQL and back, as text that is the same on every server."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa

from ops.archives.manifest import ForeignKey, Sequence, Table, TableSum
from todo_app.database import quote_identifier

PART_BYTES = 512 * 1024
"""Most of a table that is held in memory. So little that PostgreSQL sends the next rows while these
are compressed."""

TEXT_FORMAT = (
    "SET LOCAL client_encoding TO 'UTF8'; SET LOCAL DateStyle TO 'ISO, YMD';"
    " SET LOCAL IntervalStyle TO 'postgres'; SET LOCAL TimeZone TO 'UTC';"
    " SET LOCAL extra_float_digits TO 1; SET LOCAL bytea_output TO 'hex';"
    " SET LOCAL xmloption TO 'content'; SET LOCAL row_security TO off;"
    " SET LOCAL lc_monetary TO 'C';"
)
"""What the text of a row depends on, for the current transaction."""

VERSION_TABLE = "alembic_version"


class Readable(Protocol):
    """Something to read bytes from."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""


# The members of a schema are found through pg_depend, which has an index for it.
_MEMBERS = (
    "WITH member AS MATERIALIZED (SELECT c.oid, c.relname::text, c.relkind, c.relispartition"
    "  FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid"
    "  WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass"
    "  AND d.refobjid = to_regnamespace(quote_ident(:schema)))"
)

_TABLES = sa.text(
    f"{_MEMBERS} SELECT m.relname AS name,"  # noqa: S608 (made of constants)
    " ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = m.oid"
    "  AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum)"
    "  AS columns,"
    " ARRAY(SELECT a.attname::text FROM pg_index AS i"
    "  CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)"
    "  JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    "  WHERE i.indrelid = m.oid AND i.indisprimary AND k.place <= i.indnkeyatts"
    "  ORDER BY k.place) AS key,"
    " ARRAY(SELECT a.attname::text FROM pg_index AS i"
    "  JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
    "  WHERE i.indrelid = m.oid AND i.indisprimary AND a.attcollation <> 0 ORDER BY 1) AS texts"
    " FROM member AS m WHERE m.relkind IN ('r', 'p') AND NOT m.relispartition"
    f" AND m.relname <> '{VERSION_TABLE}' ORDER BY m.relname COLLATE \"C\""
)

_FOREIGN_KEYS = sa.text(
    f"{_MEMBERS} SELECT m.relname, c.conname::text,"  # noqa: S608 (made of constants)
    " pg_get_constraintdef(c.oid)"
    " FROM member AS m JOIN pg_constraint AS c ON c.conrelid = m.oid"
    " WHERE c.contype = 'f' AND c.conparentid = 0 ORDER BY 1, 2"
)

_SEQUENCES = sa.text(
    f"{_MEMBERS} SELECT t.relname::text, a.attname::text,"  # noqa: S608 (made of constants)
    " pg_sequence_last_value(m.oid)"
    " FROM member AS m"
    " JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = m.oid"
    "  AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')"
    " JOIN pg_class AS t ON t.oid = d.refobjid"
    " JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid"
    " WHERE m.relkind = 'S' ORDER BY 1, 2"
)


def describe(connection: sa.Connection, schema_name: str) -> list[Table]:
    """The tables of a schema, without the one that holds its revision."""
    rows = connection.execute(_TABLES, {"schema": schema_name})
    return [Table(row.name, *map(tuple, row[1:])) for row in rows]


def foreign_keys(connection: sa.Connection, schema_name: str) -> list[ForeignKey]:
    """The foreign keys of a schema; their SQL leaves out the schemas of the search_path."""
    return [ForeignKey._make(row) for row in connection.execute(_FOREIGN_KEYS, _of(schema_name))]


def sequences(connection: sa.Connection, schema_name: str) -> list[Sequence]:
    """How far the sequences of a schema's columns have come.

    Sequences know no snapshot: read after the rows, they are never behind them.
    """
    return [Sequence._make(row) for row in connection.execute(_SEQUENCES, _of(schema_name))]


def _of(schema_name: str) -> dict[str, str]:
    return {"schema": schema_name}


def copy_out(
    cursor: Any, schema_name: str, table: Table, write: Callable[[bytes], object]
) -> TableSum:
    """Copy a table's rows, in the order of their key.

    Args:
        cursor: of psycopg2, in a transaction with `TEXT_FORMAT`.
        schema_name: of the table.
        table: which one.
        write: is given parts of at most `PART_BYTES`, or one row; none where there are no rows.
    """
    parts = _Parts(write)
    # psycopg2 gives row by row: a Python function for each would take longer than their hash.
    buffered = io.BufferedWriter(parts, PART_BYTES)
    source = f"{quote_identifier(schema_name)}.{quote_identifier(table.name)}"
    order = ", ".join(_order(table, column) for column in table.key) or "t::text"
    select = f"SELECT {_list(table.columns)} FROM {source} AS t ORDER BY {order}"  # noqa: S608
    cursor.copy_expert(f"COPY ({select}) TO STDOUT", buffered)
    buffered.flush()
    return parts.sum(cursor.rowcount)


def copy_in(cursor: Any, schema_name: str, table: Table, source: Readable) -> TableSum:
    """Copy rows into a table.

    Args:
        cursor: of psycopg2, in a transaction with `TEXT_FORMAT`.
        schema_name: of the table.
        table: which one; its columns are those of the text.
        source: what `copy_out` wrote.

    Returns:
        What was read.
    """
    summed = Summed(source)
    target = f"{quote_identifier(schema_name)}.{quote_identifier(table.name)}"
    cursor.copy_expert(f"COPY {target} ({_list(table.columns)}) FROM STDIN", summed, 256 * 1024)
    return summed.sum


def _order(table: Table, column: str) -> str:
    return quote_identifier(column) + (' COLLATE "C"' if column in table.texts else "")


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(quote_identifier(name) for name in names)


class _Parts(io.RawIOBase):
    """Sums parts of a table's text up, and hands them on."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._hash = hashlib.sha256()
        self._bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, rows: Any, /) -> int:
        part = bytes(rows)
        self._hash.update(part)
        self._bytes += len(part)
        self._write(part)
        return len(part)

    def sum(self, rows: int) -> TableSum:
        """Of all that was written."""
        return TableSum(rows, self._bytes, self._hash.hexdigest())


class Summed:
    """Passes a table's text on and sums it up on the way."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self._rows = 0
        self._bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; none at the end."""
        data = self._source.read(size)
        self._hash.update(data)
        # In COPY's text every row ends with a newline, and no other newline stands for itself.
        self._rows += data.count(b"\n")
        self._bytes += len(data)
        return data

    @property
    def sum(self) -> TableSum:
        """Of what was read so far."""
        return TableSum(self._rows, self._bytes, self._hash.hexdigest())
