"""A set of all tenants by a worker's processes, and one dump of the whole database."""

from __future__ import annotations

import statistics
import time
from contextlib import closing

import psycopg2
import psycopg2.extensions

from bench.archives_one import pg_dump
from bench.fleet import run_python
from bench.installation import ROOT, Installation, InstallationError
from bench.race import NEWEST_RUN, PATIENCE, POLL_SECONDS
from bench.result import Figures, Row

ROUNDS = 3
"""Sets, at most: each takes many seconds."""

CREATE = ("-m", "flask", "backups", "create", "--all", "--detach")

LOCKS = """
SELECT count(*) FILTER (WHERE relkind = 'r'), count(*) FILTER (WHERE relkind = 'S'),
       current_setting('max_locks_per_transaction')::int
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


def measure(installation: Installation, tenants: int, rounds: int) -> Figures:
    """Take sets of all tenants, by the command and a worker.

    Args:
        installation: with settings of backups.
        tenants: that it has.
        rounds: sets to take.
    """
    url = installation.env["OPS_DATABASE_URL"]
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with installation.worker():
            seconds = [
                _take_set(installation, connection, tenants) for _ in range(1 + min(rounds, ROUNDS))
            ]
    return {
        # With the first set, each tenant gets its key.
        "first set of all tenants": _rate(tenants, seconds[0]),
        "set of all tenants, median": _rate(tenants, statistics.median(seconds[1:])),
        "set of all tenants, slowest": _rate(tenants, max(seconds[1:])),
    }


def _take_set(
    installation: Installation, connection: psycopg2.extensions.connection, tenants: int
) -> float:
    """Seconds from the run's first to its last moment in the ledger."""
    run_python(ROOT, installation.env, *CREATE)
    deadline = time.monotonic() + PATIENCE
    while True:
        with connection.cursor() as cursor:
            cursor.execute(NEWEST_RUN)
            [(state, seconds, done)] = cursor.fetchall()
        if state != "running" or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    if seconds is None or done != tenants:
        raise InstallationError(f"the set is {state}: {done} of {tenants} done")
    return float(seconds)


def dump_all(installation: Installation) -> Figures:
    """Dump the whole database; what came of it, and with how much of what it has to lock."""
    url = installation.env["OPS_DATABASE_URL"]
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(LOCKS)
        [(tables, sequences, locks)] = cursor.fetchall()
    seconds, error = pg_dump(installation, f"--file={installation.directory / 'all.dump'}")
    reason = error.partition("ERROR:")[2].strip() or error
    outcome = f"failed: {reason.partition(chr(10))[0]}" if error else "done"
    row = {"tables": tables, "sequences": sequences, "max locks": locks, "seconds": seconds}
    return {f"pg_dump of {tables} tables: {outcome}": row}


def _rate(tenants: int, seconds: float) -> Row:
    return {"tenants": tenants, "seconds": seconds, "tenants/s": tenants / seconds}
