"""`flask tenants upgrade`: who is behind, what became of each, and honest exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import sqlalchemy as sa
from celery import Celery
from click.testing import Result
from flask import Flask

from ops import dispatch
from ops.local.valkey import ValkeyServer
from ops.roles import command
from ops.upgrades import cli, job
from tests.factories import Company, wait_until
from todo_app.database import OPS_BIND, db, transaction
from todo_app.tenancy import operations
from todo_app.tenants import service
from todo_app.tenants.models import Tenant


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=["tenants", *arguments])


def revision(app: Flask, company: Company) -> tuple[str, str]:
    """What the catalogue says, and what the schema itself says."""
    with app.app_context(), operations():
        catalogue = db.session.execute(
            sa.text("SELECT revision FROM public.tenants WHERE slug = :slug"),
            {"slug": company.slug},
        ).scalar_one()
        own = db.session.execute(
            sa.text(f"SELECT version_num FROM {company.schema_name}.alembic_version")
        ).scalar_one()
    return catalogue, own


def test_down_and_up_again_inline(app: Flask, acme: Company, globex: Company) -> None:
    slugs = [acme.slug, globex.slug]
    result = run(app, "downgrade", "--to", "0001", "--inline", "--json", *slugs)
    assert result.exit_code == 0
    assert {o["tenant"]: o["status"] for o in json.loads(result.output)} == dict.fromkeys(
        slugs, "moved"
    )
    assert revision(app, acme) == ("0001", "0001")
    with app.app_context(), operations():
        assert {tenant.slug for tenant in job.plan("0002", slugs)} == set(slugs)
        assert job.plan("0001", slugs) == []
    result = run(app, "upgrade", "--inline", *slugs)
    assert result.exit_code == 0
    assert "2 of 2 tenants are at 0002" in result.output
    assert revision(app, acme) == revision(app, globex) == ("0002", "0002")
    assert "Nobody has to move" in run(app, "upgrade", *slugs).output


def test_one_broken_tenant_is_named_and_stops_nobody(
    app: Flask, acme: Company, globex: Company
) -> None:
    slugs = [acme.slug, globex.slug]
    run(app, "downgrade", "--to", "0001", "--inline", *slugs)
    with app.app_context(), db.engines[OPS_BIND].begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {acme.schema_name}.tasks (in_the_way int)")
    result = run(app, "upgrade", "--inline", *slugs)
    assert result.exit_code == 1
    assert f'{acme.slug}\trelation "tasks" already exists' in result.output
    assert revision(app, acme) == ("0001", "0001")
    assert revision(app, globex) == ("0002", "0002")
    with app.app_context(), operations():
        tables = db.session.execute(
            sa.text("SELECT count(*) FROM pg_tables WHERE schemaname = :s AND tablename = 'lists'"),
            {"s": acme.schema_name},
        ).scalar()
    assert tables == 0, "a revision is applied wholly or not at all"


def test_a_locked_table_fails_in_time_and_says_why(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "BOUND_WAITING", sa.text("SET lock_timeout TO '200ms'"))
    with app.app_context():
        with db.engines[OPS_BIND].connect() as holder:
            holder.exec_driver_sql(f"LOCK TABLE {acme.schema_name}.tasks IN SHARE MODE")
            outcome = job.move(acme.schema_name, "0001", downgrade=True)
        assert outcome.status == job.FAILED
        assert outcome.error == "canceling statement due to lock timeout"
        assert job.move(acme.schema_name, "0001", downgrade=True).status == job.MOVED
        assert job.move(acme.schema_name, "head").status == job.MOVED


def test_a_tenant_is_moved_by_one_at_a_time(app: Flask, acme: Company) -> None:
    with (
        app.app_context(),
        db.engines[OPS_BIND].connect() as connection,
        job.lock_tenant(connection, acme.schema_name),
    ):
        outcome = job.move(acme.schema_name, "0001", downgrade=True)
    assert outcome.error == "Another operation works on this tenant."
    assert revision(app, acme) == ("0002", "0002")


def test_a_tenant_that_is_gone_is_an_outcome_not_a_crash(app: Flask) -> None:
    with app.app_context():
        assert job.move("gone", "head").error == "The tenant is gone."


@pytest.mark.parametrize(
    ("redis_url", "message"),
    [("redis://127.0.0.1:1/0", "does not answer"), ("{valkey}/5", "add --inline")],
)
def test_without_a_worker_it_says_so_at_once(
    app: Flask,
    environment: dict[str, str],
    valkey: ValkeyServer,
    acme: Company,
    redis_url: str,
    message: str,
) -> None:
    run(app, "downgrade", "--to", "0001", "--inline", acme.slug)
    redis_url = redis_url.format(valkey=valkey.url.rpartition("/")[0])
    process = subprocess.run(
        ["flask", "tenants", "upgrade", acme.slug],
        env={**environment, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert message in process.stderr
    assert run(app, "upgrade", "--inline", acme.slug).exit_code == 0


def test_celery_does_it_and_the_command_follows(
    app: Flask, acme: Company, globex: Company, worker: subprocess.Popen[bytes]
) -> None:
    slugs = [acme.slug, globex.slug]
    result = run(app, "downgrade", "--to", "base", *slugs)
    assert result.exit_code == 0, result.output
    result = run(app, "upgrade", *slugs)
    assert result.exit_code == 0, result.output
    assert revision(app, acme) == revision(app, globex) == ("0002", "0002")


def test_batches_that_end_out_of_order_are_each_reported_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome(tenant: str) -> dict[str, object]:
        return {"tenant": tenant, "status": "moved"}

    def state(name: str, *tenants: str) -> dispatch.Run:
        return dispatch.Run("run", name, 2, 0, [outcome(tenant) for tenant in tenants], [])

    states = iter([state("running", "c", "d"), state("succeeded", "a", "b", "c", "d")])
    monkeypatch.setattr(dispatch, "start", lambda signatures: "run")
    monkeypatch.setattr(dispatch, "look", lambda run_id: next(states))
    planned = [job.Planned(name, name) for name in "abcd"]
    reported = [outcome["tenant"] for outcome in cli._by_celery(planned, "0002", False)]
    assert reported == ["c", "d", "a", "b"]


def test_flask_db_upgrades_one_tenant_and_prints_sql_for_a_dry_run(
    app: Flask, acme: Company, environment: dict[str, str]
) -> None:
    def flask_db(*arguments: str) -> str:
        process = subprocess.run(
            ["flask", "db", *arguments], env=environment, capture_output=True, text=True, check=True
        )
        return process.stdout

    run(app, "downgrade", "--to", "0001", "--inline", acme.slug)
    sql = flask_db("-x", f"tenant={acme.slug}", "-x", "dry_run=true", "upgrade")
    assert "CREATE TABLE lists" in sql
    assert "CREATE TABLE users" not in sql
    assert "UPDATE public.tenants SET revision='0002' WHERE" in sql
    assert revision(app, acme) == ("0001", "0001")
    flask_db("-x", f"tenant={acme.slug}", "upgrade")
    assert revision(app, acme) == ("0002", "0002")
    assert "CREATE TABLE" not in flask_db("-x", "dry_run=true", "upgrade")


def test_flask_db_names_an_unknown_tenant(app: Flask, environment: dict[str, str]) -> None:
    process = subprocess.run(
        ["flask", "db", "-x", "tenant=nobody", "upgrade"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert "there is no tenant 'nobody'" in process.stderr


@pytest.mark.parametrize(
    "arguments", [["-x", "tenat=acme"], ["-x", "dry_run=perhaps"], ["-x", "tenant"]]
)
def test_a_slip_in_an_argument_runs_nothing(
    app: Flask, environment: dict[str, str], arguments: list[str]
) -> None:
    process = subprocess.run(
        ["flask", "db", *arguments, "upgrade"], env=environment, capture_output=True, text=True
    )
    assert process.returncode == 1
    assert "Running upgrade" not in process.stderr
    assert "Traceback" not in process.stderr


def test_a_catalogue_that_is_wrong_is_put_right(app: Flask, acme: Company) -> None:
    with app.app_context():
        with operations(), transaction():
            db.session.execute(
                sa.update(Tenant).where(Tenant.slug == acme.slug).values(revision="0001")
            )
        assert job.move(acme.schema_name, "head").status == job.UNCHANGED
    assert revision(app, acme) == ("0002", "0002")


def test_a_tenant_that_is_renamed_meanwhile_is_moved_all_the_same(
    app: Flask, acme: Company
) -> None:
    with app.app_context():
        with operations():
            (planned,) = job.plan("0001", [acme.slug], downgrade=True)
        with operations(), transaction():
            service.change(acme.slug, {"slug": f"{acme.slug}-new"})
        outcome = job.move(planned.schema_name, "0001", downgrade=True)
        assert (outcome.status, outcome.tenant) == (job.MOVED, f"{acme.slug}-new")
        assert job.move(planned.schema_name, "head").status == job.MOVED


def test_flask_db_does_not_touch_a_tenant_that_somebody_works_on(
    app: Flask, acme: Company, environment: dict[str, str]
) -> None:
    with (
        app.app_context(),
        db.engines[OPS_BIND].connect() as connection,
        job.lock_tenant(connection, acme.schema_name),
    ):
        process = subprocess.run(
            ["flask", "db", "-x", f"tenant={acme.slug}", "downgrade", "base"],
            env=environment,
            capture_output=True,
            text=True,
        )
    assert process.returncode == 1
    assert "another operation works on this tenant" in process.stderr


def test_a_killed_worker_does_not_keep_the_command_waiting(
    app: Flask, acme: Company, environment: dict[str, str], valkey: ValkeyServer
) -> None:
    """The broker gives its message to another worker only hours later."""
    run(app, "downgrade", "--to", "0001", "--inline", acme.slug)
    environment = {
        **environment,
        "REDIS_URL": f"{valkey.url.rpartition('/')[0]}/6",
        "WORKER_CONCURRENCY": "1",
    }
    with (
        process_group(command("worker", environment), environment) as worker,
        app.app_context(),
        db.engines[OPS_BIND].connect() as holder,
    ):
        celery = Celery(broker=environment["REDIS_URL"], set_as_current=False)
        wait_until(lambda: celery.control.ping(timeout=1), 60)
        celery.close()
        # The worker waits for this lock, and is killed while it does.
        holder.exec_driver_sql(f"LOCK TABLE {acme.schema_name}.users")
        with process_group(["flask", "tenants", "upgrade", acme.slug], environment) as program:
            waiting = sa.text(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND usename = 'todo_ops' AND pid <> pg_backend_pid()"
            )
            with db.engines[OPS_BIND].connect() as watcher:
                watcher = watcher.execution_options(isolation_level="AUTOCOMMIT")
                wait_until(lambda: watcher.execute(waiting).scalar(), 30)
            os.killpg(worker.pid, signal.SIGKILL)
            holder.rollback()
            output, error = program.communicate(timeout=90)
    assert program.returncode == 1
    assert "The worker that had the rest is gone." in error
    assert "run the command again" in output
    assert run(app, "upgrade", "--inline", acme.slug).exit_code == 0


@contextmanager
def process_group(
    arguments: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A program and all that it starts, until the block ends."""
    with subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
