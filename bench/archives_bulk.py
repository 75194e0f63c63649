"""A tenant with much data: out of PostgreSQL and back, as an archive and as a dump, in turns."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import closing
from typing import NamedTuple

import psycopg2
from psycopg2 import sql

from bench.archives_data import fill
from bench.archives_one import in_turns, pg_dump, pg_dump_command
from bench.fleet import run_python
from bench.installation import ROOT, Installation, InstallationError
from bench.result import Figures, Ratio, Row, spread
from ops.archives.codec import encoding
from todo_app.config import Settings

ROUNDS = 3
"""Turns, at most: each takes many seconds."""
TARGET = ">= 0.7"
MEMORY_TARGET = "<= 1"
MOST_MEMORY = 200.0
"""MiB."""

ARCHIVE = "archive"
DUMP = "pg_dump -Fc"
PIPED = "pg_dump -Z0, our codec"
RESTORE = "restore"
PG_RESTORE = "pg_restore"

DATABASE = "bench_restored"
PIECE = 256 * 1024
MEBIBYTE = 1024 * 1024


class Alone(NamedTuple):
    """What a process that does one thing says in the end."""

    seconds: float
    """Without those of its start."""
    peak: int
    """Most bytes of memory that it had."""
    archive: str
    """Name of the archive."""
    text: int
    """Bytes of all rows as COPY's text."""
    size: int
    """Bytes of the archive."""

    def row(self) -> Row:
        """As a row of figures."""
        return {
            "text MiB": self.text / MEBIBYTE,
            "archive MiB": self.size / MEBIBYTE,
            "text MiB/s": self.text / MEBIBYTE / self.seconds,
            "peak MiB": self.peak / MEBIBYTE,
        }


def measure(
    installation: Installation, schema_name: str, megabytes: int, rounds: int
) -> tuple[dict[str, Ratio], Figures]:
    """Measure archive and restore of one tenant.

    Args:
        installation: with settings of backups, and that tenant alone.
        schema_name: of the tenant, which is filled.
        megabytes: of COPY's text that it gets.
        rounds: turns of each way.
    """
    fill(installation, schema_name, megabytes * 1_000_000)
    bulk = _Bulk(installation, schema_name)
    times = bulk.measure(min(rounds, ROUNDS))
    ratios = {
        # Throughput is the inverse of time.
        f"{ARCHIVE}/{DUMP}, throughput": Ratio.of(times[DUMP], times[ARCHIVE], TARGET),
        f"{ARCHIVE}/{PIPED}, throughput": Ratio.of(times[PIPED], times[ARCHIVE]),
        f"{RESTORE}/{PG_RESTORE}, throughput": Ratio.of(times[PG_RESTORE], times[RESTORE], TARGET),
    }
    figures: Figures = {f"{way}, bulk": spread(seconds) for way, seconds in times.items()}
    for way, done in ((ARCHIVE, bulk.archived), (RESTORE, bulk.restored)):
        peaks = [alone.peak / MEBIBYTE for alone in done]
        name = f"peak memory of {way}/{MOST_MEMORY:.0f} MiB"
        ratios[name] = Ratio.of(peaks, [MOST_MEMORY] * len(peaks), MEMORY_TARGET)
        figures[f"{way}, bulk, last turn"] = done[-1].row()
    figures[f"file of {DUMP}"] = {"MiB": bulk.dumped.stat().st_size / MEBIBYTE}
    return ratios, figures


class _Bulk:
    """The ways, for one tenant."""

    def __init__(self, installation: Installation, schema_name: str) -> None:
        self._installation = installation
        self._schema = schema_name
        self.dumped = installation.directory / "bulk.dump"
        self.archived: list[Alone] = []
        self.restored: list[Alone] = []

    def measure(self, rounds: int) -> dict[str, list[float]]:
        """Seconds of each way in each round; what comes back is what has got out before."""
        out = {ARCHIVE: self._archive, DUMP: self._dump, PIPED: self._piped}
        back = {RESTORE: self._restore, PG_RESTORE: self._pg_restore}
        return {**in_turns(out, rounds), **in_turns(back, rounds)}

    def _archive(self) -> float:
        self.archived.append(self._alone(ARCHIVE, self._schema))
        return self.archived[-1].seconds

    def _restore(self) -> float:
        self.restored.append(self._alone(RESTORE, self.archived[-1].archive))
        return self.restored[-1].seconds

    def _alone(self, action: str, name: str) -> Alone:
        printed = run_python(
            ROOT, self._installation.env, "-m", "bench.archives_alone", action, name
        )
        return Alone(*json.loads(printed))

    def _dump(self) -> float:
        return pg_dump(
            self._installation, f"--schema={self._schema}", f"--file={self.dumped}"
        ).check()

    def _piped(self) -> float:
        """What is left of archives without their own reading: pg_dump's, and the same codec."""
        settings: Settings = self._installation.app.config["SETTINGS"]
        command = pg_dump_command(self._installation, f"--schema={self._schema}", "--compress=0")
        file_name = self._installation.directory / "piped.dump"
        started = time.perf_counter()
        with (
            file_name.open("wb") as file,
            subprocess.Popen(command, stdout=subprocess.PIPE) as process,
        ):
            assert process.stdout is not None
            with encoding(file, settings.backup_recipients[0]) as plain:
                while piece := process.stdout.read(PIECE):
                    plain.write(piece)
            file.flush()
            os.fsync(file.fileno())
        took = time.perf_counter() - started
        if process.returncode:
            raise InstallationError("pg_dump has failed; its error stands above")
        return took

    def _pg_restore(self) -> float:
        """Into a new database, as there is no other name for what a dump holds."""
        postgres = self._installation.postgres
        database = sql.Identifier(DATABASE)
        with closing(psycopg2.connect(postgres.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(database))
                started = time.perf_counter()
                command = [
                    str(postgres.bin_dir / "pg_restore"),
                    "--exit-on-error",
                    f"--dbname={postgres.url(DATABASE)}",
                    str(self.dumped),
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                took = time.perf_counter() - started
                cursor.execute(sql.SQL("DROP DATABASE {}").format(database))
        if done.returncode:
            raise InstallationError(f"pg_restore failed:\n{done.stderr[-2000:]}")
        return took
