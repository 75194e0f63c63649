"""`flask tenants`: the lifecycle from a shell."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from ops.local.postgres import PostgresServer
from ops.tenants import job, tasks
from ops.upgrades.locks import BusyError, lock_tenant
from tests.factories import Company
from tests.ops.fleet import REVISIONS
from tests.ops.moving import move_to
from todo_app.database import OPS_BIND, db, transaction
from todo_app.tenancy import operations
from todo_app.tenants import service


def run(app: Flask, *arguments: str, text: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["tenants", *arguments], input=text)


def test_create_show_list_and_drop(app: Flask) -> None:
    slug = f"cli-{secrets.token_hex(4)}"
    created = json.loads(run(app, "create", "By hand", "--slug", slug, "--json").output)[0]
    assert (created["slug"], created["state"]) == (slug, "active")
    assert slug in run(app, "list").output
    shown = json.loads(run(app, "show", slug, "--json").output)
    assert shown["schema_name"] == created["schema_name"]
    assert slug not in run(app, "list", "--state", "suspended").output
    assert run(app, "drop", slug, text="other\n").exit_code == 2
    assert run(app, "drop", slug, text=f"{slug}\n").exit_code == 0
    assert run(app, "show", slug).exit_code == 2


@pytest.mark.parametrize("admin", ["", "nobody", "a@b", "two@example.com, more@example.com"])
def test_the_address_of_the_first_person_is_checked(app: Flask, admin: str) -> None:
    result = run(app, "create", "By hand", "--slug", "never-made", "--admin", admin)
    assert (result.exit_code, "--admin" in result.output) == (2, True)
    assert run(app, "show", "never-made").exit_code == 2


def test_rename_suspend_and_activate(app: Flask, acme: Company) -> None:
    assert run(app, "suspend", acme.slug).exit_code == 0
    assert acme.get("/users/").status_code == 403
    assert run(app, "activate", acme.slug).exit_code == 0
    new_slug = f"{acme.slug}-renamed"
    assert run(app, "rename", acme.slug, new_slug).exit_code == 0
    assert acme.get("/users/", headers={"tenant": new_slug}).status_code == 200


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "nobody"],
        ["suspend", "nobody"],
        ["drop", "nobody", "--confirm", "nobody"],
        ["rename", "nobody", "somebody"],
        ["create", "x", "--slug", "NOT A SLUG"],
        ["upgrade", "nobody"],
        ["upgrade", "--to", "9999"],
        ["downgrade"],
        ["run", "--only", "nobody", "--", "true"],
        ["no-such-command"],
    ],
)
def test_wrong_use_is_exit_code_2_and_one_line(app: Flask, arguments: list[str]) -> None:
    result = run(app, *arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_program_runs_once_in_each_tenant(
    app: Flask, acme: Company, globex: Company, capfd: pytest.CaptureFixture[str]
) -> None:
    program = "import os; print(os.environ['TENANT'], os.environ['PGOPTIONS'])"
    only = f"{acme.slug},{globex.slug}"
    result = run(app, "run", "--only", only, "--", sys.executable, "-c", program)
    assert result.exit_code == 0
    assert capfd.readouterr().out.splitlines() == [
        f"{company.slug} -c search_path={company.schema_name}"
        for company in sorted((acme, globex), key=lambda company: company.slug)
    ]


def test_a_failing_program_is_reported_by_tenant(app: Flask, acme: Company) -> None:
    result = run(app, "run", "--only", acme.slug, "--", sys.executable, "-c", "raise SystemExit(3)")
    assert result.exit_code == 1
    assert f"failed for {acme.slug}" in result.stderr


def test_a_large_schema_is_dropped_in_batches(app: Flask) -> None:
    """A DROP SCHEMA of this many tables asks for more locks than the server has."""
    slug = f"large-{secrets.token_hex(4)}"
    with app.app_context():
        with operations(), transaction():
            schema = service.create("Large", slug).schema_name
        with db.engines[OPS_BIND].connect() as connection:
            locks = connection.exec_driver_sql("SHOW max_locks_per_transaction").scalar()
            assert locks == "64"
            for start in range(0, 6000, 500):
                connection.exec_driver_sql(
                    f"DO $$ BEGIN FOR n IN {start}..{start + 499} LOOP EXECUTE"
                    f" format('CREATE TABLE {schema}.x%%s (id bigint primary key)', n);"
                    " END LOOP; END $$"
                )
                connection.commit()
            with pytest.raises(sa.exc.OperationalError, match="shared memory"):
                connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    assert run(app, "drop", slug, "--confirm", slug).exit_code == 0


def test_a_drop_that_was_stopped_goes_on(app: Flask, acme: Company) -> None:
    with app.app_context():
        with operations(), transaction():
            service.mark_deleting(acme.slug, acme.slug)
        with db.engines[OPS_BIND].begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE {acme.schema_name}.tasks CASCADE")
        job.drop(acme.schema_name)
        with operations(), pytest.raises(service.TenantNotFoundError):
            service.get(acme.slug)


def test_a_tenant_is_not_dropped_while_somebody_works_on_it(app: Flask, acme: Company) -> None:
    with app.app_context():
        with operations(), transaction():
            service.mark_deleting(acme.slug, acme.slug)
        with (
            db.engines[OPS_BIND].connect() as connection,
            lock_tenant(connection, acme.schema_name),
            pytest.raises(BusyError),
        ):
            job.drop(acme.schema_name)


def test_stale_spares_are_replaced(app: Flask) -> None:
    with app.app_context():
        job.keep_spares(1)
        with operations(), transaction():
            db.session.execute(sa.text("UPDATE public.spare_schemas SET digest = 'other'"))
        assert job.keep_spares(2) == 2
        with operations():
            statement = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_spare%'"
            assert db.session.execute(sa.text(statement)).scalar() == 2


@pytest.mark.usefixtures("dropped_again")
def test_demo_data_is_made_once(app: Flask) -> None:
    def demo() -> list[dict[str, str]]:
        result = app.test_cli_runner(env={"DEMO_PASSWORD": "demo password"}).invoke(
            args=["tenants", "demo", "--json"]
        )
        return json.loads(result.output)["tenants"]

    assert demo() == demo()
    boss = demo()[0]
    client = app.test_client()
    credentials = {"email": boss["email"], "password": "demo password"}
    answer = client.post("/auth/login", json=credentials, headers={"tenant": boss["slug"]})
    assert answer.status_code == 200


def test_the_control_plane_migrates_in_several_instances_at_once(
    app: Flask, environment: dict[str, str]
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "flask", "control", "upgrade"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(3)
    ]
    outputs = [process.communicate()[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs


def test_one_tenant_that_cannot_be_dropped_does_not_hold_up_the_others(
    app: Flask, acme: Company, globex: Company
) -> None:
    with app.app_context():
        for company in (acme, globex):
            with operations(), transaction():
                service.mark_deleting(company.slug, company.slug)
        with (
            db.engines[OPS_BIND].connect() as connection,
            lock_tenant(connection, acme.schema_name),
            pytest.raises(RuntimeError, match=acme.schema_name),
        ):
            tasks.drop_deleting.run()
        with operations():
            assert job.deleting() == [acme.schema_name]
        job.drop(acme.schema_name)


def test_a_program_that_does_not_exist_is_wrong_use(app: Flask, acme: Company) -> None:
    result = run(app, "run", "--only", acme.slug, "--", "no-such-program")
    assert result.exit_code == 2
    assert "cannot be started" in result.stderr


def test_psql_finds_its_tenant(
    app: Flask, acme: Company, postgres: PostgresServer, capfd: pytest.CaptureFixture[str]
) -> None:
    psql = str(postgres.bin_dir / "psql")
    question = "SELECT count(*), current_schema() FROM users"
    result = run(app, "run", "--only", acme.slug, "--", psql, "-Atc", question)
    assert result.exit_code == 0
    assert capfd.readouterr().out.strip() == f"1|{acme.schema_name}"


@pytest.mark.parametrize("name", ["", "   ", "x" * 301, "a\x00b"])
def test_a_name_that_cannot_be_stored_is_wrong_use(app: Flask, name: str) -> None:
    assert run(app, "create", name).exit_code == 2


def test_status_counts_tenants_by_revision(app: Flask, acme: Company) -> None:
    def counts() -> dict[tuple[str, str, int], int]:
        rows = json.loads(run(app, "status", "--json").output)
        return {(row["state"], row["revision"], row["behind"]): row["tenants"] for row in rows}

    behind = len(REVISIONS) - 1
    before = counts().get(("suspended", "0001", behind), 0)
    with app.app_context(), operations(), transaction():
        service.change(acme.slug, {"state": "suspended"})
    move_to(app, acme, "0001")
    assert counts()["suspended", "0001", behind] == before + 1
