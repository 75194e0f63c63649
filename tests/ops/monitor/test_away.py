"""A scrape is answered, and soon, when what it asks is away."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from flask import Flask

import ops
from ops.local.files import free_port
from ops.local.postgres import PostgresServer
from ops.monitor import metrics, tables
from tests.ops.monitor.scraping import dispose, make_current, scrape
from todo_app import create_app
from todo_app.database import db, transaction
from todo_app.tenancy import operations


@contextmanager
def changed(app: Flask, other: Flask, **changes: Any) -> Iterator[Flask]:
    """The application with other settings."""
    third = create_app(dataclasses.replace(other.config["SETTINGS"], **changes))
    ops.init_app(third)
    make_current(app)
    try:
        yield third
    finally:
        dispose(third)


def test_without_the_database(app: Flask, other: Flask) -> None:
    url = f"postgresql://todo_api:secret@127.0.0.1:{free_port()}/todo"
    with changed(app, other, database_url=url) as third:
        seen = scrape(third)
    assert seen.all("todo_up", "part") == {"database": 0, "broker": 1}
    assert "todo_queue_messages" in seen.names()
    assert "todo_tenants_behind" not in seen.names()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "", "nonsense"])
def test_without_the_broker(app: Flask, other: Flask, url: str) -> None:
    with changed(app, other, redis_url=url) as third:
        started = time.monotonic()
        seen = scrape(third)
    assert time.monotonic() - started < 5
    assert seen.all("todo_up", "part") == {"database": 1, "broker": 0}
    assert "todo_queue_messages" not in seen.names()
    assert "todo_tenants_behind" in seen.names()


def test_a_database_that_comes_back(
    empty: Flask, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 0.0)
    assert scrape(empty).value("todo_up", part="database") == 1
    with operations():
        name = db.session.execute(sa.text("SELECT current_database()")).scalar_one()
    admin = psycopg2.connect(postgres.url())
    admin.autocommit = True
    cursor = admin.cursor()
    try:
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            (name,),
        )
        assert scrape(empty).value("todo_up", part="database") == 0
        assert scrape(empty).value("todo_up", part="database") == 0
    finally:
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        admin.close()
    assert scrape(empty).value("todo_up", part="database") == 1
    dispose(empty)  # operations' connection was cut too, which the next test need not find out


def test_a_locked_table_holds_no_scrape_for_long(
    empty: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "STATEMENT_TIMEOUT", "200ms")
    with operations(), transaction():
        db.session.execute(sa.text("LOCK TABLE public.ops_runs"))
        started = time.monotonic()
        seen = scrape(empty)
    assert time.monotonic() - started < 2
    assert seen.all("todo_up", "part") == {"database": 0, "broker": 1}
