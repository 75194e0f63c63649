"""`flask tenants check`: whatever is done to a schema is found and named, and nothing else is."""

from __future__ import annotations

import dataclasses
import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import psycopg2
import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ops.local.postgres import PostgresServer
from ops.monitor import catalogue, drift, expected
from ops.monitor.models import TenantCheck
from ops.tenants import job as tenants_job
from ops.upgrades import script
from tests.factories import Company, register
from tests.ops.fleet import HEAD, NEXT, Fleet
from tests.ops.monitor.changes import BY_A_SUPERUSER, CHANGES
from tests.test_roles import Install, install  # noqa: F401 (a fixture)
from todo_app.config import Settings
from todo_app.database import OPS_BIND, db, quote_identifier, transaction
from todo_app.histories import LOCK_SCHEMA
from todo_app.tenancy import control_plane, operations
from todo_app.tenants import service
from todo_app.tenants.models import ACTIVE, ARCHIVED, SUSPENDED, Tenant


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=["tenants", *arguments])


def check(app: Flask, *slugs: str) -> drift.Report:
    with app.app_context():
        return drift.check_all(app.config["SETTINGS"], slugs)


def found(app: Flask, slug: str) -> list[str]:
    """What the check names in one tenant."""
    report = check(app, slug)
    assert report.checked == 1, report.unchecked
    return report.differing[0].differences if report.differing else []


def change(app: Flask, schema: str, *statements: str) -> None:
    """Do something to a schema, as operations."""
    with app.app_context(), db.engines[OPS_BIND].begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL search_path TO {quote_identifier(schema)}")
        for statement in statements:
            connection.exec_driver_sql(statement.replace("{role}", schema))


@contextmanager
def tenant(app: Flask) -> Iterator[Tenant]:
    """A tenant without users that is gone after the block."""
    with app.app_context(), operations(), transaction():
        made = service.create(f"Drift {secrets.token_hex(4)}")
    yield made
    dropped = run(app, "drop", made.slug, "--confirm", made.slug)
    assert dropped.exit_code == 0, dropped.output


@pytest.mark.parametrize("statement", CHANGES)
def test_each_change_by_hand_is_named(app: Flask, statement: str) -> None:
    with tenant(app) as made:
        assert found(app, made.slug) == []
        change(app, made.schema_name, statement)
        assert found(app, made.slug) == sorted(CHANGES[statement])


@pytest.mark.parametrize("statement", BY_A_SUPERUSER)
def test_each_change_by_a_superuser_is_named(
    app: Flask, postgres: PostgresServer, statement: str
) -> None:
    with tenant(app) as made:
        connection = psycopg2.connect(postgres.url("todo"))
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL search_path TO {made.schema_name}")
            cursor.execute(statement)
        assert found(app, made.slug) == sorted(BY_A_SUPERUSER[statement])
        with connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {made.schema_name}.lists OWNER TO todo_ops")
        connection.close()


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chosen=st.lists(st.sampled_from(sorted(CHANGES)), unique=True, max_size=12))
def test_changes_made_together_are_all_named_and_nothing_else(
    app: Flask, chosen: list[str]
) -> None:
    with tenant(app) as made:
        change(app, made.schema_name, *chosen)
        assert found(app, made.slug) == sorted(chain.from_iterable(CHANGES[one] for one in chosen))


def test_one_company_is_changed_and_the_other_is_clean(
    app: Flask, acme: Company, globex: Company
) -> None:
    change(app, acme.schema_name, "DROP INDEX ix_tasks_due_at")
    report = check(app, acme.slug, globex.slug)
    assert report.checked == 2
    assert [(f.tenant, f.revision, f.differences) for f in report.differing] == [
        (acme.slug, script.head(), ["missing index ix_tasks_due_at on tasks"])
    ]


def test_tenants_are_clean_however_they_came_about(app: Flask, acme: Company) -> None:
    """Registered over the API, made of a spare schema, and built directly."""
    with app.app_context():
        tenants_job.keep_spares(1)
        names = []
        for _ in range(2):
            with operations(), transaction():
                names.append(service.create("Fresh").slug)
    report = check(app, acme.slug, *names)
    assert (report.checked, report.differing, report.unchecked) == (3, [], [])


def test_tenants_are_clean_at_every_revision_that_migrations_take_them_to(
    app: Flask, acme: Company
) -> None:
    with app.app_context():
        older = ["base", *script.revisions()[:-1]]
    for revision in reversed(older):
        moved = run(app, "downgrade", "--to", revision, "--inline", acme.slug)
        assert moved.exit_code == 0, moved.output
        assert found(app, acme.slug) == [], revision
    for revision in [*older[1:], "head"]:
        assert run(app, "upgrade", "--to", revision, "--inline", acme.slug).exit_code == 0
        assert found(app, acme.slug) == [], revision


