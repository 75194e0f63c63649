"""One tenant gets its data back, and can give it away again."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from ops.archives.errors import ArchiveDamagedError
from ops.monitor import drift
from ops.restores import cli, progress
from ops.restores.find import least_proven
from ops.upgrades.script import head
from tests.factories import Company, sign_in
from tests.ops.fleet import REVISIONS
from tests.ops.moving import move_to
from tests.ops.restores.keeping import Keeper, add_task, shown, titles
from todo_app.errors import NotFoundError
from todo_app.tenancy import operations
from todo_app.tenants.service import SlugTakenError

RECORD = ("audit_log",)
"""What a restore adds to, and never takes back."""


def test_restore_in_place_and_undo(keeper: Keeper, acme: Company, globex: Company) -> None:
    add_task(acme, "Kept")
    keeper.tell(acme.schema_name)
    before = keeper.tables_of(acme.schema_name, RECORD)
    keeper.back_up(acme.slug)
    add_task(acme, "Lost")
    add_task(globex, "Not mine")
    others = keeper.tables_of(globex.schema_name)
    item = keeper.restore(acme.slug)
    assert item["state"] == "done", item
    assert keeper.tables_of(acme.schema_name, RECORD) == before
    assert titles(acme) == ["Kept"]
    assert titles(globex) == ["Not mine"]
    assert keeper.tables_of(globex.schema_name) == others
    assert item["replaced"] in keeper.schemas("replaced")
    add_task(acme, "After")
    assert keeper.undo(acme.slug)["state"] == "done"
    assert titles(acme) == ["Kept", "Lost"]
    assert keeper.undo(acme.slug)["state"] == "done"
    assert titles(acme) == ["After", "Kept"]
    assert not keeper.schemas("restoring")


def test_a_restored_schema_is_as_its_revision_makes_it(keeper: Keeper, acme: Company) -> None:
    """Constraints, indexes and privileges included, for the live schema and after an undo."""
    keeper.back_up(acme.slug)
    keeper.restore(acme.slug)
    assert_no_drift(keeper, acme.slug)
    add_task(acme)
    keeper.undo(acme.slug)
    assert_no_drift(keeper, acme.slug)
    add_task(acme)


def assert_no_drift(keeper: Keeper, slug: str) -> None:
    with keeper.app.app_context():
        report = drift.check_all(keeper.settings, [slug])
    assert (report.checked, report.differing, report.unchecked) == (1, [], [])


def test_the_tenants_role_cannot_reach_what_was_replaced(keeper: Keeper, acme: Company) -> None:
    keeper.back_up(acme.slug)
    replaced = keeper.restore(acme.slug)["replaced"]
    rows = keeper.sql(
        "SELECT has_schema_privilege(:role, :live, 'USAGE') AS live,"
        " has_schema_privilege(:role, :replaced, 'USAGE') AS replaced",
        role=acme.schema_name,
        live=acme.schema_name,
        replaced=replaced,
    )
    assert tuple(rows[0]) == (True, False)


def test_an_empty_tenant(keeper: Keeper) -> None:
    assert keeper.invoke("tenants", "create", "Nobody", "--slug", "no-body").exit_code == 0
    keeper.back_up("no-body")
    assert keeper.restore("no-body")["state"] == "done"


@pytest.mark.parametrize(
    "name", ["O'Hara; DROP SCHEMA public --", 'He said "no"', "株式会社 🏴‍☠️", "%s %(x)s {}", "\\."]
)
def test_odd_names(keeper: Keeper, client: FlaskClient, acme: Company, name: str) -> None:
    add_task(acme, name)
    keeper.sql(
        "UPDATE public.tenants SET name = :name WHERE slug = :slug", name=name, slug=acme.slug
    )
    keeper.back_up(acme.slug)
    assert keeper.restore(acme.slug)["state"] == "done"
    assert titles(acme) == [name]
    assert keeper.restore(acme.slug, as_slug=f"{acme.slug}-odd")["state"] == "done"
    assert keeper.tenant(f"{acme.slug}-odd").name == name


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_archive_of_an_old_revision_is_upgraded(
    keeper: Keeper, acme: Company, revision: str
) -> None:
    move_to(keeper.app, acme, revision)
    keeper.back_up(acme.slug)
    move_to(keeper.app, acme, head())
    add_task(acme, "Lost")
    item = keeper.restore(acme.slug)
    assert (item["state"], item["revision"]) == ("done", head())
    assert titles(acme) == []
    assert_no_drift(keeper, acme.slug)
    keeper.undo(acme.slug)
    assert titles(acme) == ["Lost"]


def test_what_was_replaced_at_an_old_revision_is_upgraded_by_undo(
    keeper: Keeper, acme: Company
) -> None:
    keeper.back_up(acme.slug)
    move_to(keeper.app, acme, "0001")
    replaced = keeper.restore(acme.slug)["replaced"]
    row = keeper.sql("SELECT * FROM public.replaced_schemas WHERE schema_name = :n", n=replaced)[0]
    assert row.revision == "0001"
    assert keeper.undo(acme.slug)["revision"] == head()
    assert keeper.tenant(acme.slug).revision == head()
    add_task(acme)


def test_by_date(keeper: Keeper, acme: Company) -> None:
    add_task(acme, "First")
    keeper.back_up(acme.slug)
    keeper.sql(
        "UPDATE public.archives SET taken_at = '2026-01-31T23:59:59Z' WHERE slug = :s", s=acme.slug
    )
    add_task(acme, "Second")
    keeper.back_up(acme.slug)
    restore = ("backups", "restore", "--tenant", acme.slug, "--inline", "--json", "--date")
    assert keeper.invoke(*restore, "2026-01-30").exit_code == 2
    assert keeper.invoke(*restore, "soon").exit_code == 2
    shown(keeper.invoke(*restore, "2026-01-31"))
    assert titles(acme) == ["First"]
    shown(keeper.invoke(*restore, "2999-12-31T00:00:00+02:00"))
    assert titles(acme) == ["First", "Second"]


def test_the_newest_archive_is_known_to_be_damaged(keeper: Keeper, acme: Company) -> None:
    keeper.back_up(acme.slug)
    keeper.sql("UPDATE public.archives SET error = 'eaten' WHERE slug = :slug", slug=acme.slug)
    with pytest.raises(ArchiveDamagedError, match="eaten"):
        keeper.restore(acme.slug)


def test_no_archive(keeper: Keeper, acme: Company) -> None:
    with pytest.raises(NotFoundError):
        keeper.restore(acme.slug)
    with pytest.raises(NotFoundError):
        keeper.undo(acme.slug)


def test_as_a_new_tenant(keeper: Keeper, client: FlaskClient, acme: Company) -> None:
    add_task(acme, "Shared")
    keeper.tell(acme.schema_name)
    keeper.back_up(acme.slug)
    before = keeper.tables_of(acme.schema_name)
    new = f"{acme.slug}-copy"
    schemas = keeper.schemas()
    assert keeper.restore(acme.slug, as_slug=new)["state"] == "done"
    tenant = keeper.tenant(new)
    assert (tenant.state, tenant.revision) == ("active", head())
    assert tenant.uuid != keeper.tenant(acme.slug).uuid
    assert keeper.tables_of(acme.schema_name) == before
    copied = keeper.tables_of(tenant.schema_name, but=("access_tokens",))
    assert copied == keeper.tables_of(acme.schema_name, but=("access_tokens",))
    # Nobody is signed in there; everybody can sign in.
    secret = acme.token.partition(".")[2]
    stranger = {"tenant": new, "Authorization": f"Bearer {tenant.schema_name}.{secret}"}
    assert client.get("/lists/", headers=stranger).status_code == 401
    person = sign_in(client, new, acme.email)
    assert titles(person) == ["Shared"]
    add_task(person, "Only here")
    assert titles(acme) == ["Shared"]
    assert_no_drift(keeper, new)
    assert keeper.schemas() == schemas
    with pytest.raises(SlugTakenError):
        keeper.restore(acme.slug, as_slug=new)


def test_a_tenant_that_is_gone_comes_back(
    keeper: Keeper, client: FlaskClient, acme: Company
) -> None:
    add_task(acme, "Kept")
    keeper.sql(
        "UPDATE public.tenants SET host = :host, city = 'Paris' WHERE slug = :slug",
        host=f"{acme.slug}.test.example",
        slug=acme.slug,
    )
    keeper.back_up(acme.slug)
    keeper.restore(acme.slug)
    before = keeper.tenant(acme.slug)
    dropped = keeper.invoke("tenants", "drop", acme.slug, "--confirm", acme.slug)
    assert dropped.exit_code == 0, dropped.output
    assert keeper.tenant(acme.slug) is None
    assert keeper.restore(acme.slug)["state"] == "done"
    after = keeper.tenant(acme.slug)
    for column in ("uuid", "slug", "name", "host", "city", "state", "revision"):
        assert getattr(after, column) == getattr(before, column), column
    assert titles(sign_in(client, acme.slug, acme.email)) == ["Kept"]


def test_some_tables_beside_the_tenant(keeper: Keeper, acme: Company) -> None:
    add_task(acme, "Kept")
    keeper.back_up(acme.slug)
    add_task(acme, "New")
    before = keeper.tables_of(acme.schema_name)
    item = keeper.restore(acme.slug, tables=["tasks", "lists"])
    assert item["state"] == "done", item
    assert keeper.tables_of(acme.schema_name) == before
    side = item["side"]
    assert side.startswith("t_side_acme")
    assert set(keeper.tables_of(side)) == {"lists", "tasks"}
    assert keeper.count(side, "tasks") == 1
    kept = shown(keeper.invoke("backups", "kept", "--tenant", acme.slug, "--json"))
    assert [row["schema_name"] for row in kept] == [side]
    # It is nothing that could be brought back.
    with pytest.raises(NotFoundError):
        keeper.undo(acme.slug)
    assert "no table nothing" in keeper.restore(acme.slug, tables=["nothing"])["error"]
    assert not keeper.schemas("restoring")


def test_what_was_put_aside_is_dropped_in_time(keeper: Keeper, acme: Company) -> None:
    keeper.back_up(acme.slug)
    side = keeper.restore(acme.slug, tables=["users"])["side"]
    expired = keeper.restore(acme.slug)["replaced"]
    fresh = keeper.restore(acme.slug)["replaced"]
    keeper.sql(
        "UPDATE public.replaced_schemas SET keep_until = now() WHERE schema_name IN (:a, :b)",
        a=side,
        b=expired,
    )
    dropped = keeper.sweep()
    assert {side, expired} <= set(dropped)
    left = keeper.schemas()
    assert fresh in left
    assert not {side, expired} & left
    keeper.undo(acme.slug)


def test_a_dry_run_changes_nothing(keeper: Keeper, acme: Company) -> None:
    person = acme.add_person()
    add_task(acme)
    keeper.back_up(acme.slug)
    add_task(acme)
    assert acme.delete(f"/users/{person.uuid}").status_code == 204
    before = keeper.tables_of(acme.schema_name)
    schemas = keeper.schemas()
    command = ("backups", "restore", "--tenant", acme.slug, "--dry-run")
    found = shown(keeper.invoke(*command, "--json"))[0]
    counts = {row["table"]: (row["archived"], row["live"]) for row in found["tables"]}
    assert counts["tasks"] == (1, 2)
    assert found["deleted_people"] == [{"uuid": person.uuid, "email": person.email}]
    text = keeper.invoke(*command)
    assert text.exit_code == 0
    assert person.email in text.output
    assert "would stay deleted" in text.output
    assert keeper.tables_of(acme.schema_name) == before
    assert keeper.schemas() == schemas
    assert (
        keeper.sql("SELECT 1 FROM public.ops_runs WHERE title = :t", t=f"restore {acme.slug}") == []
    )


def test_a_whole_set(keeper: Keeper, acme: Company, globex: Company) -> None:
    add_task(acme, "A")
    add_task(globex, "G")
    name = keeper.back_up(acme.slug, globex.slug)
    add_task(acme, "lost")
    add_task(globex, "lost")
    command = ("backups", "restore", "--set", name, "--inline", "--json")
    run = shown(keeper.invoke(*command))
    assert run["counts"]["done"] == 2
    assert (titles(acme), titles(globex)) == (["A"], ["G"])
    assert keeper.invoke("backups", "restore", "--inline").exit_code == 2


def test_the_ledger_and_the_catalogue_say_what_was_proven(keeper: Keeper, acme: Company) -> None:
    keeper.back_up(acme.slug)
    assert keeper.tenant(acme.slug).last_proven_restore is None
    item = keeper.restore(acme.slug)
    assert item["rows"] > 0
    assert item["bytes"] > 0
    assert keeper.tenant(acme.slug).last_proven_restore is not None
    archive = keeper.sql("SELECT * FROM public.archives WHERE slug = :slug", slug=acme.slug)[0]
    assert archive.proven_at is not None


def test_drill(keeper: Keeper, acme: Company, globex: Company) -> None:
    keeper.back_up(acme.slug, globex.slug)
    before = keeper.tables_of(acme.schema_name)
    run = shown(keeper.invoke("backups", "drill", "--tenant", acme.slug, "--inline", "--json"))
    assert run["counts"]["done"] == 1
    assert keeper.tenant(acme.slug).last_proven_restore is not None
    assert keeper.tables_of(acme.schema_name) == before
    assert not keeper.schemas("restoring")
    # Those that were never proven come first.
    keeper.sql(
        "UPDATE public.tenants SET last_proven_restore = now() WHERE slug <> :s", s=globex.slug
    )
    with keeper.app.app_context(), operations():
        assert least_proven(1)[0].slug == globex.slug


def test_progress_is_shown(keeper: Keeper, acme: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    add_task(acme)
    schema = acme.schema_name
    keeper.sql(
        f"INSERT INTO {schema}.tasks (list_id, title, created_by_id)"
        f" SELECT list_id, title, created_by_id FROM {schema}.tasks, generate_series(1, 30000)"
    )
    keeper.back_up(acme.slug)
    monkeypatch.setattr(cli, "LOOK_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    done = keeper.invoke("backups", "restore", "--tenant", acme.slug, "--inline")
    assert done.exit_code == 0, done.output
    assert f"{acme.slug}: " in done.stderr
    assert " of 30," in done.stderr
    assert "MiB" in done.stderr
    assert "succeeded" in done.stdout
