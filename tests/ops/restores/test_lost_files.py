"""Contents that are lost, deleted or cut, and that a restore or an upload brings back."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from flask import Flask

from ops.restores import job, restore
from ops.runs import job as runs
from ops.upkeep import files as upkeep
from tests.factories import Company
from tests.ops.restores.keeping import LARGE, Keeper, boss_of, remove_all, settings_of
from tests.todo_app.files.kit import add_file, content_of, files_of_task, objects, place
from todo_app.tenancy import operations

pytestmark = pytest.mark.usefixtures("file_storage")


def done(keeper: Keeper, *arguments: str) -> None:
    result = keeper.invoke(*arguments)
    assert result.exit_code == 0, result.output


def test_an_upload_into_a_clone_of_what_was_deleted_in_the_source(
    keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, b"twice")
    acme.delete(f"{path}/{file['uuid']}")
    slug = f"clone-{uuid.uuid4().hex[:8]}"
    with keeper._entry():
        run_id = job.start_clone(acme.slug, slug, actor="tests")
    assert keeper.work(run_id)["state"] == "done"
    boss = boss_of(acme, slug)
    assert content_of(boss, path, add_file(boss, path, b"twice")).data == b"twice"


def test_an_upload_of_what_a_restore_could_not_find(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    lost = add_file(acme, path, b"lost")
    with settings_of(app, backup_files=False):
        keeper.back_up(acme.slug)
    remove_all(app, acme.slug)
    assert keeper.restore(acme.slug)["missing_files"] == 1
    again = add_file(acme, path, b"lost")
    assert content_of(acme, path, again).data == b"lost"
    assert content_of(acme, path, lost).data == b"lost"


def test_an_upload_after_a_restore_of_what_had_been_swept(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, b"old")
    acme.delete(f"{path}/{file['uuid']}")
    keeper.back_up(acme.slug)
    # The nightly upkeep, a month later.
    keeper.sql(f"UPDATE {acme.schema_name}.contents SET unused_since = now() - interval '40 days'")
    done(keeper, "tenants", "upkeep", acme.slug, "--inline")
    assert objects(app, acme.slug) == set()
    assert keeper.restore(acme.slug)["state"] == "done"
    assert content_of(acme, path, add_file(acme, path, b"old")).data == b"old"


def test_files_of_who_was_forgotten_go_once_the_tenant_is_dropped(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    add_file(acme, files_of_task(acme), b"secret")
    directory = place(app, acme.slug)
    keeper.back_up(acme.slug)
    done(keeper, "tenants", "forget", acme.slug, "--living", "--yes")
    done(keeper, "tenants", "drop", acme.slug, "--confirm", acme.slug)
    with app.app_context(), operations():
        upkeep.sweep_gone(app.config["SETTINGS"])
    assert not any(directory.glob("*"))


def test_what_live_has_lost_is_found_in_the_archive_under_another_key(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    first = add_file(acme, path, b"same")
    keeper.back_up(acme.slug)
    acme.delete(f"{path}/{first['uuid']}")
    # Stored anew, under another key, as after the sweep of the first.
    keeper.sql(f"DELETE FROM {acme.schema_name}.contents")
    remove_all(app, acme.slug)
    add_file(acme, path, b"same")
    # The storage of the files is lost, for which a restore is the remedy.
    remove_all(app, acme.slug)
    run = keeper.restore(acme.slug)
    assert (run["state"], run["missing_files"]) == ("done", 0)
    assert content_of(acme, path, first).data == b"same"


def test_a_content_that_was_cut_stops_no_backup(app: Flask, keeper: Keeper, acme: Company) -> None:
    add_file(acme, files_of_task(acme), LARGE)
    next(place(app, acme.slug).iterdir()).write_bytes(b"short")
    keeper.back_up(acme.slug)
    assert keeper.sql("SELECT FROM public.archives WHERE slug = :slug", slug=acme.slug)


def test_asking_again_after_a_cancel_does_not_lose_the_files(
    keeper: Keeper, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, LARGE)
    keeper.back_up(acme.slug)
    slug = f"copy-{uuid.uuid4().hex[:8]}"
    first = keeper.plan(acme.slug, as_slug=slug)
    real = restore.swap
    second: list[int] = []

    def ask_again() -> None:
        with keeper._entry():
            runs.cancel(first, "tests")
        second.append(keeper.plan(acme.slug, as_slug=slug))

    def swap(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(restore, "swap", real)
        thread = threading.Thread(target=ask_again)
        thread.start()
        thread.join()
        return real(*args, **kwargs)

    monkeypatch.setattr(restore, "swap", swap)
    keeper.work(first)
    keeper.work(second[0])
    assert content_of(boss_of(acme, slug), path, file).data == LARGE
