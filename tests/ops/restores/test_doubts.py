"""Where a name, a run or a kept schema could mean another company's data, nothing is replaced."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.factories import Company, sign_in
from tests.ops.restores.keeping import Keeper, add_task, shown, titles
from todo_app.errors import InvalidInputError, NotFoundError


def rename(keeper: Keeper, slug: str, new: str) -> None:
    assert keeper.invoke("tenants", "rename", slug, new).exit_code == 0


def test_an_old_name_restores_nobody_under_a_new_one(keeper: Keeper, acme: Company) -> None:
    keeper.back_up(acme.slug)
    rename(keeper, acme.slug, f"{acme.slug}-now")
    with pytest.raises(InvalidInputError, match=f"called {acme.slug}-now now"):
        keeper.plan(acme.slug)
    assert keeper.restore(f"{acme.slug}-now")["state"] == "done"


def test_a_name_that_two_tenants_had_restores_neither(
    keeper: Keeper, acme: Company, globex: Company
) -> None:
    name = f"name-of-{acme.slug}"
    for company in (acme, globex):
        rename(keeper, company.slug, name)
        keeper.back_up(name)
        rename(keeper, name, f"{company.slug}-now")
    with pytest.raises(InvalidInputError, match="2 tenants were called"):
        keeper.plan(name)


def test_a_run_that_goes_on_late_replaces_no_other_companys_data(
    keeper: Keeper, client: FlaskClient, acme: Company, globex: Company
) -> None:
    add_task(acme, "Of Acme")
    add_task(globex, "Of Globex")
    keeper.back_up(acme.slug)
    keeper.back_up(globex.slug)
    shared = f"{acme.slug}-shared"
    late = keeper.plan(globex.slug, as_slug=shared)
    uuid = keeper.tenant(shared).uuid
    keeper.sql("UPDATE public.ops_runs SET state = 'cancelled' WHERE id = :id", id=late)
    assert keeper.restore(acme.slug, as_slug=shared)["state"] == "done"
    assert keeper.tenant(shared).uuid != uuid
    assert keeper.invoke("runs", "resume", str(late), "--inline").exit_code == 1
    assert "another tenant" in keeper.item(late)["error"]
    assert titles(sign_in(client, shared, acme.email)) == ["Of Acme"]


def test_a_kept_schema_that_is_not_whole_is_not_brought_back(keeper: Keeper, acme: Company) -> None:
    keeper.back_up(acme.slug)
    add_task(acme, "Live")
    item = keeper.restore(acme.slug)
    keeper.sql(f'DROP TABLE "{item["replaced"]}".alembic_version')
    add_task(acme, "Later")
    undone = keeper.undo(acme.slug)
    assert (undone["state"], "not whole" in undone["error"]) == ("failed", True)
    assert titles(acme) == ["Later"]
    keeper.sql("UPDATE public.replaced_schemas SET keep_until = '-infinity'")
    with pytest.raises(NotFoundError):
        keeper.undo(acme.slug)


def test_what_was_there_before_two_restores_can_be_brought_back(
    keeper: Keeper, acme: Company
) -> None:
    keeper.back_up(acme.slug)
    add_task(acme, "At first")
    first = keeper.restore(acme.slug)
    keeper.restore(acme.slug)
    arguments = ["backups", "undo", acme.slug, "--inline", "--json", "--schema"]
    assert shown(keeper.invoke(*arguments, first["replaced"]))["state"] == "succeeded"
    assert titles(acme) == ["At first"]
    assert keeper.invoke(*arguments, "t_replaced_000000000000").exit_code == 2


def test_a_set_that_is_being_filled_is_not_restored(keeper: Keeper, acme: Company) -> None:
    name = keeper.back_up(acme.slug)
    keeper.sql("UPDATE public.backup_sets SET state = 'running' WHERE name = :name", name=name)
    result = keeper.invoke("backups", "restore", "--set", name, "--inline")
    assert (result.exit_code, "being filled" in result.output) == (2, True)
