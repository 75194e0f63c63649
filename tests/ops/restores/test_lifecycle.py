"""Clones, and tenants that are closed and opened again."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from ops.restores import shelve
from ops.upgrades.script import head
from tests.factories import Company, Operator, sign_in
from tests.ops.moving import move_to
from tests.ops.restores.keeping import Keeper, add_task, shown, titles
from todo_app.database import own_connection

TOKENS = ("access_tokens",)


def test_clone(keeper: Keeper, client: FlaskClient, acme: Company) -> None:
    add_task(acme, "Both")
    keeper.tell(acme.schema_name)
    new = f"{acme.slug}-clone"
    run = shown(keeper.invoke("tenants", "clone", acme.slug, new, "--inline", "--json"))
    assert run["state"] == "succeeded"
    clone = keeper.tenant(new)
    assert (clone.state, clone.name) == ("active", keeper.tenant(acme.slug).name)
    assert keeper.tables_of(clone.schema_name, TOKENS) == keeper.tables_of(acme.schema_name, TOKENS)
    person = sign_in(client, new, acme.email)
    add_task(person, "Clone")
    assert titles(acme) == ["Both"]
    assert keeper.tenant(acme.slug).last_proven_restore is None
    again = keeper.invoke("tenants", "clone", acme.slug, new, "--inline")
    assert again.exit_code == 2
    assert "Another tenant has this slug" in again.output


def test_a_clone_of_nobody_leaves_nothing(keeper: Keeper) -> None:
    assert keeper.invoke("tenants", "clone", "no-such", "no-clone", "--inline").exit_code == 2
    assert keeper.tenant("no-clone") is None


def test_archive_and_restore(keeper: Keeper, client: FlaskClient, acme: Company) -> None:
    add_task(acme, "Kept")
    keeper.back_up(acme.slug)
    keeper.restore(acme.slug)
    keeper.tell(acme.schema_name)
    before = keeper.tables_of(acme.schema_name, TOKENS)
    run = shown(keeper.invoke("tenants", "archive", acme.slug, "--yes", "--inline", "--json"))
    assert run["state"] == "succeeded"
    tenant = keeper.tenant(acme.slug)
    assert tenant.state == "archived"
    assert acme.get("/lists/").status_code == 403
    assert not exists(keeper, acme.schema_name)
    assert keeper.sql("SELECT 1 FROM pg_roles WHERE rolname = :r", r=acme.schema_name) == []
    set_ = keeper.sql("SELECT * FROM public.backup_sets ORDER BY id DESC LIMIT 1")[0]
    assert set_.state == "complete"
    assert keeper.restore(acme.slug)["state"] == "done"
    assert keeper.tenant(acme.slug).state == "active"
    assert keeper.tables_of(acme.schema_name, TOKENS) == before
    assert titles(sign_in(client, acme.slug, acme.email)) == ["Kept"]


def exists(keeper: Keeper, schema_name: str) -> bool:
    return bool(keeper.sql("SELECT 1 FROM pg_namespace WHERE nspname = :name", name=schema_name))


def test_a_restore_of_an_archived_tenant_that_fails_leaves_it_archived(
    keeper: Keeper, acme: Company
) -> None:
    shown(keeper.invoke("tenants", "archive", acme.slug, "--yes", "--inline", "--json"))
    file = keeper.archive_file(acme.slug)
    file.write_bytes(file.read_bytes()[:-1])
    assert keeper.restore(acme.slug)["state"] == "failed"
    assert keeper.tenant(acme.slug).state == "archived"
    assert not exists(keeper, acme.schema_name)


def test_an_archive_that_cannot_be_taken_leaves_the_tenant_as_it_was(
    keeper: Keeper, acme: Company
) -> None:
    add_task(acme, "Kept")
    keeper.directory.mkdir(parents=True, exist_ok=True)
    keeper.sql(f"ALTER TABLE {acme.schema_name}.alembic_version RENAME TO elsewhere")
    run = keeper.invoke("tenants", "archive", acme.slug, "--yes", "--inline", "--json")
    assert run.exit_code == 1
    assert keeper.tenant(acme.slug).state == "active"
    assert titles(acme) == ["Kept"]


def test_a_tenant_that_is_activated_while_it_is_archived_stays(
    keeper: Keeper, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = shelve.verify

    def verify_and_activate(*args: Any) -> int:
        assert keeper.invoke("tenants", "activate", acme.slug).exit_code == 0
        add_task(acme, "Written")
        return verify(*args)

    monkeypatch.setattr(shelve, "verify", verify_and_activate)
    done = keeper.invoke("tenants", "archive", acme.slug, "--yes", "--inline", "--json")
    assert done.exit_code == 1
    assert keeper.tenant(acme.slug).state == "active"
    assert titles(acme) == ["Written"]


def test_a_drop_that_was_stopped_halfway_goes_on(
    keeper: Keeper, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(schema_name: str) -> None:
        with own_connection() as connection:
            connection.exec_driver_sql(f"DROP TABLE {schema_name}.tasks")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shelve, "drop_schema", stop)
        keeper.invoke("tenants", "archive", acme.slug, "--yes", "--inline")
    assert keeper.tenant(acme.slug).state == "archived"
    assert exists(keeper, acme.schema_name)
    run = shown(keeper.invoke("tenants", "archive", acme.slug, "--yes", "--inline", "--json"))
    assert run["state"] == "succeeded"
    assert not exists(keeper, acme.schema_name)
    assert keeper.restore(acme.slug)["state"] == "done"


def test_a_new_tenant_whose_restore_fails_is_gone(keeper: Keeper, acme: Company) -> None:
    keeper.back_up(acme.slug)
    file = keeper.archive_file(acme.slug)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    schemas = keeper.schemas()
    new = f"{acme.slug}-new"
    assert keeper.restore(acme.slug, as_slug=new)["state"] == "failed"
    assert keeper.tenant(new) is None
    assert keeper.schemas() == schemas
    file.write_bytes(whole)
    keeper.sql("UPDATE public.archives SET error = NULL WHERE slug = :slug", slug=acme.slug)
    assert keeper.restore(acme.slug, as_slug=new)["state"] == "done"


def test_a_new_tenant_whose_worker_was_lost_is_filled_by_the_next_try(
    keeper: Keeper, client: FlaskClient, acme: Company
) -> None:
    add_task(acme, "Kept")
    keeper.back_up(acme.slug)
    new = f"{acme.slug}-new"
    run_id = keeper.plan(acme.slug, as_slug=new)
    tenant = keeper.tenant(new)
    assert tenant.state == "provisioning"
    # Nobody can use it yet.
    body = {"email": acme.email, "password": "x"}
    assert client.post("/auth/login", json=body, headers={"tenant": new}).status_code == 403
    keeper.sql("UPDATE public.ops_runs SET state = 'cancelled' WHERE id = :id", id=run_id)
    assert keeper.restore(acme.slug, as_slug=new)["state"] == "done"
    assert keeper.tenant(new).id == tenant.id
    assert titles(sign_in(client, new, acme.email)) == ["Kept"]


def test_a_tenant_without_any_revision(keeper: Keeper, acme: Company) -> None:
    add_task(acme, "Kept")
    keeper.back_up(acme.slug)
    move_to(keeper.app, acme, "")
    assert keeper.restore(acme.slug)["state"] == "done"
    assert keeper.tenant(acme.slug).revision == head()
    assert keeper.undo(acme.slug)["state"] == "done"
    assert keeper.undo(acme.slug)["state"] == "done"
    assert keeper.count(acme.schema_name, "tasks") == 1
    empty = keeper.back_up(acme.slug)
    assert keeper.restore(acme.slug, set_name=empty)["state"] == "done"


def test_a_limit_of_its_own_comes_back_with_a_tenant(
    keeper: Keeper, acme: Company, cc: Operator
) -> None:
    assert cc.patch(f"/cc/{acme.slug}", {"account_limit": 3}).status_code == 200
    keeper.back_up(acme.slug)
    dropped = keeper.invoke("tenants", "drop", acme.slug, "--confirm", acme.slug)
    assert dropped.exit_code == 0, dropped.output
    assert keeper.restore(acme.slug)["state"] == "done"
    assert keeper.tenant(acme.slug).account_limit == 3
