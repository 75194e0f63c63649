"""Moving tenants: who is behind, what becomes of each, and the commands in one process."""

from __future__ import annotations

import json
import subprocess

import pytest
import sqlalchemy as sa
from alembic import command
from click.testing import Result
from flask import Flask

from ops.local.postgres import PostgresServer
from ops.local.valkey import ValkeyServer
from ops.monitor.tasks import sweep
from ops.runs.claims import Item
from ops.runs.models import DONE, FAILED, SKIPPED
from ops.upgrades import job
from ops.upgrades import plan as planning
from ops.upgrades.locks import lock_tenant
from ops.upgrades.move import Timeouts, mover
from ops.upgrades.plan import Choice, plan
from ops.upgrades.script import lag, revisions, steps
from tests.factories import Company
from tests.ops.fleet import HEAD, REVISIONS
from tests.ops.moving import move_to, try_to_move
from todo_app.database import OPS_BIND, db, transaction
from todo_app.errors import InvalidInputError, first_line
from todo_app.extensions import migrate
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
    moved = json.loads(result.stdout)
    assert (moved["state"], moved["title"]) == ("succeeded", "downgrade to 0001")
    moves = {tenant["tenant"]: tenant for tenant in moved["tenants"]}
    assert sorted(moves) == sorted(slugs)
    assert {(move["state"], move["to_revision"]) for move in moves.values()} == {("done", "0001")}
    assert revision(app, acme) == ("0001", "0001")
    with app.app_context(), operations():
        waves = plan(HEAD, Choice(slugs)).waves
        assert [[member.slug for member in wave] for wave in waves] == [[slugs[0]], [slugs[1]]]
        assert plan("0001", Choice(slugs)).waves == []
    result = run(app, "upgrade", "--inline", "--only", ",".join(slugs))
    assert result.exit_code == 0
    assert "done\t2\n" in result.output
    assert f"(upgrade to {HEAD}) succeeded.\n" in result.output
    assert revision(app, acme) == revision(app, globex) == (HEAD, HEAD)
    assert "Nobody has to move" in run(app, "upgrade", *slugs).output
    assert json.loads(run(app, "upgrade", "--json", *slugs).stdout)["tenants"] == []


def test_one_broken_tenant_is_named_and_stops_nobody(
    app: Flask, acme: Company, globex: Company
) -> None:
    slugs = [acme.slug, globex.slug]
    run(app, "downgrade", "--to", "0001", "--inline", *slugs)
    with app.app_context(), db.engines[OPS_BIND].begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {acme.schema_name}.tasks (in_the_way int)")
    result = run(app, "upgrade", "--inline", *slugs)
    assert result.exit_code == 1
    assert f'{acme.slug} failed: relation "tasks" already exists\n' in result.output
    assert "1 of 2 tenants failed. Once the cause is gone: flask runs resume" in result.output
    assert revision(app, acme) == ("0001", "0001")
    assert revision(app, globex) == (HEAD, HEAD)
    with app.app_context(), operations():
        tables = db.session.execute(
            sa.text("SELECT count(*) FROM pg_tables WHERE schemaname = :s AND tablename = 'lists'"),
            {"s": acme.schema_name},
        ).scalar()
    assert tables == 0, "a revision is applied wholly or not at all"


def test_a_locked_table_fails_in_time_and_is_worth_another_try(app: Flask, acme: Company) -> None:
    patient = Timeouts(lock=1, statement=60)
    move_to(app, acme, "0004")
    with app.app_context(), db.engines[OPS_BIND].connect() as holder:
        holder.exec_driver_sql(f"LOCK TABLE {acme.schema_name}.tasks IN SHARE MODE")
        outcome = try_to_move(app, acme.schema_name, "0001", patient)
    assert (outcome.state, outcome.retry) == (FAILED, True)
    assert outcome.error == "canceling statement due to lock timeout"
    # The one that made the table; those after it are taken back.
    assert outcome.result == {"to_revision": "0002"}
    move_to(app, acme, "0001")
    move_to(app, acme, HEAD)


