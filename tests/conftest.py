"""Real servers for the whole run, and tenants of their own for each test.

Each test process starts a PostgreSQL and a Valkey on free ports in a temporary directory; both are
gone when it ends. Tests share the database and never a tenant, so they run in any order.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient

import ops
from ops.archives.keys import new_identity
from ops.local.postgres import PostgresServer, embedded_postgres, ensure_owner
from ops.local.valkey import ValkeyServer, embedded_valkey
from ops.operators import job as operators
from ops.roles import command
from ops.runs import queue
from tests.factories import Company, Operator, register, wait_until
from todo_app import create_app
from todo_app.accounts import passwords
from todo_app.config import Settings
from todo_app.database import db, transaction
from todo_app.tenancy import operations
from todo_app.tenants.models import Tenant

# Whoever starts the tests in the background, or with nohup, lets them ignore these signals, and
# with them every program that they send them to.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

OPS_PASSWORD = "ops-password"
API_PASSWORD = "api-password"

MEMORY = Path("/dev/shm")
"""Thousands of schemas are hundreds of thousands of files: a fifth of the time, on a disk."""
HASHER = passwords._hasher
"""As it is for everybody but the tests."""
ROOM = 12 * 1024**3
"""The servers of two processes have some 5 GiB in the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests, so that no process waits for the other one's last."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """An embedded PostgreSQL of this test process."""
    with ExitStack() as stack:
        if is_roomy(MEMORY):
            within = tempfile.TemporaryDirectory(prefix="todo-tests-", dir=MEMORY)
            directory = Path(stack.enter_context(within))
        else:
            directory = tmp_path_factory.mktemp("postgres")
        yield stack.enter_context(embedded_postgres(directory / "data", durable=False))


def is_roomy(directory: Path) -> bool:
    """Whether there is a directory with room for the servers of all test processes."""
    return directory.is_dir() and shutil.disk_usage(directory).free >= ROOM


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """An embedded Valkey of this test process."""
    with embedded_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def settings(postgres: PostgresServer, valkey: ValkeyServer) -> Settings:
    """Settings of the shared installation."""
    ensure_owner(postgres, OPS_PASSWORD)
    return Settings(
        database_url=postgres.url("todo", "todo_api", API_PASSWORD),
        ops_database_url=postgres.url("todo", "todo_ops", OPS_PASSWORD),
        redis_url=valkey.url,
        tenant_roles=True,
        auth_rate_limit="",
        tenant_rate_limit="",
        secrets_keys=(Fernet.generate_key().decode(),),
        spare_schemas=2,
        log_level="WARNING",
    )


@pytest.fixture(scope="session")
def app(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The application, with the control plane at head."""
    recipient, identity = new_identity()
    settings = dataclasses.replace(
        settings,
        mail_dir=tmp_path_factory.mktemp("mail"),
        backup_url=tmp_path_factory.mktemp("backups").as_uri(),
        attachments_url=tmp_path_factory.mktemp("attachments").as_uri(),
        backup_recipients=(recipient,),
        backup_identity=identity.decode(),
    )
    app = create_app(settings)
    ops.init_app(app)
    result = app.test_cli_runner().invoke(args=["control", "upgrade"])
    assert result.exit_code == 0, result.output
    return app


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> Iterator[None]:
    """Passwords are hashed in no time in this process: thousands of people sign in."""
    with pytest.MonkeyPatch.context() as patch:
        cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(passwords, "_hasher", cheap)
        yield


@pytest.fixture
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the hashes themselves."""
    monkeypatch.setattr(passwords, "_hasher", HASHER)
    monkeypatch.setattr(passwords, "_decoy", passwords._decoy.__wrapped__)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without a tenant or user."""
    return app.test_client()


@pytest.fixture
def acme(client: FlaskClient) -> Company:
    """A fresh company with its master administrator signed in."""
    return register(client, "Acme")


@pytest.fixture
def globex(client: FlaskClient) -> Company:
    """Another one."""
    return register(client, "Globex")


@pytest.fixture(scope="session")
def environment(app: Flask) -> dict[str, str]:
    """The environment in which a process of its own is part of the shared installation."""
    settings: Settings = app.config["SETTINGS"]
    names = [field.name for field in dataclasses.fields(settings)]
    values = {name.upper(): getattr(settings, name) for name in names}
    return {**os.environ, "FLASK_APP": "wsgi", **{name: _env(v) for name, v in values.items()}}


def _env(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


@pytest.fixture(scope="session")
def worker(app: Flask, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A real Celery worker on all queues."""
    environment = {**environment, "WORKER_CONCURRENCY": "1"}
    process = subprocess.Popen(
        command("worker", environment),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with app.app_context():
            wait_until(lambda: queue.has_worker("upgrades"), 60)
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def dropped_again(app: Flask) -> Iterator[None]:
    """Whatever tenants a test makes are gone after it: they have names that others want."""

    def slugs() -> set[str]:
        with app.app_context(), operations():
            return set(db.session.scalars(sa.select(Tenant.slug)))

    before = slugs()
    yield
    for slug in slugs() - before:
        arguments = ["tenants", "drop", slug, "--confirm", slug]
        dropped = app.test_cli_runner().invoke(args=arguments)
        assert dropped.exit_code == 0, dropped.output


@pytest.fixture(scope="session")
def operator(app: Flask) -> str:
    """The token of an operator with all scopes."""
    with app.app_context(), operations(), transaction():
        return operators.create("tests", list(operators.SCOPES), None)


@pytest.fixture
def cc(client: FlaskClient, operator: str) -> Operator:
    """An operator who calls `/cc`."""
    return Operator(client, operator)
