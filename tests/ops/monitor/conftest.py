"""Installations with a database of their own, so that its numbers are those of the test."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterator

import psycopg2
import pytest
import sqlalchemy as sa
from flask import Flask

import ops
from ops.local.postgres import PostgresServer, ensure_owner
from tests.conftest import API_PASSWORD, OPS_PASSWORD
from tests.ops.monitor.scraping import TOKEN, broker, dispose, make_current
from todo_app import create_app
from todo_app.config import Settings
from todo_app.database import db, transaction
from todo_app.tenancy import operations


@pytest.fixture(scope="module")
def other(app: Flask, settings: Settings, postgres: PostgresServer) -> Iterator[Flask]:
    """An installation with a database of its own, so that its numbers are those of the test."""
    name = f"metrics_{secrets.token_hex(4)}"
    ensure_owner(postgres, OPS_PASSWORD, database=name)
    other = create_app(
        dataclasses.replace(
            settings,
            database_url=postgres.url(name, "todo_api", API_PASSWORD),
            ops_database_url=postgres.url(name, "todo_ops", OPS_PASSWORD),
            redis_url=settings.redis_url.removesuffix("/0") + "/7",
            spare_schemas=0,
            metrics_token=TOKEN,
        )
    )
    ops.init_app(other)
    result = other.test_cli_runner().invoke(args=["control", "upgrade"])
    assert result.exit_code == 0, result.output
    make_current(app)
    yield other
    dispose(other)
    connection = psycopg2.connect(postgres.url())
    connection.autocommit = True
    connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()


@pytest.fixture
def empty(other: Flask) -> Iterator[Flask]:
    """The same without a row, a message, or an answer that is kept."""
    other.extensions.pop("metrics", None)
    with broker(other) as client:
        client.flushdb()
    with other.app_context(), operations(), transaction():
        db.session.execute(
            sa.text(
                "TRUNCATE public.tenants, public.tenant_checks, public.ops_runs,"
                " public.ops_run_items, public.outbox, public.firings,"
                " public.backup_sets, public.archives, public.replaced_schemas"
            )
        )
    with other.app_context():
        yield other


@pytest.fixture
def current(app: Flask, other: Flask) -> Iterator[Flask]:
    """The other installation, as the one that this process works for."""
    make_current(other)
    yield other
    make_current(app)
