"""Sets of archives: taken, listed, verified, and told apart from what is not whole."""

from __future__ import annotations

import dataclasses
import json
import subprocess

import pyrage
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from ops.archives.errors import SchemaReplacedError
from ops.archives.models import COMPLETE, INCOMPLETE
from ops.archives.writer import Snapshot
from ops.backups import job, tasks
from ops.backups.take import SetRef, take
from ops.operators import job as operators
from ops.runs import queue
from ops.runs.job import RunUnderwayError
from ops.upgrades.locks import lock_tenant
from tests.factories import Company, Operator, wait_until
from tests.ops.backups.kit import (
    backups,
    create,
    directory,
    execute,
    newest,
    ok,
    set_of,
)
from tests.ops.fleet import HEAD
from todo_app.database import db, own_connection, transaction
from todo_app.storage import Storage
from todo_app.tenancy import operations
from todo_app.tenants.models import Tenant


def test_a_set_is_taken_listed_shown_and_verified(
    app: Flask, acme: Company, globex: Company
) -> None:
    acme.post("/lists/", {"title": "Groceries"})
    archive = create(app, acme.slug, globex.slug)
    name = set_of(app, archive)
    assert archive.is_encrypted
    assert archive.revision == HEAD
    shown = ok(backups(app, "show", name, "--json"))
    assert (shown["state"], shown["failures"]) == (COMPLETE, {})
    assert [row["tenant"] for row in shown["archives"]] == sorted((acme.slug, globex.slug))
    listed = {row["set"]: row for row in ok(backups(app, "list", "--json", "--limit", "1000"))}
    assert (listed[name]["archives"], listed[name]["failed"]) == (2, 0)
    run = ok(backups(app, "verify", name, "--inline", "--json"))
    assert run["counts"]["done"] == 2
    assert newest(app, acme.slug).verified_at is not None
    mine = ok(backups(app, "list", "--tenant", acme.slug, "--json"))
    assert [row["name"] for row in mine] == [archive.name]
    assert "Groceries" not in (directory(app) / archive.name).read_bytes().decode("latin-1")


def test_celery_takes_a_set(
    app: Flask, cc: Operator, acme: Company, worker: subprocess.Popen[bytes]
) -> None:
    answer = cc.post("/cc/backups/", {"tenants": [acme.slug]})
    assert answer.status_code == 202, answer.json
    run_id = answer.json["id"]
    wait_until(lambda: cc.get(f"/cc/runs/{run_id}").json["state"] != "running", 60)
    assert cc.get(f"/cc/runs/{run_id}").json["counts"]["done"] == 1
    name = set_of(app, newest(app, acme.slug))
    with app.app_context():
        assert f"{name} is complete" in tasks.close() or job_state(name) == COMPLETE
    answer = cc.post(f"/cc/backups/{name}/verify")
    assert answer.status_code == 202
    wait_until(lambda: newest(app, acme.slug).verified_at is not None, 60)
    archives = cc.get(f"/cc/backups/{name}/archives").json["items"]
    assert [row["tenant"] for row in archives] == [acme.slug]


