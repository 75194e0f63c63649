"""A whole installation of its own for a run: servers, migrated database, tenants, processes.

Settings are those of production: durable servers, a database role for each tenant, separate roles
for API and operations, and the request log on (to a file).
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.engine import make_url

import ops
from bench.load import Caller
from ops.local.child import Child, search_path
from ops.local.files import LOOPBACK, free_port
from ops.local.postgres import PostgresServer, embedded_postgres, ensure_owner
from ops.local.valkey import embedded_valkey
from ops.roles import command
from todo_app import create_app
from todo_app.accounts.models import User
from todo_app.auth import digest, new_secret
from todo_app.config import Settings
from todo_app.database import db, transaction
from todo_app.permissions.models import MASTER_ADMIN, Role
from todo_app.sessions.models import AccessToken
from todo_app.tenancy import control_plane, enter_new_tenant
from todo_app.tenants import service as tenants

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2
READY_TIMEOUT = 60.0
"""Seconds for a process to answer, or for the migrations to end."""
TOKEN_LASTS = timedelta(hours=12)
UNREACHED = "1000000000 per minute"
API_ROLE = "todo_api"
OPS_ROLE = "todo_ops"
DATABASE = "todo"


class InstallationError(Exception):
    """A process did not start; the text has the end of its log."""


class Server(NamedTuple):
    """A running gunicorn."""

    url: str
    pid: int


class Installation:
    """What the benchmarks run against.

    Args:
        directory: for logs.
        postgres: the database server.
        env: environment of all processes.
    """

    def __init__(self, directory: Path, postgres: PostgresServer, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.postgres = postgres
        self.env = env
        self._tenants: list[Caller] = []
        self._run_migrations()
        quiet = Settings.from_env({**env, "LOG_LEVEL": "WARNING"})
        self.app: Flask = create_app(quiet)
        """The application in this process, for what is measured or prepared without HTTP."""
        ops.init_app(self.app)

    def beside(self, database: str, **env: str) -> Installation:
        """Another installation, without tenants, in a new database of the same servers.

        Args:
            database: its name.
            env: further variables of its environment.
        """
        urls = {name: make_url(self.env[name]) for name in ("DATABASE_URL", "OPS_DATABASE_URL")}
        ensure_owner(self.postgres, urls["OPS_DATABASE_URL"].password or "", database=database)
        moved = {
            name: url.set(database=database).render_as_string(hide_password=False)
            for name, url in urls.items()
        }
        return Installation(self.directory, self.postgres, {**self.env, **moved, **env})

    def tenants(self, count: int) -> list[Caller]:
        """The master administrators of `count` tenants; those that are missing are registered."""
        first = len(self._tenants)
        with ThreadPoolExecutor(WORKERS) as pool:
            for caller in pool.map(self._register, range(first, count)):
                self._tenants.append(caller)
                done = len(self._tenants)
                if done % 100 == 0:
                    print(f"{done} of {count} tenants", file=sys.stderr, flush=True)
        return self._tenants[:count]

    def _register(self, number: int) -> Caller:
        """What registration and signing in do, without their slow parts that no benchmark needs."""
        secret = new_secret()
        with self.app.app_context(), control_plane(), transaction():
            # Nobody misses these tenants after a crash.
            db.session.execute(sa.text("SET LOCAL synchronous_commit TO off"))
            tenant = tenants.create(f"Company {number}")
            enter_new_tenant(tenant.schema_name)
            user = User(
                first_name="Ada",
                last_name="Lovelace",
                email=f"ada{number}@example.com",
                password_hash="none: nobody signs in with a password",
                role=db.session.scalars(sa.select(Role).where(Role.name == MASTER_ADMIN)).one(),
            )
            db.session.add(user)
            db.session.flush()
            expires_at = datetime.now(UTC) + TOKEN_LASTS
            token = AccessToken(user_id=user.id, digest=digest(secret), expires_at=expires_at)
            db.session.add(token)
            return Caller(tenant.slug, f"{tenant.schema_name}.{secret}")

    @contextmanager
    def gunicorn(self, name: str, program: str, **env: str) -> Iterator[Server]:
        """Run `program` as the `api` role is run, while the block runs.

        Args:
            name: of its log file.
            program: `module:callable`.
            env: further variables of its environment.

        Yields:
            Where it answers, and its process.
        """
        port = free_port()
        argv = [*command("api", self.env)[:-1], program]
        bind = {"BIND": f"{LOOPBACK}:{port}", "WEB_CONCURRENCY": str(WORKERS)}
        child = Child(name, argv, log_dir=self.directory, env={**self.env, **bind, **env}, cwd=ROOT)
        try:
            _wait(child, port)
            yield Server(f"http://{LOOPBACK}:{port}", child.pid)
        finally:
            child.stop()

    @contextmanager
    def worker(self, root: Path = ROOT) -> Iterator[int]:
        """Run a Celery worker as the role `worker` is run, with `WORKERS` processes.

        Args:
            root: of the code that it runs.

        Yields:
            Its process id.
        """
        env = {**self.env, "WORKER_CONCURRENCY": str(WORKERS)}
        argv = command("worker", env)
        child = Child("worker", argv, log_dir=self.directory, env=env, cwd=root)
        try:
            deadline = time.monotonic() + READY_TIMEOUT
            while " ready." not in child.log_file.read_text():
                if child.exit_code() is not None or time.monotonic() > deadline:
                    raise InstallationError(f"the worker does not start:\n{child.tail()}")
                time.sleep(0.05)
            yield child.pid
        finally:
            child.stop()

    def _run_migrations(self) -> None:
        argv = command("migrate", self.env)
        child = Child("migrate", argv, log_dir=self.directory, env=self.env, cwd=ROOT)
        deadline = time.monotonic() + READY_TIMEOUT
        while child.exit_code() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        code = child.exit_code()
        child.stop()
        if code != 0:
            raise InstallationError(f"the migrations failed:\n{child.tail()}")


def _wait(child: Child, port: int) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while child.exit_code() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://{LOOPBACK}:{port}/health", timeout=5).close()
        except urllib.error.HTTPError:
            return  # the floor knows no such address, but it answers
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise InstallationError(f"{child.name} does not answer:\n{child.tail()}")


@contextmanager
def installation() -> Iterator[Installation]:
    """Start the servers in a temporary directory, and take everything away in the end."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        embedded_postgres(Path(name) / "postgres") as postgres,
        embedded_valkey(Path(name) / "valkey") as valkey,
    ):
        password = secrets.token_urlsafe(18)
        ensure_owner(postgres, password)
        env = {
            "PATH": search_path(),
            "FLASK_APP": "wsgi",
            "DATABASE_URL": postgres.url(DATABASE, API_ROLE, secrets.token_urlsafe(18)),
            "OPS_DATABASE_URL": postgres.url(DATABASE, OPS_ROLE, password),
            "REDIS_URL": valkey.url,
            "TENANT_ROLES": "true",
            "SPARE_SCHEMAS": "0",
            # All load comes from one address, and much of it from one tenant: counted, not refused.
            "AUTH_RATE_LIMIT": UNREACHED,
            "TENANT_RATE_LIMIT": UNREACHED,
            "LOG_LEVEL": "INFO",
            "LOG_FORMAT": "json",
        }
        yield Installation(Path(name), postgres, env)