def test_a_tenant_is_moved_by_one_at_a_time(app: Flask, acme: Company) -> None:
    with (
        app.app_context(),
        db.engines[OPS_BIND].connect() as connection,
        lock_tenant(connection, acme.schema_name),
    ):
        outcome = try_to_move(app, acme.schema_name, "0001")
    assert outcome.error == "Another operation works on this tenant."
    assert outcome.retry
    assert revision(app, acme) == (HEAD, HEAD)
    move_to(app, acme, "0001")
    move_to(app, acme, HEAD)


def test_a_tenant_that_is_gone_is_skipped(app: Flask) -> None:
    outcome = try_to_move(app, "gone", HEAD)
    assert (outcome.state, outcome.error) == (SKIPPED, "The tenant is gone.")


def test_a_schema_that_is_gone_or_newer_is_an_outcome_not_a_crash(
    app: Flask, acme: Company, globex: Company
) -> None:
    with app.app_context(), db.engines[OPS_BIND].begin() as connection:
        connection.exec_driver_sql(f"UPDATE {acme.schema_name}.alembic_version SET version_num='x'")
        connection.exec_driver_sql(f"ALTER SCHEMA {globex.schema_name} RENAME TO elsewhere")
    outcome = try_to_move(app, acme.schema_name, HEAD)
    assert outcome.error == "The schema is at x, which this code does not have."
    outcome = try_to_move(app, globex.schema_name, HEAD)
    assert (outcome.state, outcome.retry, outcome.result) == (FAILED, False, {})
    assert "does not exist" in str(outcome.error)
    corrections = _reconcile(app)
    assert f"{globex.slug} has no version table" in corrections
    with app.app_context(), db.engines[OPS_BIND].begin() as connection:
        connection.exec_driver_sql(f"ALTER SCHEMA elsewhere RENAME TO {globex.schema_name}")
        connection.exec_driver_sql(
            f"UPDATE {acme.schema_name}.alembic_version SET version_num='{HEAD}'"
        )
    assert f"{acme.slug} is at {HEAD}, not x" in _reconcile(app)


def _reconcile(app: Flask) -> list[str]:
    with app.app_context():
        return [correction.text for correction in planning.reconcile()]


