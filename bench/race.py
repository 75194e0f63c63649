"""Ways to bring tenants one revision up, in turns and from the same state."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import psycopg2.extensions

from bench.fleet import DOWNGRADE, UPGRADE, Fleet
from bench.installation import OPS_ROLE, InstallationError
from bench.processes import Memory, backend_memory, children_memory
from bench.replay import replay

FAN_OUT = "fan-out"
SQL = "its SQL by psycopg2"
DDL = "its DDL alone"
LOOP = "loop"

SAMPLE = 50
"""Tenants that the loop gets in its turn."""
POLL_SECONDS = 0.1
PATIENCE = 600.0
"""Seconds after which a fan-out counts as stuck."""

UNDO = (
    f"{DOWNGRADE}; UPDATE alembic_version SET version_num = '{{revision}}';"
    " UPDATE public.tenants SET revision = '{revision}' WHERE schema_name = '{schema}'"
)

NEWEST_RUN = """
SELECT r.state, extract(epoch FROM r.finished_at - r.created_at)::float,
       (SELECT count(*) FROM public.ops_run_items AS i WHERE i.run_id = r.id AND i.state = 'done')
  FROM public.ops_runs AS r ORDER BY r.id DESC LIMIT 1
"""


class Tenant(NamedTuple):
    """A tenant of the fleet."""

    slug: str
    schema: str


class Race:
    """The ways, and what they run with.

    Args:
        fleet: whose tenants they bring up.
        worker: process id of the fleet's worker.
        connection: to the fleet's database, in autocommit mode.
    """

    def __init__(
        self, fleet: Fleet, worker: int, connection: psycopg2.extensions.connection
    ) -> None:
        self._fleet = fleet
        self._worker = worker
        self._connection = connection
        self.worker_memory: list[Memory] = []
        """Of the worker's processes after each fan-out."""
        self.backend_memory: list[Memory] = []
        """Of PostgreSQL's processes for operations, again and again while the first one runs."""

    def measure(self, rounds: int) -> dict[str, list[float]]:
        """Bring all tenants up, by each way in each round.

        Returns:
            Seconds for one tenant, by way.
        """
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT slug, schema_name FROM public.tenants ORDER BY id")
            tenants = [Tenant(*row) for row in cursor.fetchall()]
        sample = tenants[:: max(1, len(tenants) // SAMPLE)][:SAMPLE]
        ways: dict[str, tuple[Callable[[Sequence[Tenant]], float], Sequence[Tenant]]] = {
            FAN_OUT: (self._fan_out, tenants),
            SQL: (self._sql, tenants),
            DDL: (self._ddl, tenants),
            LOOP: (self._loop, sample),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        self._fan_out(tenants, looks_at_backends=True)  # the worker gets warm
        self._undo(tenants)
        for number in range(rounds):
            for way in list(ways) if number % 2 == 0 else list(reversed(ways)):
                bring_up, members = ways[way]
                times[way].append(bring_up(members) / len(members))
                self._undo(members)
        return times

    def _fan_out(self, tenants: Sequence[Tenant], *, looks_at_backends: bool = False) -> float:
        """By the command and the worker, from the run's first to its last moment in the ledger.

        To look at the memory of PostgreSQL's processes takes time from them.
        """
        self._fleet.python("-m", "flask", "tenants", "upgrade", "--detach")
        state, seconds, done = self._newest_run()
        deadline = time.monotonic() + PATIENCE
        while state == "running" and time.monotonic() < deadline:
            if looks_at_backends:
                postgres = self._fleet.installation.postgres
                self.backend_memory.append(backend_memory(postgres.pid, OPS_ROLE))
            time.sleep(POLL_SECONDS)
            state, seconds, done = self._newest_run()
        if seconds is None or done != len(tenants):
            raise InstallationError(f"the fan-out is {state}: {done} of {len(tenants)} done")
        self.worker_memory.append(children_memory(self._worker))
        return seconds

    def _newest_run(self) -> tuple[str, float | None, int]:
        """Its state, its seconds once it is over, and how many tenants are done."""
        with self._connection.cursor() as cursor:
            cursor.execute(NEWEST_RUN)
            [(state, seconds, done)] = cursor.fetchall()
        return state, seconds, done

    def _sql(self, tenants: Sequence[Tenant]) -> float:
        """By processes that send what `--sql` prints: the statements that the fan-out sends."""
        printed = self._fleet.python("-m", "flask", "tenants", "upgrade", "--sql")
        scripts = re.split(r"^-- .* -> .*$", printed, flags=re.MULTILINE)[1:]
        if len(scripts) != len(tenants):
            raise InstallationError(f"--sql has printed {len(scripts)} scripts for {len(tenants)}")
        return replay(self._fleet.installation.env, scripts)

    def _ddl(self, tenants: Sequence[Tenant]) -> float:
        """By processes that send the DDL and leave version tables and catalogue as they are."""
        return self._replay(tenants, UPGRADE)

    def _loop(self, tenants: Sequence[Tenant]) -> float:
        """By one process that calls Flask-Migrate for each tenant."""
        return float(self._fleet.python("-m", "bench.loop", *(tenant.slug for tenant in tenants)))

    def _undo(self, tenants: Sequence[Tenant]) -> None:
        self._replay(tenants, UNDO)

    def _replay(self, tenants: Sequence[Tenant], sql: str) -> float:
        revision = self._fleet.before
        scripts = [
            f'BEGIN; SET LOCAL search_path TO "{tenant.schema}";'
            f" {sql.format(schema=tenant.schema, revision=revision)}; COMMIT"
            for tenant in tenants
        ]
        return replay(self._fleet.installation.env, scripts)
