"""Fleets: installations whose tenants and revisions belong to one test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
import redis

from ops.local.postgres import PostgresServer, ensure_owner
from ops.local.valkey import ValkeyServer
from tests.conftest import API_PASSWORD, OPS_PASSWORD
from tests.ops.fleet import Fleet, make_fleet

_numbers = itertools.count()


@pytest.fixture
def fleet(
    tmp_path: Path,
    postgres: PostgresServer,
    valkey: ValkeyServer,
    environment: dict[str, str],
) -> Iterator[Fleet]:
    """A fleet of no tenants yet, on the servers of the test run."""
    with _make_fleet(tmp_path, postgres, valkey, environment) as made:
        yield made


@pytest.fixture(scope="module")
def shared_fleet(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: PostgresServer,
    valkey: ValkeyServer,
    environment: dict[str, str],
) -> Iterator[Fleet]:
    """A fleet that the tests of a module share; each has tenants of its own."""
    directory = tmp_path_factory.mktemp("fleet")
    with _make_fleet(directory, postgres, valkey, environment) as made:
        yield made


@contextmanager
def _make_fleet(
    directory: Path, postgres: PostgresServer, valkey: ValkeyServer, environment: dict[str, str]
) -> Iterator[Fleet]:
    number = next(_numbers)
    database = f"fleet_{number}"
    ensure_owner(postgres, OPS_PASSWORD, database=database)
    # Broker databases 8 to 15 are those of fleets.
    env = {
        **environment,
        "OPS_DATABASE_URL": postgres.url(database, "todo_ops", OPS_PASSWORD),
        "DATABASE_URL": postgres.url(database, "todo_api", API_PASSWORD),
        "REDIS_URL": f"{valkey.url.rpartition('/')[0]}/{8 + number % 8}",
        "SPARE_SCHEMAS": "0",
    }
    with redis.Redis.from_url(env["REDIS_URL"]) as broker:
        broker.flushdb()
    with make_fleet(directory, env) as made:
        yield made
        schemas = [row.schema_name for row in made.sql("SELECT schema_name FROM public.tenants")]
    with closing(psycopg2.connect(postgres.url())) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"DROP DATABASE {database} WITH (FORCE)")
        for schema in schemas:
            cursor.execute(f'DROP ROLE IF EXISTS "{schema}"')