def test_a_revision_outside_of_transactions_is_no_drift(fleet: Fleet) -> None:
    fleet.add_tenants(2)
    fleet.add_revision(
        """
        with op.get_context().autocommit_block():
            op.create_index("ix_proof", "tasks", ["title"], postgresql_concurrently=True)
        """,
        """
        with op.get_context().autocommit_block():
            op.drop_index("ix_proof", "tasks", postgresql_concurrently=True)
        """,
    )
    for arguments in (["tenants", "upgrade", "--inline"], ["control", "upgrade"]):
        done = fleet.flask(*arguments)
        assert done.returncode == 0, done.stderr
    fleet.add_tenants(1)
    assert fleet.flask("tenants", "downgrade", "--to", HEAD, "--inline", "c0").returncode == 0
    assert fleet.catalogue() == {"c0": HEAD, "c1": NEXT, "c2": NEXT}
    clean = {"checked": 3, "differing": [], "unchecked": [], "exit_code": 0}
    assert fleet.run_json("tenants", "check") == clean


def test_a_change_at_an_older_revision_is_named(app: Flask, acme: Company) -> None:
    run(app, "downgrade", "--to", "0001", "--inline", acme.slug)
    change(app, acme.schema_name, "CREATE TABLE tasks (id int)")
    assert found(app, acme.slug) == ["extra table tasks"]


@pytest.mark.parametrize("api_role", ["todo_ops", "todo_api"])
def test_installations_without_tenant_roles_are_clean_too(
    install: Install,  # noqa: F811 (the fixture)
    api_role: str,
) -> None:
    other = install(api_role, tenant_roles=False)
    assert other.test_cli_runner().invoke(args=["control", "upgrade"]).exit_code == 0
    company = register(other.test_client())
    assert found(other, company.slug) == []
    change(other, company.schema_name, "GRANT SELECT ON users TO PUBLIC")
    assert found(other, company.slug) == ["extra privileges on table users for everybody"]


def test_without_tenant_roles_the_privileges_are_those_of_the_api(
    app: Flask, settings: Settings, acme: Company
) -> None:
    with app.app_context():
        report = drift.check_all(dataclasses.replace(settings, tenant_roles=False), [acme.slug])
    differences = report.differing[0].differences
    assert "missing privileges on table users for todo_api" in differences
    assert "extra privileges on table users for the tenant's role" in differences
    assert "extra tenant's role" in differences
    assert found(app, acme.slug) == [], "one check's expectations are not another's"


def test_what_is_found_is_kept_and_replaced(app: Flask, acme: Company, globex: Company) -> None:
    def kept() -> dict[int, TenantCheck]:
        with app.app_context(), control_plane():
            ids = [service.get(company.slug).id for company in (acme, globex)]
            return drift.last_checks(ids)

    change(app, acme.schema_name, "DROP INDEX ix_tasks_due_at")
    assert kept() == {}
    check(app, acme.slug, globex.slug)
    first, second = sorted(kept().values(), key=lambda row: row.tenant_id)
    assert first.differences == ["missing index ix_tasks_due_at on tasks"]
    assert second.differences == []
    assert (first.revision, second.revision) == (script.head(), script.head())
    change(app, acme.schema_name, "CREATE INDEX ix_tasks_due_at ON tasks (due_at)")
    check(app, acme.slug)
    again, untouched = sorted(kept().values(), key=lambda row: row.tenant_id)
    assert again.differences == []
    assert again.checked_at > first.checked_at
    assert untouched.checked_at == second.checked_at


def test_nothing_is_left_behind(app: Flask, postgres: PostgresServer, acme: Company) -> None:
    def everything() -> tuple[list[object], ...]:
        connection = psycopg2.connect(postgres.url("todo"))
        with connection, connection.cursor() as cursor:
            results = []
            for statement in (
                "SELECT nspname FROM pg_namespace ORDER BY 1",
                "SELECT rolname FROM pg_roles ORDER BY 1",
                "SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2",
                "SELECT count(*) FROM pg_class",
                "SELECT count(*) FROM pg_default_acl",
            ):
                cursor.execute(statement)
                results.append(cursor.fetchall())
        connection.close()
        return tuple(results)

    check(app, acme.slug)
    before = everything()
    change(app, acme.schema_name, "ALTER TABLE users ALTER COLUMN phone SET DEFAULT 'none'")
    assert len(found(app, acme.slug)) == 1
    assert everything() == before


