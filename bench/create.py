"""`create`: a tenant by the service, and the same prepared script sent by psycopg2."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import psycopg2
import psycopg2.extensions

from bench.installation import Installation
from bench.result import Figures, Options, Ratio, Result, spread
from ops.tenants import job
from todo_app.database import transaction
from todo_app.histories import SCHEMA_PLACEHOLDER
from todo_app.tenancy import control_plane, operations
from todo_app.tenants import service

FEW_TENANTS = 10
ROUNDS_FACTOR = 3
"""A creation takes milliseconds, so there are more rounds than where rounds take seconds."""
TARGET = "<= 2"

SCRIPT = "script by psycopg2"
EMPTY = "empty pool"
SPARE = "spare schema"


def run(installation: Installation, options: Options) -> Result:
    """Measure creation among few and among many tenants."""
    ratios: dict[str, Ratio] = {}
    figures: Figures = {}
    url = installation.env["OPS_DATABASE_URL"]
    for count in sorted({min(FEW_TENANTS, options.tenants), options.tenants}):
        installation.tenants(count)
        with installation.app.app_context(), closing(psycopg2.connect(url)) as connection:
            times = _Creation(connection).measure(options.rounds * ROUNDS_FACTOR)
        for way, seconds in times.items():
            figures[f"{way}, {count} tenants"] = spread(seconds)
        for way in (EMPTY, SPARE):
            name = f"{way}/script, {count} tenants"
            ratios[name] = Ratio.of(times[way], times[SCRIPT], TARGET)
    return Result("create", ratios, figures)


class _Creation:
    """The three ways to make a tenant's schema.

    Args:
        connection: of the operations' role, as the service's function runs with its rights.
    """

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection
        self._made = 0
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT script FROM public.schema_scripts")
            [(self._script,)] = cursor.fetchall()

    def measure(self, rounds: int) -> dict[str, list[float]]:
        """Seconds of each way in each round. What was made is dropped again."""
        ways: dict[str, Callable[[], float]] = {
            SCRIPT: self._by_script,
            EMPTY: self._by_service,
            SPARE: self._by_service_with_spare,
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        try:
            for way in ways.values():
                way()  # connections are made, caches filled
            for number in range(rounds):
                order = list(ways) if number % 2 == 0 else list(reversed(ways))
                for name in order:
                    times[name].append(ways[name]())
        finally:
            self._clean_up()
        return times

    def _by_script(self) -> float:
        self._made += 1
        script = self._script.replace(SCHEMA_PLACEHOLDER, f"t_bench_{self._made}")
        started = time.perf_counter()
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(script)
        return time.perf_counter() - started

    def _by_service(self) -> float:
        self._made += 1
        started = time.perf_counter()
        with control_plane(), transaction():
            service.create(f"Bench {self._made}", slug=f"bench-{self._made}")
        return time.perf_counter() - started

    def _by_service_with_spare(self) -> float:
        with operations(), transaction():
            job.build_spare(wanted=1)
        return self._by_service()

    def _clean_up(self) -> None:
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute("DELETE FROM public.tenants WHERE slug ~ '^bench-[0-9]+$'")
            cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^t_bench_[0-9]+'")
            schemas = [name for (name,) in cursor.fetchall()]
        for schema in schemas:
            job.drop_schema(schema)
