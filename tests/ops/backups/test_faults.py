"""Workers that are killed while they take an archive: nothing half-written is ever listed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask import Flask

from ops.archives.models import COMPLETE
from ops.backups import job, tasks
from tests.factories import Company, wait_until
from tests.ops.backups.kit import backups, directory, execute, newest, set_of
from todo_app.database import OPS_BIND, db, transaction
from todo_app.tenancy import operations


def begin(app: Flask, *slugs: str) -> tuple[str, int]:
    """Write a set and its run that nobody works on yet."""
    with app.app_context(), operations(), transaction():
        set_, run_id = job.create(slugs, actor="me", settings=app.config["SETTINGS"])
        return set_.name, run_id


@contextmanager
def working(environment: dict[str, str], run_id: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that works on a run."""
    argv = [sys.executable, "-m", "flask", "runs", "work", str(run_id)]
    with subprocess.Popen(argv, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def somebody_waits(app: Flask, part: str) -> bool:
    """Whether a statement with this in it waits for a lock."""
    statement = sa.text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND query LIKE :part AND pid <> pg_backend_pid()"
    )
    with app.app_context(), db.engines[OPS_BIND].connect() as connection:
        return bool(connection.execute(statement, {"part": f"%{part}%"}).scalar())


def finish(app: Flask, run_id: int) -> None:
    """Take the work over from the worker that was killed, without waiting for its heartbeat."""
    execute(
        app,
        "UPDATE public.ops_run_items SET heartbeat_at = now() - interval '1 hour'"
        " WHERE run_id = :id AND state = 'running'",
        id=run_id,
    )
    result = app.test_cli_runner().invoke(args=["runs", "work", str(run_id)])
    assert result.exit_code == 0, result.output
    with app.app_context():
        tasks.close()


@pytest.mark.parametrize("table", ["{schema}.users", "public.archives"])
def test_a_worker_that_is_killed_leaves_nothing_and_another_one_finishes(
    app: Flask, environment: dict[str, str], acme: Company, globex: Company, table: str
) -> None:
    """While it copies a table, and when all is stored but not in the catalogue yet."""
    name, run_id = begin(app, acme.slug, globex.slug)
    locked = table.format(schema=f'"{acme.schema_name}"')
    waiting = "INSERT INTO public.archives" if "public" in table else "COPY (SELECT"
    with (
        app.app_context(),
        db.engines[OPS_BIND].connect() as connection,
        working(environment, run_id) as process,
    ):
        connection.exec_driver_sql(f"LOCK TABLE {locked} IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: somebody_waits(app, waiting), 30)
        process.kill()
        process.wait(10)
    assert backups(app, "rescan").exit_code == 0
    with app.app_context(), operations():
        listed = [row.slug for row in job.archives(name)]
    # The server may still note an archive that is stored whole, as its client wanted.
    assert listed in ([], [acme.slug] if "public" in table else [])
    finish(app, run_id)
    with app.app_context(), operations():
        assert job.get(name).state == COMPLETE
        assert [row.slug for row in job.archives(name)] == sorted((acme.slug, globex.slug))
    assert backups(app, "verify", name, "--inline").exit_code == 0
    files = sorted(path.name for path in (directory(app) / name).iterdir())
    assert len([file for file in files if file.endswith(".age")]) == 2
    assert "set.json" in files


def test_a_tenant_that_fails_is_tried_again_by_resume(app: Flask, acme: Company) -> None:
    name, run_id = begin(app, acme.slug)
    execute(app, "UPDATE public.ops_runs SET max_attempts = 1 WHERE id = :id", id=run_id)
    execute(app, f'ALTER TABLE "{acme.schema_name}".alembic_version RENAME TO away')
    assert app.test_cli_runner().invoke(args=["runs", "work", str(run_id)]).exit_code == 0
    with app.app_context():
        tasks.close()
        with operations():
            assert "alembic_version" in job.get(name).failures[acme.slug]
    execute(app, f'ALTER TABLE "{acme.schema_name}".away RENAME TO alembic_version')
    runner = app.test_cli_runner()
    result = runner.invoke(args=["runs", "resume", str(run_id), "--failed", "--inline"])
    assert result.exit_code == 0, result.output
    with app.app_context():
        tasks.close()
        with operations():
            assert job.get(name).state == COMPLETE
    assert set_of(app, newest(app, acme.slug)) == name