def test_the_version_table_and_the_catalogue_have_to_agree(app: Flask, acme: Company) -> None:
    with app.app_context(), operations(), transaction():
        db.session.execute(
            sa.update(Tenant).where(Tenant.slug == acme.slug).values(revision="0001")
        )
        head = script.head()
    assert found(app, acme.slug) == [f"the schema is at {head}, the catalogue says 0001"]
    change(app, acme.schema_name, "DELETE FROM alembic_version")
    differences = found(app, acme.slug)
    assert "the schema is at base, the catalogue says 0001" in differences
    assert "extra table tasks" in differences
    change(app, acme.schema_name, "DROP TABLE alembic_version")
    assert "missing table alembic_version" in found(app, acme.slug)


def test_a_revision_that_this_code_does_not_have_is_no_drift(
    app: Flask, acme: Company, globex: Company
) -> None:
    """An older release looks at tenants that a newer one has upgraded."""
    change(
        app,
        acme.schema_name,
        "UPDATE alembic_version SET version_num = '9999'",
        "UPDATE public.tenants SET revision = '9999' WHERE schema_name = '{role}'",
    )
    report = check(app, acme.slug, globex.slug)
    assert (report.checked, report.differing) == (1, [])
    assert report.unchecked[0].reason == "This code does not have revision 9999."
    result = run(app, "check", acme.slug)
    assert result.exit_code == 1
    assert "1 could not be checked" in result.output


def test_a_schema_that_is_missing_is_named(app: Flask, acme: Company, globex: Company) -> None:
    change(app, acme.schema_name, 'DROP SCHEMA "{role}" CASCADE')
    report = check(app, acme.slug, globex.slug)
    assert [(f.tenant, f.differences) for f in report.differing] == [
        (acme.slug, [f"missing schema {acme.schema_name}"])
    ]


def rename_schema(app: Flask, old: str, new: str) -> None:
    """Rename a schema with its role, in the catalogue too; to names that no command would make."""
    with app.app_context(), db.engines[OPS_BIND].begin() as connection:
        for kind in ("SCHEMA", "ROLE"):
            connection.exec_driver_sql(
                f"ALTER {kind} {quote_identifier(old)} RENAME TO {quote_identifier(new)}",
                execution_options={"no_parameters": True},
            )
        connection.execute(
            sa.update(Tenant.__table__).where(Tenant.schema_name == old).values(schema_name=new)
        )


@pytest.mark.parametrize("name", ['t_Odd "name" %(x)s :y; --', "t_größe.\\x", "T"])
def test_names_are_no_trouble(app: Flask, name: str) -> None:
    with tenant(app) as made:
        plain, odd = made.schema_name, f"{name}{made.id}"
        change(app, plain, "CREATE SEQUENCE numbers")
        change(app, plain, "ALTER TABLE users ALTER COLUMN version SET DEFAULT nextval('numbers')")
        differences = [
            "changed default of column users.version: nextval('numbers'::regclass) instead of 1",
            "extra sequence numbers",
        ]
        assert found(app, made.slug) == differences
        rename_schema(app, plain, odd)
        assert found(app, made.slug) == differences
        rename_schema(app, odd, plain)


def test_a_definition_does_not_depend_on_the_name_of_the_schema(app: Flask) -> None:
    statements = (
        "CREATE SEQUENCE numbers",
        "CREATE TYPE mood AS ENUM ('good')",
        "CREATE FUNCTION f(m mood) RETURNS bigint LANGUAGE sql RETURN nextval('numbers')",
        "CREATE TABLE x (n bigint DEFAULT f('good'), m mood[] CHECK (f(m[1]) > 0))",
        "CREATE VIEW v AS SELECT x.n, lists.title FROM x JOIN lists ON lists.id = f(x.m[1])",
        "CREATE INDEX ON x (n) WHERE m[1] = 'good'",
    )
    with tenant(app) as one, tenant(app) as two, app.app_context():
        for made in (one, two):
            change(app, made.schema_name, *statements)
        with db.engines[OPS_BIND].connect() as connection:
            catalogue.prepare(connection)
            digests = catalogue.digests(connection, [one.schema_name, two.schema_name])
            assert len(digests) == 2
            assert len(set(digests.values())) == 1
            objects = catalogue.describe(connection, one.schema_name)
        assert one.schema_name not in repr(objects)
        for made in (one, two):
            change(app, made.schema_name, "DROP TABLE x CASCADE")


