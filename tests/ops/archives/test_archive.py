"""One tenant's archive: what is in it, how it is read, and everything that can be wrong with it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from flask import Flask

from ops.archives import copying
from ops.archives.codec import Counting, encoding
from ops.archives.errors import ArchiveDamagedError, FormatTooNewError, WrongKeyError
from ops.archives.keys import new_identity
from ops.archives.manifest import Header, Manifest, Table, folder
from ops.archives.reader import Expected, opened
from ops.archives.writer import write_archive
from ops.local.postgres import PostgresServer, ensure_owner
from tests.conftest import OPS_PASSWORD
from tests.factories import Company
from tests.ops.backups.kit import create, directory, execute, rows
from tests.ops.fleet import HEAD
from todo_app.database import own_connection
from todo_app.errors import AppError
from todo_app.storage import NotStoredError, Storage

NAME = "set/acme.tar.zst"


@dataclasses.dataclass
class Stored:
    """An archive in a directory of its own."""

    storage: Storage
    expected: Expected
    path: Path
    identity: bytes | None = None

    def read(self) -> Manifest:
        """Read all of it."""
        with opened(self.storage, self.expected, self.identity) as archive:
            return archive.finish()


def store(directory: Path, plain: bytes, tenant: uuid.UUID, recipient: str | None = None) -> Stored:
    """Put a tar into a storage."""
    storage = Storage(directory.as_uri())
    with storage.writing(NAME) as file:
        counted = Counting(file)
        with encoding(counted, recipient) as out:
            out.write(plain)
    expected = Expected(NAME, tenant, counted.bytes, counted.sha256)
    return Stored(storage, expected, directory / NAME)


def plain_archive(app: Flask, company: Company) -> tuple[bytes, uuid.UUID]:
    """A company's archive as a tar."""
    out = io.BytesIO()
    with app.app_context(), own_connection() as connection:
        header, _ = write_archive(connection, company.schema_name, out)
    return out.getvalue(), uuid.UUID(header.tenant["uuid"])


@pytest.fixture
def stored(app: Flask, acme: Company, tmp_path: Path) -> Stored:
    """A small archive that is not encrypted."""
    plain, tenant = plain_archive(app, acme)
    return store(tmp_path, plain, tenant)


def test_an_archive_holds_all_and_says_so(app: Flask, acme: Company, tmp_path: Path) -> None:
    acme.post("/lists/", {"title": "Groceries"})
    plain, tenant = plain_archive(app, acme)
    stored = store(tmp_path, plain, tenant)
    with opened(stored.storage, stored.expected, None) as archive:
        texts = {table.name: source.read() for table, source in archive.tables()}
        manifest = archive.finish()
    assert archive.header.tenant["slug"] == acme.slug
    assert archive.header.revision == HEAD
    assert b"Groceries" in texts["lists"]
    assert "alembic_version" not in texts
    for name, text in texts.items():
        assert manifest.sums[name].sha256 == hashlib.sha256(text).hexdigest()
        assert manifest.sums[name].rows == len(rows(app, acme.schema_name, name))
    assert manifest.size == sum(map(len, texts.values()))


def test_what_is_not_read_is_checked_all_the_same(stored: Stored) -> None:
    with opened(stored.storage, stored.expected, None) as archive:
        table, source = next(archive.tables())
        source.read(1)
        assert archive.finish().sums[table.name].rows >= 0


def test_every_flipped_byte_is_found(app: Flask, acme: Company, tmp_path: Path) -> None:
    """In an encrypted archive and in one that is not; found by content or by the whole's hash."""
    plain, tenant = plain_archive(app, acme)
    recipient, identity = new_identity()
    for number, (key, secret) in enumerate(((None, None), (recipient, identity))):
        stored = store(tmp_path / str(number), plain, tenant, key)
        stored.identity = secret
        good = stored.path.read_bytes()
        for place in range(0, len(good), 1 if len(good) < 5000 else 3):
            bad = bytearray(good)
            bad[place] ^= 1 << place % 8
            stored.path.write_bytes(bad)
            with pytest.raises((ArchiveDamagedError, WrongKeyError)):
                stored.read()
        stored.path.write_bytes(good)
        assert stored.read().rows > 0