def job_state(name: str) -> str:
    with operations():
        return job.get(name).state


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs that workers are woken for, instead of waking any: they would begin at once."""
    runs: list[int] = []
    monkeypatch.setattr(queue, "wake", lambda run: runs.append(run.id))
    return runs


def test_beat_backs_all_up(app: Flask, acme: Company, woken: list[int]) -> None:
    with app.app_context():
        assert "tenants" in tasks.back_up_all()
        with operations(), transaction():
            set_ = job.get("latest")
            assert woken == [set_.run_id]
            statement = sa.text("UPDATE public.ops_runs SET state = 'cancelled' WHERE id = :id")
            db.session.execute(statement, {"id": set_.run_id})
        assert f"{set_.name} is incomplete" in tasks.close()
        with operations():
            assert job.get(set_.name).failures[acme.slug] == "never begun"


def test_operators_hear_of_a_set_that_is_incomplete(app: Flask, acme: Company) -> None:
    settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(settings, operator_mail="ops@example.com")
    try:
        with app.app_context(), own_connection() as connection:
            with lock_tenant(connection, acme.schema_name), operations(), transaction():
                _, run_id = job.create([acme.slug], actor="me", settings=settings)
                statement = sa.text("UPDATE public.ops_runs SET state = 'cancelled' WHERE id = :id")
                db.session.execute(statement, {"id": run_id})
            tasks.close()
            with operations():
                payload = db.session.scalar(
                    sa.text(
                        "SELECT payload FROM public.outbox"
                        " WHERE payload->>'text' LIKE :slug ORDER BY id DESC LIMIT 1"
                    ),
                    {"slug": f"%{acme.slug}: never begun%"},
                )
    finally:
        app.config["SETTINGS"] = settings
    assert payload["to"] == "ops@example.com"
    assert f"flask runs resume {run_id} --failed" in payload["text"]


def test_a_tenant_that_is_worked_on_is_tried_again_and_told(app: Flask, acme: Company) -> None:
    with app.app_context(), own_connection() as connection:
        with operations(), transaction():
            set_, run_id = job.create([acme.slug], actor="me", settings=app.config["SETTINGS"])
            db.session.execute(
                sa.text("UPDATE public.ops_runs SET max_attempts = 1 WHERE id = :id"),
                {"id": run_id},
            )
        with lock_tenant(connection, acme.schema_name):
            assert app.test_cli_runner().invoke(args=["runs", "work", str(run_id)]).exit_code == 0
        tasks.close()
        with operations():
            closed = job.get(set_.name)
    assert closed.state == INCOMPLETE
    assert closed.failures == {acme.slug: "Another operation works on this tenant."}
    manifest = json.loads((directory(app) / set_.name / "set.json").read_bytes())
    assert (manifest["state"], manifest["failures"]) == (INCOMPLETE, closed.failures)
    assert backups(app, "show", set_.name).exit_code == 1


def test_two_sets_of_one_tenant_at_once_are_refused(app: Flask, acme: Company) -> None:
    settings = app.config["SETTINGS"]
    with app.app_context():
        with operations(), transaction():
            _, run_id = job.create([acme.slug], actor="me", settings=settings)
        with operations(), pytest.raises(RunUnderwayError):
            job.create([acme.slug], actor="me", settings=settings)
    app.test_cli_runner().invoke(args=["runs", "work", str(run_id)])


def test_a_damaged_archive_is_found_and_named(app: Flask, acme: Company) -> None:
    archive = create(app, acme.slug)
    path = directory(app) / archive.name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = backups(app, "verify", set_of(app, archive), "--inline")
    assert result.exit_code == 1
    damaged = newest(app, acme.slug)
    assert damaged.error
    assert damaged.verified_at is not None
    path.unlink()
    assert backups(app, "verify", set_of(app, archive), "--inline").exit_code == 1


def test_all_archives_of_a_consistent_set_show_one_moment(
    app: Flask, acme: Company, globex: Company
) -> None:
    """What is written while the set is taken is in none of them."""
    settings = app.config["SETTINGS"]
    with app.app_context(), operations(), transaction():
        set_, run_id = job.create(
            [acme.slug, globex.slug], actor="me", settings=settings, is_consistent=True
        )
    result = app.test_cli_runner().invoke(args=["runs", "work", str(run_id)])
    assert result.exit_code == 0, result.output
    with app.app_context(), operations():
        taken = job.archives(set_.name)
    assert len(taken) == 2
    # The first worker's snapshot has ended: another one must not go on with a later moment.
    with app.app_context(), operations(), transaction():
        statement = (
            "UPDATE public.ops_run_items SET state = 'pending', attempts = 0"
            " WHERE run_id = :id AND slug = :slug"
        )
        db.session.execute(sa.text(statement), {"id": run_id, "slug": globex.slug})
        db.session.execute(
            sa.text("UPDATE public.ops_runs SET state = 'running', wave = 1 WHERE id = :id"),
            {"id": run_id},
        )
    app.test_cli_runner().invoke(args=["runs", "work", str(run_id)])
    with app.app_context(), operations():
        failed = db.session.scalar(
            sa.text("SELECT error FROM public.ops_run_items WHERE run_id = :id AND slug = :slug"),
            {"id": run_id, "slug": globex.slug},
        )
    assert "ask for a new consistent set" in failed


def test_a_tenant_that_is_dropped_meanwhile_is_not_missed(app: Flask, acme: Company) -> None:
    with app.app_context():
        with operations(), transaction():
            set_, run_id = job.create([acme.slug], actor="me", settings=app.config["SETTINGS"])
            db.session.execute(sa.delete(Tenant).where(Tenant.slug == acme.slug))
        app.test_cli_runner().invoke(args=["runs", "work", str(run_id)])
        tasks.close()
        assert job_state(set_.name) == COMPLETE
    execute(app, f'DROP SCHEMA "{acme.schema_name}" CASCADE')
    execute(app, f'DROP ROLE "{acme.schema_name}"')


def test_a_storage_that_is_away_fails_the_tenant_and_leaves_nothing(
    app: Flask, acme: Company
) -> None:
    settings = app.config["SETTINGS"]
    with app.app_context():
        with operations(), transaction():
            set_, run_id = job.create([acme.slug], actor="me", settings=settings)
            db.session.execute(
                sa.text("UPDATE public.ops_runs SET max_attempts = 1 WHERE id = :id"),
                {"id": run_id},
            )
        # A file is where the set's folder should be.
        (directory(app) / set_.name).write_text("in the way")
        app.test_cli_runner().invoke(args=["runs", "work", str(run_id)])
        (directory(app) / set_.name).unlink()
        tasks.close()
        with operations():
            assert "storage" in job.get(set_.name).failures[acme.slug]
            assert job.archives(set_.name) == []


def test_wrong_use_is_told(app: Flask) -> None:
    assert backups(app, "create").exit_code == 2
    assert backups(app, "create", "--all", "--tenant", "x").exit_code == 2
    nobody = backups(app, "create", "--tenant", "no-such-tenant", "--inline")
    assert (nobody.exit_code, "no-such-tenant" in nobody.output) == (2, True)
    assert backups(app, "show", "no-such-set").exit_code == 2
    assert backups(app, "verify", "no-such-set", "--inline").exit_code == 2
    assert backups(app, "create", "--all", "--inline", "--detach").exit_code == 2


def test_databases_are_listed(app: Flask) -> None:
    rows = {row["name"]: row for row in ok(backups(app, "databases", "--json"))}
    assert rows["todo"]["owner"] == "todo_ops"
    assert rows["todo"]["encoding"] == "UTF8"
    assert rows["todo"]["bytes"] > 1_000_000


def test_a_key_is_made_once_and_opens_only_with_the_operators_key(
    app: Flask, acme: Company
) -> None:
    create(app, acme.slug)
    first = (directory(app) / "keys" / f"{newest(app, acme.slug).tenant_uuid}.age").read_bytes()
    create(app, acme.slug)
    assert (
        first
        == (directory(app) / "keys" / f"{newest(app, acme.slug).tenant_uuid}.age").read_bytes()
    )
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(first, [pyrage.x25519.Identity.generate()])


def test_an_upgrade_backs_each_tenant_up_first(app: Flask, acme: Company) -> None:
    """The archive has the revision from which the tenant was moved."""
    run = app.test_cli_runner().invoke
    down = ["tenants", "downgrade", "--to", "0001", "--inline", acme.slug]
    assert run(args=down).exit_code == 0
    up = ["tenants", "upgrade", "--before-backup", "--inline", "--json", acme.slug]
    row = json.loads(run(args=up).stdout)
    assert row["counts"]["done"] == 1
    archive = newest(app, acme.slug)
    assert archive.revision == "0001"
    assert row["title"] == f"upgrade to {HEAD}, backed up to {set_of(app, archive)}"
    with app.app_context():
        tasks.close()
        assert job_state(set_of(app, archive)) == COMPLETE


def test_a_tenant_that_cannot_be_backed_up_is_not_moved(app: Flask, acme: Company) -> None:
    create(app, acme.slug)
    run = app.test_cli_runner().invoke
    assert run(args=["tenants", "forget", acme.slug, "--living", "--yes"]).exit_code == 0
    down = ["tenants", "downgrade", "--to", "0001", "--before-backup", "--inline", acme.slug]
    result = run(args=down)
    assert result.exit_code == 1
    assert "nobody could open" in result.output
    with app.app_context(), operations():
        revision = db.session.scalar(sa.select(Tenant.revision).where(Tenant.slug == acme.slug))
    assert revision == HEAD


def test_without_a_storage_nothing_begins(app: Flask, cc: Operator, acme: Company) -> None:
    settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(settings, backup_url="")
    try:
        assert backups(app, "create", "--all", "--inline").exit_code == 1
        answer = cc.post("/cc/backups/", {"tenants": [acme.slug]})
        assert (answer.status_code, answer.json["type"][-10:]) == (503, "no-storage")
        with app.app_context():
            assert tasks.back_up_all() == tasks.close() == tasks.prune() == tasks.NO_STORAGE
    finally:
        app.config["SETTINGS"] = settings


def test_each_kind_of_run_takes_a_scope_of_its_own(
    app: Flask, client: FlaskClient, cc: Operator, acme: Company
) -> None:
    run_id = cc.post("/cc/backups/", {"tenants": [acme.slug]}).json["id"]
    with app.app_context(), operations(), transaction():
        name = f"upgrader of {acme.slug}"
        token = operators.create(name, [operators.TENANTS_READ, operators.UPGRADES_RUN], None)
    upgrader = Operator(client, token)
    assert upgrader.post("/cc/backups/", {"tenants": [acme.slug]}).status_code == 403
    for action in ("cancel", "resume"):
        answer = upgrader.post(f"/cc/runs/{run_id}/{action}")
        assert (answer.status_code, "backups:run" in answer.json["detail"]) == (403, True)
    cc.post(f"/cc/runs/{run_id}/cancel")


def test_operators_hear_of_a_damaged_archive_once(app: Flask, acme: Company) -> None:
    archive = create(app, acme.slug)
    (directory(app) / archive.name).unlink()
    assert backups(app, "verify", set_of(app, archive), "--inline").exit_code == 1
    settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(settings, operator_mail="ops@example.com")
    try:
        with app.app_context():
            assert "was told" in tasks.close()
            assert "was told" not in tasks.close()
            with operations():
                mails = db.session.scalars(
                    sa.text(
                        "SELECT payload->>'text' FROM public.outbox WHERE payload->>'text' LIKE :x"
                    ),
                    {"x": f"{acme.slug}: %is not in the storage%"},
                ).all()
    finally:
        app.config["SETTINGS"] = settings
    assert len(mails) == 1


def test_a_consistent_set_does_not_take_a_schema_that_was_replaced_for_an_empty_one(
    app: Flask, acme: Company
) -> None:
    """An old snapshot sees nothing in a new schema, and no rows in a table that was rewritten."""
    settings = app.config["SETTINGS"]
    storage = Storage(settings.backup_url)
    with app.app_context(), own_connection() as holder, own_connection() as connection:
        with operations(), transaction():
            set_ = job.open_set(settings, actor="me")
            ref = SetRef(set_.id, set_.name)
        holder.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        name = holder.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        snapshot = Snapshot(name, "2026-11-22T00:00:00Z", "0/1")
        taken = take(connection, storage, settings, ref, acme.schema_name, snapshot)
        assert taken is not None
        assert taken.header.taken_at == snapshot.taken_at
        connection.exec_driver_sql(f'VACUUM FULL "{acme.schema_name}".users')
        with pytest.raises(SchemaReplacedError):
            take(connection, storage, settings, ref, acme.schema_name, snapshot)
        connection.exec_driver_sql(f'CREATE SCHEMA "{acme.schema_name}_new"')
        connection.exec_driver_sql(
            f'BEGIN; ALTER SCHEMA "{acme.schema_name}" RENAME TO "{acme.schema_name}_old";'
            f' ALTER SCHEMA "{acme.schema_name}_new" RENAME TO "{acme.schema_name}"; COMMIT'
        )
        try:
            with pytest.raises((SchemaReplacedError, sa.exc.ProgrammingError)):
                take(connection, storage, settings, ref, acme.schema_name, snapshot)
        finally:
            connection.exec_driver_sql(
                f'DROP SCHEMA "{acme.schema_name}";'
                f' ALTER SCHEMA "{acme.schema_name}_old" RENAME TO "{acme.schema_name}"'
            )


@pytest.mark.usefixtures("woken")
def test_the_latest_set_is_one_of_all_tenants(app: Flask, acme: Company) -> None:
    with app.app_context():
        tasks.back_up_all()
        with operations():
            whole = job.get("latest")
            run_id = whole.run_id
    app.test_cli_runner().invoke(args=["runs", "cancel", str(run_id)])
    create(app, acme.slug)
    with app.app_context(), operations():
        assert job.get("latest").name == whole.name


def test_one_tenant_that_is_being_archived_keeps_no_other_from_it(
    app: Flask, acme: Company, globex: Company
) -> None:
    settings = app.config["SETTINGS"]
    with app.app_context():
        with operations(), transaction():
            job.create([acme.slug], actor="me", settings=settings)
        with operations(), transaction():
            _, run_id = job.create([], actor="me", settings=settings)
            slugs = {item.slug for item in job.runs.items(run_id)}
        app.test_cli_runner().invoke(args=["runs", "cancel", str(run_id)])
    assert globex.slug in slugs
    assert acme.slug not in slugs
