"""An installation of its own with many tenants and revisions of its own, to upgrade and to break.

It is a copy of the project, so that real processes find the revisions that a test has written,
with a database and a broker of its own on the servers of the test run.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from celery import Celery

from ops.roles import command
from tests.factories import wait_until
from todo_app.database import driver_url, quote_identifier

ROOT = Path(__file__).resolve().parents[2]
REVISIONS = tuple(
    sorted(p.name.partition("_")[0] for p in ROOT.glob("migrations/tenant/versions/[0-9]*.py"))
)
"""The project's own tenant history, from the first to the newest."""
HEAD = REVISIONS[-1]
NEXT, AFTER_NEXT = (f"{int(HEAD) + n:04}" for n in (1, 2))
"""What tests call revisions of their own, which come behind the newest."""

PARTS = ("todo_app", "ops", "migrations", "wsgi.py", "celeryconfig.py", "gunicorn.conf.py")

ADD_COLUMN = 'op.add_column("tasks", sa.Column("proof", sa.Text))'
DROP_COLUMN = 'op.drop_column("tasks", "proof")'

REVISION = '''"""A revision of a test."""

import sqlalchemy as sa
from celery import Celery
from alembic import context, op

revision = "{name}"
down_revision = "{before}"
{extra}


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


@dataclass
class Fleet:
    """The installation."""

    root: Path
    env: dict[str, str]
    engine: sa.Engine
    """Connects as the owner of all schemas; each statement is a transaction of its own."""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    """Those of the tenants to come."""

    def sql(self, statement: str, **parameters: Any) -> list[Any]:
        """Run a statement and give its rows."""
        with self.engine.connect() as connection:
            result = connection.execute(sa.text(statement), parameters)
            return list(result) if result.returns_rows else []

    def add_tenants(self, number: int) -> list[str]:
        """Make tenants at the revision that `control upgrade` saw last; their slugs: c0, c1, …"""
        slugs = [f"c{n}" for n in itertools.islice(self.numbers, number)]
        with self.engine.connect() as connection:
            for slug in slugs:
                connection.execute(
                    sa.text(
                        "INSERT INTO public.tenants (slug, schema_name, name, state, revision)"
                        " VALUES (:slug, :schema, :slug, 'active', public.claim_schema(:schema))"
                    ),
                    {"slug": slug, "schema": f"t_{slug}"},
                )
        return slugs

    def add_revision(
        self,
        upgrade: str = ADD_COLUMN,
        downgrade: str = DROP_COLUMN,
        *,
        name: str = NEXT,
        before: str = HEAD,
        extra: str = "",
    ) -> None:
        """Write a revision of the tenant history; processes that start from now on know it."""
        bodies = {
            "upgrade": textwrap.indent(textwrap.dedent(upgrade), "    "),
            "downgrade": textwrap.indent(textwrap.dedent(downgrade), "    "),
        }
        text = REVISION.format(name=name, before=before, extra=extra, **bodies)
        (self.root / f"migrations/tenant/versions/{name}_test.py").write_text(text)

    def flask(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            _flask(arguments),
            cwd=self.root,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=240,
        )

    def run_json(self, *arguments: str) -> dict[str, Any]:
        """What `flask … --json` prints; its exit code is put to it as `exit_code`."""
        done = self.flask(*arguments, "--json")
        assert done.stdout, done.stderr
        return {**json.loads(done.stdout), "exit_code": done.returncode}

    @contextmanager
    def start(self, argv: Sequence[str], **env: str) -> Iterator[subprocess.Popen[str]]:
        """A program and all that it starts, until the block ends."""
        with subprocess.Popen(
            argv,
            cwd=self.root,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                kill(process)

    def start_flask(self, *arguments: str, **env: str) -> Any:
        """A command that goes on while the block runs."""
        return self.start(_flask(arguments), **env)

    @contextmanager
    def worker(self, concurrency: int = 2, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """A Celery worker that is ready; its log is `worker.log` in `root`."""
        environment = {**self.env, "WORKER_CONCURRENCY": str(concurrency), **env}
        environment["LOG_LEVEL"] = "INFO"
        with (
            (self.root / "worker.log").open("ab") as log,
            subprocess.Popen(
                command("worker", environment),
                cwd=self.root,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as process,
        ):
            began = log.tell()
            try:
                wait_until(lambda: " ready." in self.worker_log()[began:], 60)
                yield process
            finally:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(30)
                kill(process)

    def call(self, task: str, **headers: str) -> Any:
        """Send a task as beat does, and give what a worker returns."""
        url = self.env["REDIS_URL"]
        with Celery(broker=url, backend=url, set_as_current=False) as celery:
            celery.config_from_object("celeryconfig")
            return celery.send_task(task, headers=headers).get(timeout=30)

    def worker_log(self) -> str:
        """What the workers have logged."""
        return (self.root / "worker.log").read_text()

    def revisions(self) -> dict[str, str]:
        """By slug, what each tenant's own version table says."""
        rows = self.sql("SELECT slug, schema_name FROM public.tenants ORDER BY id")
        versions = self.sql(
            " UNION ALL ".join(
                f"SELECT {number}, (SELECT version_num FROM {quote_identifier(row.schema_name)}"
                ".alembic_version)"
                for number, row in enumerate(rows)
            )
        )
        return {rows[number].slug: version for number, version in versions}

    def catalogue(self) -> dict[str, str]:
        """By slug, the revision that the catalogue has."""
        rows = self.sql("SELECT slug, revision FROM public.tenants ORDER BY id")
        return {row.slug: row.revision for row in rows}

    def has_column(self, slug: str, column: str = "proof") -> bool:
        """Whether a tenant's tasks have a column."""
        return bool(
            self.sql(
                "SELECT FROM information_schema.columns WHERE table_schema ="
                " (SELECT schema_name FROM public.tenants WHERE slug = :slug)"
                " AND table_name = 'tasks' AND column_name = :column",
                slug=slug,
                column=column,
            )
        )

    def items(self, run_id: int) -> dict[str, Any]:
        """By slug, the rows of a run in the ledger."""
        rows = self.sql("SELECT * FROM public.ops_run_items WHERE run_id = :id", id=run_id)
        return {row.slug: row for row in rows}

    def wait_for_waiting_lock(self, number: int = 1, seconds: float = 30) -> None:
        """Wait until so many statements of operations wait for a lock."""
        waiting = (
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND usename = 'todo_ops' AND datname = current_database()"
        )
        wait_until(lambda: len(self.sql(waiting)) >= number, seconds)


def kill(process: subprocess.Popen[Any]) -> None:
    """End a program that was started in a session of its own, and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _flask(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "flask", *arguments]


@contextmanager
def make_fleet(directory: Path, env: dict[str, str]) -> Iterator[Fleet]:
    """A fleet without tenants, migrated, in an empty directory.

    Args:
        directory: where the copy goes.
        env: with the URLs of a database that operations own, and of a broker.
    """
    root = directory / "todo"
    root.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            # With what is compiled, but not with what another process just compiles.
            shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("*.pyc.*"))
        else:
            shutil.copy(source, root)
    engine = sa.create_engine(
        driver_url(env["OPS_DATABASE_URL"]), poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
    )
    fleet = Fleet(root, env, engine)
    done = fleet.flask("control", "upgrade")
    assert done.returncode == 0, done.stderr
    yield fleet
