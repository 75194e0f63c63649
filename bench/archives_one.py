"""Ways to get the data of one tenant out of PostgreSQL, in turns."""

from __future__ import annotations

import io
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

import psycopg2
import psycopg2.extensions
import sqlalchemy as sa
from psycopg2 import sql

from bench.installation import Installation, InstallationError
from bench.result import Row
from ops.archives.codec import Writable, encoding
from ops.archives.models import BackupSet
from ops.archives.writer import write_archive
from ops.backups.take import SetRef, Taken, take
from todo_app.config import Settings
from todo_app.database import own_connection
from todo_app.storage import Storage

TAKE = "archive"
COPY = "plain COPY"
DUMP = "pg_dump -n"

IN_A_TURN = 5
"""Times that what takes milliseconds is done in its turn, which counts as their median."""

Way = Callable[[], float]
"""Does it once; the seconds."""


class Dumped(NamedTuple):
    """What came of a `pg_dump`."""

    seconds: float
    error: str
    """Empty where there was none."""

    def check(self) -> float:
        """The seconds.

        Raises:
            InstallationError: it has failed.
        """
        if self.error:
            raise InstallationError(f"pg_dump failed:\n{self.error}")
        return self.seconds


def pg_dump(installation: Installation, *arguments: str) -> Dumped:
    """Run the server's own `pg_dump -Fc`, from its start to its end."""
    command = pg_dump_command(installation, *arguments)
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Dumped(time.perf_counter() - started, done.stderr.strip() if done.returncode else "")


def pg_dump_command(installation: Installation, *arguments: str) -> list[str]:
    """`pg_dump -Fc` as the owner of all schemas."""
    program = installation.postgres.bin_dir / "pg_dump"
    url = installation.env["OPS_DATABASE_URL"]
    return [str(program), "--format=custom", f"--dbname={url}", *arguments]


def in_turns(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round; the order changes from round to round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else list(reversed(ways)):
            times[name].append(ways[name]())
    return times


@contextmanager
def one_tenant(installation: Installation, schema_name: str) -> Iterator[OneTenant]:
    """A tenant, and the connections that are open while the block runs."""
    url = installation.env["OPS_DATABASE_URL"]
    with (
        installation.app.app_context(),
        own_connection() as owner,
        closing(psycopg2.connect(url)) as plain,
    ):
        yield OneTenant(installation, schema_name, owner, plain)


class OneTenant:
    """The ways, for one tenant, warm.

    Args:
        installation: with settings of backups.
        schema_name: of the tenant.
        owner: an own connection, as workers have them.
        plain: as the same role.
    """

    def __init__(
        self,
        installation: Installation,
        schema_name: str,
        owner: sa.Connection,
        plain: psycopg2.extensions.connection,
    ) -> None:
        self._installation = installation
        self._schema = schema_name
        self._owner = owner
        self._plain = plain
        self._settings: Settings = installation.app.config["SETTINGS"]
        self._storage = Storage(self._settings.backup_url)
        name = f"one-{time.time_ns()}"
        row = sa.insert(BackupSet).values(name=name, actor="bench")
        self._set = SetRef(owner.execute(row.returning(BackupSet.id)).scalar_one(), name)

    def measure(self, rounds: int) -> dict[str, list[float]]:
        """Seconds of each way in each round."""
        ways = {TAKE: _often(self._take), COPY: _often(self._copy), DUMP: self._dump}
        for way in ways.values():
            way()  # the tenant gets its key, connections and caches get warm
        return in_turns(ways, rounds)

    def measure_steps(self, rounds: int) -> dict[str, list[float]]:
        """Seconds of the steps of an archive, each of them alone: some run at the same time."""
        tar, file = io.BytesIO(), io.BytesIO()
        recipient = self._settings.backup_recipients[0]
        write_archive(self._owner, self._schema, tar)
        _encode(tar, file, recipient)

        def store() -> None:
            with self._storage.writing("steps/large") as out:
                out.write(file.getvalue())

        steps: dict[str, Callable[[], object]] = {
            "read, as a tar": lambda: write_archive(self._owner, self._schema, _Nowhere()),
            "compress": lambda: _encode(tar, _Nowhere(), None),
            "compress and encrypt": lambda: _encode(tar, _Nowhere(), recipient),
            "store": store,
            "store a small file": lambda: self._storage.put("steps/small", bytes(500)),
        }
        return in_turns({name: _often(_timed(step)) for name, step in steps.items()}, rounds)

    def size(self) -> Row:
        """How much it is."""
        taken = self._archive()
        return {
            "rows": taken.manifest.rows,
            "text MiB": taken.manifest.size / 2**20,
            "archive MiB": taken.size / 2**20,
        }

    def _take(self) -> float:
        return _timed(self._archive)()

    def _archive(self) -> Taken:
        taken = take(self._owner, self._storage, self._settings, self._set, self._schema)
        assert taken is not None
        return taken

    def _copy(self) -> float:
        with self._plain, self._plain.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [self._schema])
            tables = [sql.Identifier(self._schema, name) for (name,) in cursor.fetchall()]
            copies = [sql.SQL("COPY {} TO STDOUT").format(table) for table in tables]
            started = time.perf_counter()
            for copy in copies:
                cursor.copy_expert(copy, io.BytesIO())
            return time.perf_counter() - started

    def _dump(self) -> float:
        file = self._installation.directory / "one.dump"
        return pg_dump(self._installation, f"--schema={self._schema}", f"--file={file}").check()


class _Nowhere:
    """Takes bytes and forgets them."""

    def write(self, data: bytes, /) -> int:
        return len(data)


def _encode(tar: io.BytesIO, out: Writable, recipient: str | None) -> None:
    with encoding(out, recipient) as plain:
        plain.write(tar.getvalue())


def _timed(step: Callable[[], object]) -> Way:
    def once() -> float:
        started = time.perf_counter()
        step()
        return time.perf_counter() - started

    return once


def _often(once: Way) -> Way:
    return lambda: statistics.median(once() for _ in range(IN_A_TURN))