@pytest.mark.parametrize(
    ("redis_url", "message"),
    [("redis://127.0.0.1:1/0", "does not answer"), ("{valkey}/5", "No worker takes")],
)
def test_without_a_worker_it_says_so_at_once(
    app: Flask,
    environment: dict[str, str],
    valkey: ValkeyServer,
    acme: Company,
    redis_url: str,
    message: str,
) -> None:
    move_to(app, acme, "0001")
    redis_url = redis_url.format(valkey=valkey.url.rpartition("/")[0])
    process = subprocess.run(
        ["flask", "tenants", "upgrade", acme.slug],
        env={**environment, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert message in process.stderr
    assert "add --inline" in process.stderr
    assert run(app, "upgrade", "--inline", acme.slug).exit_code == 0


def test_celery_does_it_and_the_command_follows(
    app: Flask, acme: Company, globex: Company, worker: subprocess.Popen[bytes]
) -> None:
    slugs = [acme.slug, globex.slug]
    result = run(app, "downgrade", "--to", "base", *slugs)
    assert result.exit_code == 0, result.output
    result = run(app, "upgrade", *slugs)
    assert result.exit_code == 0, result.output
    assert revision(app, acme) == revision(app, globex) == (HEAD, HEAD)


def test_a_run_can_be_left_alone_and_watched_later(
    app: Flask, acme: Company, worker: subprocess.Popen[bytes]
) -> None:
    result = run(app, "downgrade", "--to", "0001", "--detach", "--json", acme.slug)
    run_id = json.loads(result.stdout)["id"]
    watched = app.test_cli_runner().invoke(args=["runs", "watch", str(run_id)])
    assert (watched.exit_code, watched.output.splitlines()[-1]) == (
        0,
        f"Run {run_id} (downgrade to 0001) succeeded.",
    )
    text = run(app, "upgrade", "--detach", acme.slug).output
    assert "Follow it: flask runs watch" in text
    run_id = int(text.split()[1])
    assert app.test_cli_runner().invoke(args=["runs", "watch", str(run_id)]).exit_code == 0


def test_a_dry_run_prints_waves_and_sql_and_changes_nothing(
    app: Flask, postgres: PostgresServer, acme: Company, globex: Company
) -> None:
    slugs = [acme.slug, globex.slug]
    for company in (acme, globex):
        move_to(app, company, "0001")
    result = run(app, "upgrade", "--dry-run", *slugs)
    assert result.exit_code == 0
    assert f"2\t{globex.slug}\t0001\t{HEAD}\n" in result.output
    assert "CREATE TABLE lists" in result.output
    planned = json.loads(run(app, "upgrade", "--dry-run", "--json", *slugs).stdout)
    assert list(planned["sql"]) == ["0001"]
    sql = run(app, "upgrade", "--sql", *slugs).output
    assert sql.count("CREATE TABLE lists") == 2
    assert revision(app, acme) == ("0001", "0001")
    psql = [postgres.bin_dir / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    subprocess.run([*psql, postgres.url("todo")], input=sql, text=True, check=True)
    assert revision(app, acme) == revision(app, globex) == (HEAD, HEAD)
    assert "Nobody has to move" in run(app, "upgrade", "--dry-run", *slugs).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "9999"], "has no revision"),
        (["--to", "';--"], "has no revision"),
        (["nobody"], "There is no tenant nobody"),
        (["--only", "nobody,noone"], "There is no tenant nobody, noone"),
        (["--where", "state"], "is not COLUMN=VALUE"),
        (["--where", "colour=red"], "chosen by state or revision"),
        (["--where", "state=odd"], "There is no state 'odd'"),
        (["--inline", "--detach"], "nothing to detach from"),
        (["--resume", "999999999"], "There is no run 999999999"),
        (["--resume", "1", "--dry-run"], "as it was planned"),
        (["--reconcile", "--dry-run"], "writes the catalogue"),
        (["--max-failures", "99999999999"], "not in the range"),
        (["--wave-size", "0"], "not in the range"),
        (["--concurrency", "0"], "not in the range"),
    ],
)
def test_wrong_use_is_told_and_does_nothing(
    app: Flask, acme: Company, arguments: list[str], message: str
) -> None:
    result = run(app, "upgrade", *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_where_narrows_the_choice(app: Flask, acme: Company, globex: Company) -> None:
    slugs = [acme.slug, globex.slug]
    with app.app_context(), operations():

        def chosen(**where: str) -> set[str]:
            waves = plan("0001", Choice(slugs, where), downgrade=True).waves
            return {member.slug for wave in waves for member in wave}

        with transaction():
            service.change(acme.slug, {"state": "suspended"})
        assert chosen(state="active") == {globex.slug}
        assert chosen(state="suspended", revision=HEAD) == {acme.slug}
        assert chosen(revision="0001") == set()


def test_canaries_go_first_whether_marked_or_asked_for(
    app: Flask, acme: Company, globex: Company
) -> None:
    slugs = [acme.slug, globex.slug]
    with app.app_context(), operations():
        with transaction():
            service.change(globex.slug, {"is_canary": True})

        def waves(canaries: int | None) -> list[list[str]]:
            planned = plan("0001", Choice(slugs, canaries=canaries), downgrade=True)
            assert planned.has_canaries
            return [[member.slug for member in wave] for wave in planned.waves]

        assert waves(None) == [[globex.slug], [acme.slug]]
        assert waves(1) == [[acme.slug], [globex.slug]]
        assert waves(5) == [slugs]


def test_flask_db_upgrades_one_tenant_and_prints_sql_for_a_dry_run(
    app: Flask, acme: Company, environment: dict[str, str]
) -> None:
    def flask_db(*arguments: str) -> str:
        process = subprocess.run(
            ["flask", "db", *arguments], env=environment, capture_output=True, text=True, check=True
        )
        return process.stdout

    move_to(app, acme, "0001")
    sql = flask_db("-x", f"tenant={acme.slug}", "-x", "dry_run=true", "upgrade")
    assert "CREATE TABLE lists" in sql
    assert "CREATE TABLE users" not in sql
    assert f"UPDATE public.tenants SET revision='{HEAD}' WHERE" in sql
    assert revision(app, acme) == ("0001", "0001")
    flask_db("-x", f"tenant={acme.slug}", "upgrade")
    assert revision(app, acme) == (HEAD, HEAD)
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


def test_a_catalogue_that_is_wrong_is_put_right(app: Flask, acme: Company, globex: Company) -> None:
    with app.app_context(), operations(), transaction():
        wrong = Tenant.slug.in_((acme.slug, globex.slug))
        db.session.execute(sa.update(Tenant).where(wrong).values(revision="0001"))
    outcome = try_to_move(app, acme.schema_name, HEAD)
    assert (outcome.state, outcome.result) == (SKIPPED, {"to_revision": HEAD})
    assert revision(app, acme) == (HEAD, HEAD)
    result = run(app, "upgrade", "--reconcile", globex.slug)
    assert f"{globex.slug} is at {HEAD}, not 0001" in result.stderr
    assert "Nobody has to move" in result.stdout
    assert revision(app, globex) == (HEAD, HEAD)


def test_a_tenant_that_is_renamed_meanwhile_is_moved_all_the_same(
    app: Flask, acme: Company
) -> None:
    with app.app_context():
        with operations():
            ((planned,),) = plan("0001", Choice([acme.slug]), downgrade=True).waves
        with operations(), transaction():
            service.change(acme.slug, {"slug": f"{acme.slug}-new"})
    assert try_to_move(app, planned.schema_name, "0001").state == DONE
    assert try_to_move(app, planned.schema_name, HEAD).state == DONE


def test_flask_db_does_not_touch_a_tenant_that_somebody_works_on(
    app: Flask, acme: Company, environment: dict[str, str]
) -> None:
    with (
        app.app_context(),
        db.engines[OPS_BIND].connect() as connection,
        lock_tenant(connection, acme.schema_name),
    ):
        process = subprocess.run(
            ["flask", "db", "-x", f"tenant={acme.slug}", "downgrade", "base"],
            env=environment,
            capture_output=True,
            text=True,
        )
    assert process.returncode == 1
    assert "another operation works on this tenant" in process.stderr


def test_replayed_sql_makes_the_same_catalogue_as_alembic(
    app: Flask, acme: Company, globex: Company
) -> None:
    """At every revision, on the way up and on the way down."""
    with app.app_context():
        line = ["", *revisions()]
    for target in [*reversed(line[:-1]), *line[1:]]:
        assert try_to_move(app, acme.schema_name, target).state == DONE
        with app.app_context(), db.engines[OPS_BIND].connect() as connection:
            config = migrate.get_config(x_arg="history=tenant")
            config.attributes.update(connection=connection, schema=globex.schema_name)
            is_above = revision_of(connection, globex.schema_name) > target
            move = command.downgrade if is_above else command.upgrade
            move(config, target or "base")
            assert catalogue(connection, acme) == catalogue(connection, globex)
            # It has set what belongs to migrations.
            connection.invalidate()


def revision_of(connection: sa.Connection, schema: str) -> str:
    statement = sa.text("SELECT revision FROM public.tenants WHERE schema_name = :schema")
    revision = str(connection.execute(statement, {"schema": schema}).scalar_one())
    connection.commit()
    return revision


def catalogue(connection: sa.Connection, company: Company) -> list[tuple[str, ...]]:
    """Columns, constraints, indexes and seed rows of a company's schema."""
    name = company.schema_name
    questions = (
        "SELECT 'column', table_name, column_name, data_type, is_nullable, column_default,"
        " is_identity FROM information_schema.columns WHERE table_schema = '{name}'",
        "SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = '{name}'::regnamespace",
        "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = '{name}'",
        "SELECT 'version', version_num FROM {name}.alembic_version",
    )
    # Or names would be written with or without their schema, as it happens to be on the path.
    connection.exec_driver_sql("SET search_path TO pg_catalog")
    rows: list[tuple[str, ...]] = []
    for question in questions:
        found = connection.exec_driver_sql(question.format(name=name)).all()
        rows += [tuple(str(value).replace(name, "…") for value in row) for row in found]
    connection.rollback()
    return sorted(rows)


def test_a_schema_of_another_code_is_neither_behind_nor_a_crash(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(InvalidInputError, match="does not have"):
            steps("9999", HEAD)
        assert (lag("9999"), lag(HEAD), lag("")) == (0, 0, len(REVISIONS))


def test_the_sweep_forgets_old_runs(app: Flask, acme: Company) -> None:
    result = run(app, "downgrade", "--to", "0001", "--inline", "--json", acme.slug)
    run_id = json.loads(result.stdout)["id"]
    move_to(app, acme, HEAD)
    with app.app_context():
        with operations(), transaction():
            db.session.execute(
                sa.text(
                    "UPDATE public.ops_runs SET finished_at = now() - interval '91 days'"
                    " WHERE id = :id"
                ),
                {"id": run_id},
            )
        assert "1 runs deleted" in sweep.run()
        with operations():
            statement = sa.text("SELECT count(*) FROM public.ops_run_items WHERE run_id = :id")
            assert db.session.execute(statement, {"id": run_id}).scalar() == 0


def test_several_revisions_in_a_version_table_are_told_and_stop_nobody(
    app: Flask, acme: Company, globex: Company
) -> None:
    with app.app_context():
        with db.engines[OPS_BIND].begin() as connection:
            connection.exec_driver_sql(
                f"INSERT INTO {acme.schema_name}.alembic_version VALUES ('0001')"
            )
        with operations(), transaction():
            db.session.execute(
                sa.update(Tenant).where(Tenant.slug == globex.slug).values(revision="0001")
            )
    corrections = _reconcile(app)
    assert f"{acme.slug} has several revisions: 0001, {HEAD}" in corrections
    assert f"{globex.slug} is at {HEAD}, not 0001" in corrections
    outcome = try_to_move(app, acme.schema_name, "0001")
    assert (outcome.state, outcome.retry) == (FAILED, False)


def test_what_the_ledger_says_is_never_run_as_sql(app: Flask) -> None:
    """The API's role may write runs; it must not become the owner of all schemas by that."""
    with app.app_context(), pytest.raises(ValueError, match="invalid literal"):
        job.perform(
            {
                "target": HEAD,
                "lock_timeout": "2s'; DROP TABLE public.tenants; --",
                "statement_timeout": 1,
                "before_backup": False,
            },
            app.config["SETTINGS"],
        )


def test_nothing_waits_for_a_lock_for_long(app: Flask, acme: Company) -> None:
    """Not even the statements around a revision."""
    item = Item(1, acme.schema_name, acme.slug, 1, 1, {}, 0, None)
    with (
        app.app_context(),
        db.engines[OPS_BIND].connect() as holder,
        mover("0001", Timeouts(1, 60)) as move,
    ):
        holder.exec_driver_sql(f"LOCK TABLE {acme.schema_name}.alembic_version")
        outcome = move(item)
    assert (outcome.state, outcome.retry) == (FAILED, True)
    assert outcome.error == "canceling statement due to lock timeout"


def test_an_error_about_a_value_is_told_without_the_value(app: Flask) -> None:
    with (
        app.app_context(),
        db.engines[OPS_BIND].connect() as connection,
        pytest.raises(sa.exc.DataError) as raised,
    ):
        connection.exec_driver_sql("SELECT CAST('ada@example.com' AS int)")
    assert first_line(raised.value) == "InvalidTextRepresentation (SQLSTATE 22P02)"