def test_every_cut_is_found(stored: Stored) -> None:
    good = stored.path.read_bytes()
    for length in range(0, len(good), 7):
        stored.path.write_bytes(good[:length])
        with pytest.raises(ArchiveDamagedError):
            stored.read()
    stored.path.write_bytes(good + b"\0")
    with pytest.raises(ArchiveDamagedError):
        stored.read()
    stored.path.unlink()
    with pytest.raises(NotStoredError):
        stored.read()


def test_every_cut_block_of_the_tar_is_found(app: Flask, acme: Company, tmp_path: Path) -> None:
    """Even where the outer layers and the descriptor were made to match: the manifest tells."""
    plain, tenant = plain_archive(app, acme)
    for start in range(0, len(plain), 512):
        cut = plain[:start] + plain[start + 512 :]
        with pytest.raises(AppError):
            store(tmp_path, cut, tenant).read()


def members(plain: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def pack(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_what_was_put_together_anew_is_found(app: Flask, acme: Company, tmp_path: Path) -> None:
    plain, tenant = plain_archive(app, acme)
    files = members(plain)
    bare = pack(files)
    # Python's own tar fills up with more empty blocks; that is still the same archive.
    assert store(tmp_path, bare, tenant).read().rows > 0
    for name in files:
        without = {other: data for other, data in files.items() if other != name}
        with pytest.raises(AppError):
            store(tmp_path, pack(without), tenant).read()
        changed = {**files, name: files[name] + b" "}
        if name != "manifest.json":
            with pytest.raises(AppError):
                store(tmp_path, pack(changed), tenant).read()
    with pytest.raises(ArchiveDamagedError):
        store(tmp_path, pack({**files, "more": b"x"}), tenant).read()


def test_newer_formats_and_other_tenants_are_refused(
    app: Flask, acme: Company, tmp_path: Path
) -> None:
    plain, tenant = plain_archive(app, acme)
    with pytest.raises(ArchiveDamagedError, match="another tenant"):
        store(tmp_path, plain, uuid.uuid4()).read()
    files = members(plain)
    header = {**json.loads(files["header.json"]), "format": 3}
    with pytest.raises(FormatTooNewError, match="format 3"):
        store(tmp_path, pack({**files, "header.json": json.dumps(header).encode()}), tenant).read()
    for bad in (b"", b"[]", b"{}", b"\xff", b'{"format": "x"}', b'{"format": 1, "tables": 3}'):
        with pytest.raises(ArchiveDamagedError):
            store(tmp_path, pack({**files, "header.json": bad}), tenant).read()
        with pytest.raises(ArchiveDamagedError):
            store(tmp_path, pack({**files, "manifest.json": bad}), tenant).read()


def test_another_key_does_not_open_it(app: Flask, acme: Company, tmp_path: Path) -> None:
    plain, tenant = plain_archive(app, acme)
    stored = store(tmp_path, plain, tenant, new_identity()[0])
    stored.identity = new_identity()[1]
    with pytest.raises(WrongKeyError):
        stored.read()


HARD = """
CREATE TABLE "{schema}"."Odd ""table'; --" (
    id bigint PRIMARY KEY, "a column" text, number double precision, moment timestamptz,
    day date, raw bytea, json jsonb, list text[], numbers numeric[], span interval,
    twice bigint GENERATED ALWAYS AS (id * 2) STORED, nothing text
);
INSERT INTO "{schema}"."Odd ""table'; --" VALUES
    (1, E'tab\\t newline\\n backslash \\\\ return\\r', 'NaN', 'infinity', '-infinity',
     '\\x00ff0a5c', '{{"a": [1, null, "\\u00e9"]}}', ARRAY['x', NULL, 'a"b', '{{}}'],
     ARRAY[1.50, 'NaN'::numeric],
     '1 mon -3 days 04:05:06.789', DEFAULT, NULL),
    (2, E'\\\\N', '-Infinity', '0044-03-15 12:00 BC', '4713-01-01 BC', '', 'null', '{{}}', '{{}}',
     '-178000000 years', DEFAULT, ''),
    (3, :planes, 1e-308, '294276-12-31 23:59:59.999999+00', '5874897-12-31', NULL, '"x"', NULL,
     NULL, '0', DEFAULT, '\\.');
CREATE TABLE "{schema}".no_key (a int);
INSERT INTO "{schema}".no_key SELECT generate_series(1, 3);
"""


def test_all_that_postgresql_can_hold_comes_back(app: Flask, acme: Company) -> None:
    """Text of a kind: what goes out comes in again as it was, on another connection."""
    planes = (
        "".join(chr(0x10000 * plane + 0xABC) for plane in (0, 1, 2, 14, 15, 16)) + "\ufffd\u200f"
    )
    schema = acme.schema_name
    with app.app_context(), own_connection() as connection:
        connection.execute(
            sa.text(HARD.format(schema=schema).replace("\\:", ":")), {"planes": planes}
        )
        tables = {table.name: table for table in copying.describe(connection, schema)}
        table = tables["Odd \"table'; --"]
        assert "twice" not in table.columns
        assert tables["no_key"].key == ()
        for name in (table, tables["no_key"]):
            connection.exec_driver_sql(f"BEGIN; {copying.TEXT_FORMAT}")
            parts: list[bytes] = []
            driver: Any = connection.connection
            out = copying.copy_out(driver.cursor(), schema, name, parts.append)
            before = rows(app, schema, name.name.replace('"', '""'))
            quoted = name.name.replace('"', '""')
            connection.exec_driver_sql(f'TRUNCATE "{schema}"."{quoted}"')
            back = copying.copy_in(driver.cursor(), schema, name, io.BytesIO(b"".join(parts)))
            connection.exec_driver_sql("COMMIT")
            assert back == out
            assert rows(app, schema, quoted) == before
    assert folder(table.name).startswith("data/-")


def test_large_tables_come_in_parts_and_memory_stays_small(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(copying, "PART_BYTES", 1000)
    acme.post("/lists/", {"title": "Many"})
    execute(
        app,
        f'INSERT INTO "{acme.schema_name}".tasks (list_id, title, created_by_id) '
        f'SELECT l.id, repeat(n::text, 10), u.id FROM "{acme.schema_name}".lists AS l,'
        f' "{acme.schema_name}".users AS u, generate_series(1, 500) AS n',
    )
    plain, tenant = plain_archive(app, acme)
    parts = [name for name in members(plain) if name.startswith("data/tasks/")]
    assert len(parts) > 20
    stored = store(tmp_path, plain, tenant)
    assert stored.read().sums["tasks"].rows == 500


def test_descriptions_come_back_as_they_were() -> None:
    header = Header({"slug": "é"}, "0002", "18.6", "2026", "0/1", (Table("a", ("b",), ("b",)),))
    assert Header.from_json(header.to_json()) == header


@pytest.mark.skipif(
    not all(map(shutil.which, ("age", "zstd"))), reason="needs the programs age and zstd"
)
def test_an_archive_is_restored_by_hand(
    app: Flask, acme: Company, postgres: PostgresServer, tmp_path: Path
) -> None:
    """With the commands that docs/archive-format.md shows, without this program."""
    acme.post("/lists/", {"title": "Groceries 'n \\ more\n\u20ac"})
    archive = create(app, acme.slug)
    commands = by_hand()
    (tmp_path / "operator.key").write_text(app.config["SETTINGS"].backup_identity)
    shutil.copy(directory(app) / f"keys/{archive.tenant_uuid}.age", tmp_path / "tenant.key.age")
    shutil.copy(directory(app) / archive.name, tmp_path / "archive.tar.zst.age")
    ensure_owner(postgres, OPS_PASSWORD, database="by_hand")
    server = {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGUSER": "todo_ops",
        "PGPASSWORD": OPS_PASSWORD,
        "PGDATABASE": "by_hand",
    }
    try:
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=tmp_path,
            env={"PATH": f"{postgres.bin_dir}:/usr/bin:/bin", **server},
            check=True,
            capture_output=True,
            text=True,
        )
        with closing(psycopg2.connect(postgres.url("by_hand"))) as connection:
            cursor = connection.cursor()
            for table in ("users", "lists", "roles", "access_tokens"):
                cursor.execute(f'SELECT t::text FROM "{acme.schema_name}".{table} AS t ORDER BY 1')
                assert cursor.fetchall() == rows(app, acme.schema_name, table)
            cursor.execute(
                f'INSERT INTO "{acme.schema_name}".lists (title, created_by_id)'
                f' SELECT title, created_by_id FROM "{acme.schema_name}".lists RETURNING id'
            )
    finally:
        with closing(psycopg2.connect(postgres.url())) as connection:
            connection.autocommit = True
            connection.cursor().execute("DROP DATABASE by_hand WITH (FORCE)")


def by_hand() -> str:
    """The commands of the document."""
    text = Path("docs/archive-format.md").read_text()
    return text.partition("```sh\n")[2].partition("```")[0]
