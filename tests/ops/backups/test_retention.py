"""Which archives are kept, and what the storage and the catalogue know of the others."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from ops.archives.errors import KeyForgottenError
from ops.archives.models import ArchiveRow
from ops.backups import job, tasks
from ops.backups.retention import Kept, Rules, kept
from ops.backups.verify import identity_of
from tests.factories import Company
from tests.ops.backups.kit import backups, create, directory, execute, newest, ok, set_of
from todo_app.database import own_connection
from todo_app.tenancy import operations

NOW = datetime(2026, 11, 22, 1, 7, tzinfo=UTC)

numbers = st.integers(0, 5)
all_rules = st.builds(Rules, numbers, numbers, numbers, numbers)
moments = st.integers(0, 3 * 366 * 24).map(lambda hours: NOW - timedelta(hours=hours))
proofs = st.none() | moments
archives_of_one = st.lists(st.tuples(moments, st.booleans(), proofs), max_size=60).map(
    lambda found: [Kept(number, *values) for number, values in enumerate(found)]
)


@given(archives_of_one, all_rules)
def test_what_is_kept(archives: list[Kept], rules: Rules) -> None:
    stay = kept(archives, rules)
    assert stay <= {archive.id for archive in archives}
    assert bool(stay) == bool(archives)
    # Once more, on what is left, nothing further goes.
    left = [archive for archive in archives if archive.id in stay]
    assert kept(left, rules) == stay
    assert len(stay) <= 2 + sum(rules)
    good = [archive for archive in archives if archive.is_good]
    if good:
        newest_good = max(archive.taken_at for archive in good)
        assert any(archive.taken_at == newest_good for archive in left if archive.is_good)
    proven = [archive.proven_at for archive in archives if archive.proven_at]
    if proven:
        assert max(proven) in {archive.proven_at for archive in left}


@given(archives_of_one, all_rules, all_rules)
def test_more_rules_keep_no_less(archives: list[Kept], rules: Rules, more: Rules) -> None:
    both = Rules(*map(max, rules, more))
    assert kept(archives, rules) <= kept(archives, both)


def test_a_year_of_nightly_archives() -> None:
    nightly = [Kept(n, NOW - timedelta(days=n), True, None) for n in range(366)]
    stay = kept(nightly, Rules(7, 4, 12, 3))
    assert {0, 1, 2, 3, 4, 5, 6} <= stay
    # Sundays, then the last of October, September and so on; that of last December is the last of
    # its year, too.
    assert {7, 14, 21, 22, 53, 83, 326} <= stay
    assert len(stay) == 7 + 3 + 11


def _age(app: Flask, archive: ArchiveRow, days: int) -> None:
    execute(
        app,
        "UPDATE public.archives SET taken_at = now() - :age WHERE id = :id",
        age=timedelta(days=days),
        id=archive.id,
    )


def test_prune_shows_and_deletes_what_no_rule_keeps(app: Flask, acme: Company) -> None:
    old = create(app, acme.slug)
    _age(app, old, 2)
    new = create(app, acme.slug)
    rules = backups(app, "retention", acme.slug, "--daily", "5")
    assert rules.output.strip() == "5 daily, 4 weekly, 12 monthly, 3 yearly"
    assert old.name not in _names(ok(backups(app, "prune", "--dry-run", "--json")))
    nothing = [word for rule in Rules._fields for word in (f"--{rule}", "0")]
    assert backups(app, "retention", acme.slug, *nothing).exit_code == 0
    would = _names(ok(backups(app, "prune", "--dry-run", "--json")))
    assert old.name in would
    assert new.name not in would
    assert (directory(app) / old.name).exists()
    with app.app_context():
        tasks.prune()
    assert not list((directory(app) / set_of(app, old)).glob("*acme*"))
    assert [row["name"] for row in ok(backups(app, "list", "--tenant", acme.slug, "--json"))] == [
        new.name
    ]
    assert "7 daily" in backups(app, "retention", acme.slug, "--daily", "-1").output


def _names(rows: list[dict[str, str]]) -> set[str]:
    return {row["name"] for row in rows}


def test_the_last_proven_archive_is_kept_whatever_its_age(app: Flask, acme: Company) -> None:
    old = create(app, acme.slug)
    _age(app, old, 3000)
    execute(app, "UPDATE public.archives SET proven_at = now() WHERE id = :id", id=old.id)
    create(app, acme.slug)
    assert old.name not in _names(ok(backups(app, "prune", "--dry-run", "--json")))


def test_rules_of_nobody_are_refused(app: Flask) -> None:
    assert backups(app, "retention", "no-such-tenant", "--daily", "1").exit_code == 2
    assert backups(app, "retention", "acme", "--daily", "99999999").exit_code == 2


def test_the_catalogue_is_rebuilt_from_the_storage(app: Flask, acme: Company) -> None:
    archive = create(app, acme.slug)
    execute(app, "DELETE FROM public.backup_sets WHERE name = :name", name=set_of(app, archive))
    execute(
        app,
        "DELETE FROM public.tenant_keys WHERE tenant_uuid = :tenant",
        tenant=archive.tenant_uuid,
    )
    ok(backups(app, "rescan", "--json"))
    found = newest(app, acme.slug)
    columns = ("name", "sha256", "bytes", "rows", "revision", "tenant_uuid", "taken_at")
    assert [getattr(found, name) for name in columns] == [
        getattr(archive, name) for name in columns
    ]
    with app.app_context(), operations():
        assert job.get(set_of(app, archive)).state == "complete"
    assert backups(app, "verify", set_of(app, archive), "--inline").exit_code == 0


def test_a_rescan_sees_only_what_is_whole(app: Flask, acme: Company, globex: Company) -> None:
    archive = create(app, acme.slug, globex.slug)
    folder = directory(app) / set_of(app, archive)
    other = newest(app, globex.slug)
    # No descriptor, no archive; a descriptor alone names nothing; others make no sense.
    (directory(app) / other.name.replace(".tar.zst.age", ".json")).unlink()
    (folder / "nonsense.json").write_text("{")
    (folder / "lonely.json").write_text(json.dumps({"archive": f"{folder.name}/nobody"}))
    (folder / "set.json").unlink()
    scan = ok(backups(app, "rescan", "--json"))
    assert f"{folder.name}/nonsense.json" in scan["unreadable"]
    assert other.name in scan["forgotten"]
    with app.app_context(), operations():
        assert [row.slug for row in job.archives(folder.name)] == [acme.slug]
    (folder / "nonsense.json").unlink()
    (folder / "lonely.json").unlink()


def test_a_forgotten_tenant_s_archives_open_no_more(app: Flask, acme: Company) -> None:
    archive = create(app, acme.slug)
    run = app.test_cli_runner().invoke
    living = run(args=["tenants", "forget", acme.slug, "--yes"])
    assert (living.exit_code, "is active" in living.output) == (2, True)
    assert run(args=["tenants", "forget", acme.slug, "--living"], input="n\n").exit_code == 1
    result = run(args=["tenants", "forget", acme.slug, "--living", "--yes"])
    assert "1 archives can no longer be opened" in result.output
    with app.app_context(), own_connection() as connection, pytest.raises(KeyForgottenError):
        identity_of(connection, app.config["SETTINGS"], archive.tenant_uuid)
    assert not (directory(app) / f"keys/{archive.tenant_uuid}.age").exists()
    ok(backups(app, "rescan", "--json"))
    verified = ok(backups(app, "verify", set_of(app, archive), "--inline", "--json"))
    assert verified["counts"]["skipped"] == 1
    refused = backups(app, "create", "--tenant", acme.slug, "--inline")
    assert refused.exit_code == 1
    assert "nobody could open" in refused.output
    assert run(args=["tenants", "forget", "no-such-tenant", "--yes"]).exit_code == 2


def test_a_name_that_two_tenants_had_forgets_neither(
    app: Flask, acme: Company, globex: Company
) -> None:
    name = f"shared-by-{acme.slug}"
    run = app.test_cli_runner().invoke
    for company in (acme, globex):
        assert run(args=["tenants", "rename", company.slug, name]).exit_code == 0
        create(app, name)
        assert run(args=["tenants", "rename", name, f"{company.slug}-now"]).exit_code == 0
    result = run(args=["tenants", "forget", name, "--living", "--yes"])
    assert (result.exit_code, "2 tenants were called" in result.output) == (2, True)


def test_a_lost_catalogue_does_not_cost_the_keys(app: Flask, acme: Company) -> None:
    """A key that lies in the storage is taken over, never replaced."""
    archive = create(app, acme.slug)
    execute(
        app,
        "DELETE FROM public.tenant_keys WHERE tenant_uuid = :tenant",
        tenant=archive.tenant_uuid,
    )
    create(app, acme.slug)
    assert backups(app, "verify", set_of(app, archive), "--inline").exit_code == 0


def test_a_rescan_believes_no_empty_storage_and_no_other_hash(
    app: Flask, acme: Company, globex: Company, tmp_path: Path
) -> None:
    archive = create(app, acme.slug, globex.slug)
    settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(settings, backup_url=tmp_path.as_uri())
    try:
        result = backups(app, "rescan")
        assert (result.exit_code, "is it the right one" in result.output) == (2, True)
    finally:
        app.config["SETTINGS"] = settings
    path = directory(app) / archive.name.replace(".tar.zst.age", ".json")
    described = json.loads(path.read_bytes())
    path.write_text(json.dumps({**described, "sha256": "0" * 64}))
    assert archive.name in ok(backups(app, "rescan", "--json"))["changed"]
    marked = newest(app, acme.slug)
    assert (marked.sha256, marked.error is None) == (archive.sha256, False)
    # One that names another file as its archive is none.
    path.write_text(json.dumps({**described, "archive": f"keys/{archive.tenant_uuid}.age"}))
    assert f"{path.parent.name}/{path.name}" in ok(backups(app, "rescan", "--json"))["unreadable"]
    path.write_text(json.dumps(described))


def test_of_two_archives_of_one_tenant_in_a_set_the_newer_one_counts(
    app: Flask, acme: Company
) -> None:
    archive = create(app, acme.slug)
    folder = directory(app) / set_of(app, archive)
    descriptor = next(folder.glob(f"{acme.slug}.*.json"))
    described = json.loads(descriptor.read_bytes())
    older = archive.name.replace(acme.slug, "old-name", 1)
    (directory(app) / older).write_bytes(b"")
    beside = folder / descriptor.name.replace(acme.slug, "old-name", 1)
    beside.write_text(
        json.dumps({**described, "archive": older, "taken_at": "2020-01-01T00:00:00Z"})
    )
    assert f"{folder.name}/{beside.name}" in ok(backups(app, "rescan", "--json"))["unreadable"]
    with app.app_context(), operations():
        assert [row.name for row in job.archives(folder.name)] == [archive.name]
    beside.unlink()
    (directory(app) / older).unlink()


def test_a_damaged_archive_stays_until_somebody_can_have_seen_it(app: Flask, acme: Company) -> None:
    archive = create(app, acme.slug)
    create(app, acme.slug)
    execute(app, "UPDATE public.archives SET error = 'x' WHERE id = :id", id=archive.id)
    assert archive.name not in _names(ok(backups(app, "prune", "--dry-run", "--json")))
    _age(app, archive, 8)
    assert archive.name in _names(ok(backups(app, "prune", "--dry-run", "--json")))