def test_each_batch_and_each_connection_is_bounded(
    app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[int, list[int]] = {}
    digests = catalogue.digests

    def spy(connection: sa.Connection, schemas: list[str]) -> dict[str, str]:
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        seen.setdefault(pid, []).append(len(schemas))
        return digests(connection, schemas)

    with app.app_context():
        slugs = []
        for _ in range(7):
            with operations(), transaction():
                slugs.append(service.create("Bounded").slug)
        monkeypatch.setattr(drift, "BATCH", 2)
        monkeypatch.setattr(drift.catalogue, "digests", spy)
        few = dataclasses.replace(settings, pool_max_schemas=4)
        report = drift.check_all(few, slugs)
    assert (report.checked, report.differing) == (7, [])
    # One schema more than the seven: that of the revision.
    assert sum(map(sum, seen.values())) == 8
    assert max(map(max, seen.values())) == 2
    assert max(map(sum, seen.values())) <= 4 + 1


def test_the_catalogue_of_other_tenants_is_not_read(app: Flask, acme: Company) -> None:
    """A check of one tenant costs the same whether there are ten others or ten thousand."""
    with app.app_context(), db.engines[OPS_BIND].connect() as connection:
        catalogue.prepare(connection)
        plan = connection.execute(
            sa.text(f"EXPLAIN {catalogue._DIGESTS.text}"), {"schemas": [acme.schema_name]}
        )
        steps = "\n".join(plan.scalars())
    assert "Index Scan" in steps
    assert "Seq Scan on pg_" not in steps


def test_a_row_of_the_catalogue_that_is_held_keeps_nobody_waiting(
    app: Flask, acme: Company, globex: Company
) -> None:
    with app.app_context(), db.engines[OPS_BIND].connect() as holder:
        statement = sa.select(Tenant.id).where(Tenant.slug == acme.slug).with_for_update()
        ids = [holder.execute(statement).scalar_one()]
        assert check(app, acme.slug, globex.slug).checked == 2
        with control_plane():
            ids.append(service.get(globex.slug).id)
            assert list(drift.last_checks(ids)) == ids[1:]


def test_only_active_and_suspended_tenants_are_checked(app: Flask, acme: Company) -> None:
    def become(state: str) -> None:
        with app.app_context(), operations(), transaction():
            db.session.execute(
                sa.update(Tenant).where(Tenant.slug == acme.slug).values(state=state)
            )

    become(SUSPENDED)
    assert check(app, acme.slug).checked == 1
    become(ARCHIVED)
    result = run(app, "check", acme.slug)
    assert result.exit_code == 2
    assert f"The tenant {acme.slug} is archived." in result.output
    become(ACTIVE)


def test_a_tenant_that_vanishes_meanwhile_is_forgotten(
    app: Flask, acme: Company, globex: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    glance = drift._glance

    def drop_meanwhile(*arguments: object) -> set[int]:
        clean = glance(*arguments)  # type: ignore[arg-type]
        assert run(app, "drop", acme.slug, "--confirm", acme.slug).exit_code == 0
        return clean

    monkeypatch.setattr(drift, "_glance", drop_meanwhile)
    report = check(app, acme.slug, globex.slug)
    assert (report.differing, report.unchecked) == ([], [])
    assert report.checked == 2, "both were clean when they were looked at"


def test_a_differing_tenant_that_vanishes_meanwhile_is_no_drift(
    app: Flask, acme: Company, globex: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(app, acme.schema_name, "DROP TABLE tasks CASCADE")
    glance = drift._glance

    def drop_meanwhile(*arguments: object) -> set[int]:
        clean = glance(*arguments)  # type: ignore[arg-type]
        assert run(app, "drop", acme.slug, "--confirm", acme.slug).exit_code == 0
        return clean

    monkeypatch.setattr(drift, "_glance", drop_meanwhile)
    report = check(app, acme.slug, globex.slug)
    assert (report.checked, report.differing, report.unchecked) == (1, [], [])


def test_a_tenant_that_somebody_works_on_is_looked_at_again(
    app: Flask, acme: Company, globex: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(app, acme.schema_name, "DROP INDEX ix_tasks_due_at")
    monkeypatch.setattr(drift, "PAUSE_SECONDS", 0)
    with app.app_context(), db.engines[OPS_BIND].connect() as holder:
        holder.detach()
        holder.execute(LOCK_SCHEMA, {"schema": acme.schema_name})
        report = check(app, acme.slug, globex.slug)
        assert (report.checked, report.differing) == (1, [])
        assert [(u.tenant, u.reason) for u in report.unchecked] == [
            (acme.slug, "Another operation works on this tenant.")
        ]

        def finish(seconds: float) -> None:
            holder.exec_driver_sql(
                f"CREATE INDEX ix_tasks_due_at ON {acme.schema_name}.tasks (due_at)"
            )
            holder.commit()
            holder.close()

        monkeypatch.setattr(drift.time, "sleep", finish)
        report = check(app, acme.slug, globex.slug)
    assert (report.checked, report.differing, report.unchecked) == (2, [], [])


def test_a_table_that_is_locked_keeps_nobody_else_waiting(
    app: Flask, acme: Company, globex: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "TRIES", 1)
    with app.app_context(), db.engines[OPS_BIND].connect() as holder:
        holder.exec_driver_sql(
            f"LOCK TABLE {acme.schema_name}.alembic_version IN ACCESS EXCLUSIVE MODE"
        )
        report = check(app, acme.slug, globex.slug)
    assert (report.checked, report.differing) == (1, [])
    assert [(u.tenant, u.reason) for u in report.unchecked] == [
        (acme.slug, "canceling statement due to lock timeout")
    ]


def test_a_schema_that_changes_under_the_look_is_looked_at_again(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = catalogue.describe
    looked_at = []

    def move_meanwhile(connection: sa.Connection, schema: str) -> list[catalogue.Object]:
        if schema == acme.schema_name:
            looked_at.append(schema)
            if len(looked_at) == 1:
                moved = run(app, "downgrade", "--to", "0001", "--inline", acme.slug)
                assert moved.exit_code == 0, moved.output
        return describe(connection, schema)

    monkeypatch.setattr(catalogue, "describe", move_meanwhile)
    monkeypatch.setattr(drift, "_glance", lambda *_: set())
    monkeypatch.setattr(drift, "PAUSE_SECONDS", 0)
    assert found(app, acme.slug) == []
    assert len(looked_at) == 2


def test_an_upgrade_under_way_is_neither_taken_for_drift_nor_hindered(
    app: Flask,
    acme: Company,
    globex: Company,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drift, "PAUSE_SECONDS", 0)
    slugs = [acme.slug, globex.slug]
    down = ["flask", "tenants", "downgrade", "--to", "base", "--inline", *slugs]
    up = ["flask", "tenants", "upgrade", "--inline", *slugs]
    checks = 0
    for command in (down, up):
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None:
            report = check(app, *slugs)
            assert report.differing == []
            checks += report.checked
        assert process.returncode == 0
    assert checks > 0


def test_the_command_shows_who_differs(app: Flask, acme: Company, globex: Company) -> None:
    result = run(app, "check", globex.slug)
    assert (result.exit_code, result.output) == (0, "0 of 1 tenants differ from their revision.\n")
    change(app, acme.schema_name, "DROP INDEX ix_tasks_due_at", "ALTER TABLE users DROP phone")
    result = run(app, "check", acme.slug, globex.slug)
    assert result.exit_code == 1
    head = script.head()
    assert result.output.splitlines() == [
        "tenant\trevision\tdifferences",
        f"{acme.slug}\t{head}\tmissing column users.phone; missing index ix_tasks_due_at on tasks",
        "1 of 2 tenants differ from their revision.",
    ]
    result = run(app, "check", "--json", acme.slug, globex.slug)
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "checked": 2,
        "differing": [
            {
                "tenant": acme.slug,
                "revision": head,
                "differences": [
                    "missing column users.phone",
                    "missing index ix_tasks_due_at on tasks",
                ],
            }
        ],
        "unchecked": [],
    }
    assert run(app, "check", "nobody").exit_code == 2


def test_long_definitions_are_not_quoted(app: Flask, acme: Company) -> None:
    change(
        app,
        acme.schema_name,
        "ALTER TABLE tasks DROP CONSTRAINT ck_tasks_priority, ADD CONSTRAINT ck_tasks_priority"
        f" CHECK (title <> '{'x' * 200}')",
    )
    assert found(app, acme.slug) == ["changed constraint ck_tasks_priority on tasks"]


def test_a_revision_that_cannot_be_built_stops_nobody(
    app: Flask, acme: Company, globex: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(app, "downgrade", "--to", "0001", "--inline", acme.slug)
    built = []

    def fail_at_0001(revision: str, settings: Settings) -> object:
        built.append(revision)
        if revision == "0001":
            raise script.RevisionError("It cannot be replayed.")
        return build(revision, settings)

    build = expected._build
    monkeypatch.setattr(expected, "_build", fail_at_0001)
    report = check(app, acme.slug, globex.slug)
    assert (report.checked, report.differing) == (1, [])
    assert [u.reason for u in report.unchecked] == ["It cannot be replayed."]
    assert sorted(built) == ["0001", script.head()]
