"""A whole set goes into another database, which is a running system then."""

from __future__ import annotations

import dataclasses
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

import ops
from ops.local.postgres import PostgresServer, ensure_owner
from ops.restores import elsewhere
from tests.conftest import API_PASSWORD, OPS_PASSWORD
from tests.factories import Company, sign_in
from tests.ops.monitor.scraping import dispose, make_current
from tests.ops.restores.keeping import Keeper, add_task, titles
from todo_app import create_app
from todo_app.errors import AppError, InvalidInputError, UnavailableError


@pytest.fixture
def destination(postgres: PostgresServer) -> Iterator[str]:
    """The name of an empty database."""
    name = f"destination_{secrets.token_hex(4)}"
    ensure_owner(postgres, OPS_PASSWORD, database=name)
    yield name
    with closing(psycopg2.connect(postgres.url(name))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT to_regclass('public.tenants')")
        schemas = []
        if cursor.fetchone() != (None,):
            cursor.execute("SELECT schema_name FROM public.tenants")
            schemas = [row[0] for row in cursor.fetchall()]
    with closing(psycopg2.connect(postgres.url())) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        for schema in schemas:
            cursor.execute(f'DROP ROLE IF EXISTS "{schema}"')


def without_password(postgres: PostgresServer, name: str) -> str:
    return postgres.url(name, "todo_ops", "x").replace(":x@", "@")


def test_a_set_into_another_database(
    keeper: Keeper,
    postgres: PostgresServer,
    environment: dict[str, str],
    destination: str,
    acme: Company,
    globex: Company,
) -> None:
    add_task(acme, "A")
    add_task(globex, "G")
    name = keeper.back_up(acme.slug, globex.slug)
    before = keeper.tables_of(acme.schema_name)
    url = without_password(postgres, destination)
    argv = [sys.executable, "-m", "flask", "backups", "restore", "--set", name, "--dest-db", url]
    env = {
        **keeper.environment(environment),
        "DEST_DB_PASSWORD": OPS_PASSWORD,
        "SPARE_SCHEMAS": "0",
    }
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    settings = dataclasses.replace(
        keeper.settings,
        database_url=postgres.url(destination, "todo_api", API_PASSWORD),
        ops_database_url=postgres.url(destination, "todo_ops", OPS_PASSWORD),
    )
    there = create_app(settings)
    try:
        ops.init_app(there)
        person = sign_in(there.test_client(), acme.slug, acme.email)
        assert titles(person) == ["A"]
        add_task(person, "There")
        assert titles(sign_in(there.test_client(), globex.slug, globex.email)) == ["G"]
    finally:
        make_current(keeper.app)
        dispose(there)
    assert keeper.tables_of(acme.schema_name) == before
    again = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)
    assert again.returncode == 2
    assert "has 2 tenants" in again.stderr


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("postgresql://todo_ops:secret@127.0.0.1/other", InvalidInputError),
        ("mysql://127.0.0.1/other", InvalidInputError),
        ("not a url", InvalidInputError),
        ("postgresql://todo_ops@127.0.0.1", InvalidInputError),
        ("postgresql://todo_ops@127.0.0.1:1/other", UnavailableError),
    ],
)
def test_a_destination_that_cannot_be(keeper: Keeper, url: str, error: type[AppError]) -> None:
    with pytest.raises(error) as raised:
        elsewhere.environment(url, keeper.settings, {})
    assert "secret" not in raised.value.detail


def test_the_installations_own_database(keeper: Keeper, postgres: PostgresServer) -> None:
    with pytest.raises(elsewhere.DestinationInUseError, match="own database"):
        elsewhere.environment(without_password(postgres, "todo"), keeper.settings, {})
