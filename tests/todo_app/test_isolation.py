"""Many threads, many tenants, one small pool, and errors and cancelled statements in between."""

from __future__ import annotations

import dataclasses
import os
import pwd
import random
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.engine import make_url

from ops.local.files import free_port
from ops.local.postgres import PostgresServer
from tests.factories import Company, register
from todo_app import create_app
from todo_app.config import Settings
from todo_app.database import db
from todo_app.tenancy import tenant_scope

NAME = "hammer"
COMPANIES = 6
THREADS = 8
REQUESTS = 120
"""Of each thread."""


@pytest.fixture
def companies(client: FlaskClient) -> list[Company]:
    return [register(client, f"Hammer {number}") for number in range(COMPANIES)]


def test_no_row_reaches_another_tenant_through_the_pool(
    settings: Settings, postgres: PostgresServer, companies: list[Company]
) -> None:
    url = f"{settings.database_url}?application_name={NAME}"
    app = create_app(
        dataclasses.replace(settings, database_url=url, pool_size=3, pool_max_schemas=4)
    )
    with disturbed(postgres):
        answers = hammer(app, companies)
    everything_is_at_home(app, companies)
    assert answers[200] > 200
    assert answers[422] > 20
    assert set(answers) <= {200, 201, 422, 503}


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer is not installed")
def test_no_row_reaches_another_tenant_through_pgbouncer(
    settings: Settings, postgres: PostgresServer, companies: list[Company]
) -> None:
    with pgbouncer(settings.database_url) as url:
        url = f"{url}?application_name={NAME}"
        app = create_app(dataclasses.replace(settings, database_url=url, pool_size=8))
        with disturbed(postgres):
            answers = hammer(app, companies)
        everything_is_at_home(app, companies)
    assert answers[200] > 200
    assert set(answers) <= {200, 201, 422, 503}


def hammer(app: Flask, companies: list[Company]) -> Counter[int]:
    """Read and break in many threads; every answer must hold the asker's rows and no others.

    Returns:
        How often each status was answered.
    """
    answers: Counter[int] = Counter()
    leaks: list[str] = []

    def ask(seed: int) -> None:
        chance = random.Random(seed)
        client = app.test_client()
        for _ in range(REQUESTS):
            company = chance.choice(companies)
            if chance.random() < 0.1:
                write(client, company, answers)
                continue
            page = 0 if chance.random() < 0.2 else 1
            answer = client.get(f"/users/?page={page}", headers=company.headers)
            answers[answer.status_code] += 1
            if answer.status_code == 200:
                emails = [user["email"] for user in answer.json["items"]]
                if emails != [company.email]:
                    leaks.append(f"{company.email} was shown {emails}")

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with app.app_context():
        db.engines[None].dispose()
    assert leaks == []
    assert answers[201] > 0
    return answers


def write(client: FlaskClient, company: Company, answers: Counter[int]) -> None:
    """Add a list with an Idempotency-Key, whose title names its owner."""
    headers = {**company.headers, "Idempotency-Key": uuid.uuid4().hex}
    answer = client.post("/lists/", json={"title": company.slug}, headers=headers)
    answers[answer.status_code] += 1


def everything_is_at_home(app: Flask, companies: list[Company]) -> None:
    """No list stands in a company that did not write it."""
    with app.app_context():
        for company in companies:
            with tenant_scope(company.slug):
                titles = set(db.session.scalars(sa.text("SELECT DISTINCT title FROM lists")))
            assert titles <= {company.slug}


@contextmanager
def disturbed(postgres: PostgresServer) -> Iterator[None]:
    """Cancel statements and end connections of the API at random, until the block ends."""
    over = threading.Event()

    def disturb() -> None:
        connection = psycopg2.connect(postgres.url())
        connection.autocommit = True
        chance = random.Random(1)
        with connection.cursor() as cursor:
            while not over.wait(0.03):
                function = "pg_terminate_backend" if chance.random() < 0.1 else "pg_cancel_backend"
                cursor.execute(
                    f"SELECT {function}(pid) FROM pg_stat_activity"
                    " WHERE application_name = %s ORDER BY random() LIMIT 1",
                    (NAME,),
                )
        connection.close()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def pgbouncer(database_url: str) -> Iterator[str]:
    """A PgBouncer in transaction mode with fewer server connections than there are clients.

    Yields:
        The URL of the same database behind it.
    """
    url = make_url(database_url)
    port = free_port()
    directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    (directory / "users").write_text(f'"{url.username}" "{url.password}"\n')
    (directory / "ini").write_text(
        f"""[databases]
{url.database} = host={url.host} port={url.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users
pool_mode = transaction
default_pool_size = 2
"""
    )
    arguments = ["pgbouncer", "-q", str(directory / "ini")]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in (directory, directory / "users", directory / "ini"):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        arguments[1:1] = ["-u", "nobody"]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    behind = url.set(port=port).render_as_string(hide_password=False)
    try:
        _wait_for(behind)
        yield behind
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory)


def _wait_for(url: str) -> None:
    ends = time.monotonic() + 10
    while True:
        try:
            psycopg2.connect(url).close()
        except psycopg2.OperationalError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
        else:
            return
