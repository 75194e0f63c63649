"""Files in archives, and what restores, clones and `forget` make of them."""

from __future__ import annotations

import hashlib
import json
import tarfile
import uuid
from pathlib import Path

import pytest
import zstandard
from flask import Flask

from ops.restores import job
from tests.factories import Company
from tests.ops.restores.keeping import LARGE, Keeper, boss_of, remove_all, settings_of
from tests.todo_app.files.kit import add_file, content_of, files_of_task, objects, place
from tests.todo_app.helpers import assert_problem

pytestmark = pytest.mark.usefixtures("file_storage")


def test_an_archive_brings_lost_contents_back(app: Flask, keeper: Keeper, acme: Company) -> None:
    path = files_of_task(acme)
    bodies = [b"small", b"", LARGE]
    files = [add_file(acme, path, body, f"{n}.bin") for n, body in enumerate(bodies)]
    keeper.back_up(acme.slug)
    before = objects(app, acme.slug)
    remove_all(app, acme.slug)
    assert_problem(content_of(acme, path, files[0]), 410)
    done = keeper.restore(acme.slug)
    assert (done["state"], done["missing_files"]) == ("done", 0), done
    assert objects(app, acme.slug) == before
    assert [content_of(acme, path, file).data for file in files] == bodies


def test_an_archive_that_only_names_files_uses_those_that_are_there(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    kept, lost = add_file(acme, path, b"kept"), add_file(acme, path, LARGE)
    with settings_of(app, backup_files=False):
        keeper.back_up(acme.slug)
    assert keeper.archive_file(acme.slug).stat().st_size < len(LARGE) / 10
    next(p for p in place(app, acme.slug).iterdir() if p.stat().st_size == len(LARGE)).unlink()
    acme.delete(f"{path}/{kept['uuid']}")
    done = keeper.restore(acme.slug)
    assert (done["state"], done["missing_files"]) == ("done", 1), done
    assert content_of(acme, path, kept).data == b"kept"
    assert_problem(content_of(acme, path, lost), 410)


def test_what_came_after_the_archive_survives_for_undo(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    old = add_file(acme, path, b"old")
    keeper.back_up(acme.slug)
    new = add_file(acme, path, b"new")
    keeper.restore(acme.slug)
    assert [file["name"] for file in acme.get(path).json["items"]] == [old["name"]]
    assert acme.get("/files/usage").json["used_bytes"] == 3
    assert len(objects(app, acme.slug)) == 2
    assert keeper.undo(acme.slug)["state"] == "done"
    assert content_of(acme, path, new).data == b"new"
    assert content_of(acme, path, old).data == b"old"
    assert acme.get("/files/usage").json["used_bytes"] == 6


def test_where_both_have_a_content_the_live_key_is_right(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    first = add_file(acme, path, b"same")
    with settings_of(app, backup_files=False):
        keeper.back_up(acme.slug)
    acme.delete(f"{path}/{first['uuid']}")
    # Stored anew, under another key, as after the sweep of the first.
    keeper.sql(f'DELETE FROM "{acme.schema_name}".contents')
    remove_all(app, acme.slug)
    add_file(acme, path, b"same")
    done = keeper.restore(acme.slug)
    assert (done["state"], done["missing_files"]) == ("done", 0), done
    assert content_of(acme, path, first).data == b"same"


@pytest.mark.parametrize("has_files", [True, False])
def test_a_new_tenant_of_an_archive_has_contents_of_its_own(
    app: Flask, keeper: Keeper, acme: Company, has_files: bool
) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, LARGE)
    with settings_of(app, backup_files=has_files):
        keeper.back_up(acme.slug)
    if has_files:
        remove_all(app, acme.slug)
    slug = f"copy-{uuid.uuid4().hex[:8]}"
    done = keeper.restore(acme.slug, as_slug=slug)
    assert (done["state"], done["missing_files"]) == ("done", 0), done
    if not has_files:
        remove_all(app, acme.slug)
    assert content_of(boss_of(acme, slug), path, file).data == LARGE
    assert_problem(content_of(acme, path, file), 410)


def test_a_clone_has_contents_of_its_own(app: Flask, keeper: Keeper, acme: Company) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, LARGE)
    slug = f"clone-{uuid.uuid4().hex[:8]}"
    with keeper._entry():
        run_id = job.start_clone(acme.slug, slug, actor="tests")
    assert keeper.work(run_id)["missing_files"] == 0
    boss = boss_of(acme, slug)
    assert content_of(boss, path, file).data == LARGE
    remove_all(app, acme.slug)
    assert content_of(boss, path, file).data == LARGE


def test_a_damaged_content_is_one_file_less(app: Flask, keeper: Keeper, acme: Company) -> None:
    path = files_of_task(acme)
    good, bad = add_file(acme, path, b"good"), add_file(acme, path, LARGE)
    damaged = next(p for p in place(app, acme.slug).iterdir() if p.stat().st_size > 4)
    damaged.write_bytes(bytes(len(LARGE)))
    keeper.back_up(acme.slug)
    remove_all(app, acme.slug)
    done = keeper.restore(acme.slug)
    assert (done["state"], done["missing_files"]) == ("done", 1), done
    assert content_of(acme, path, good).data == b"good"
    assert_problem(content_of(acme, path, bad), 410)


def test_a_missing_content_stops_no_backup(app: Flask, keeper: Keeper, acme: Company) -> None:
    path = files_of_task(acme)
    add_file(acme, path, b"lost")
    remove_all(app, acme.slug)
    keeper.back_up(acme.slug)
    assert keeper.restore(acme.slug)["missing_files"] == 1


def test_an_archive_with_files_is_read_by_tar(
    app: Flask, keeper: Keeper, acme: Company, tmp_path: Path
) -> None:
    path = files_of_task(acme)
    add_file(acme, path, LARGE)
    with settings_of(app, backup_recipients=()):
        keeper.back_up(acme.slug)
    found: dict[str, bytes] = {}
    with (
        keeper.archive_file(acme.slug).open("rb") as archive,
        zstandard.ZstdDecompressor().stream_reader(archive) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            found[member.name] = content.read()
    (key,) = objects(app, acme.slug)
    assert found[f"files/{key}"] == LARGE
    manifest = json.loads(found["manifest.json"])
    assert manifest["files"] == {
        key: {"bytes": len(LARGE), "sha256": hashlib.sha256(LARGE).hexdigest()}
    }
    assert json.loads(found["header.json"])["format"] == manifest["format"] == 2
    assert list(found)[-2:] == ["restore.sql", "manifest.json"]


def test_an_archive_without_files_is_of_the_older_format(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    files_of_task(acme)
    keeper.back_up(acme.slug)
    descriptor = next(keeper.directory.glob(f"*/{acme.slug}.*.json"))
    assert json.loads(descriptor.read_text())["format"] == 1


def test_verify_and_drill_read_files_and_store_none(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    add_file(acme, path, LARGE)
    keeper.back_up(acme.slug)
    remove_all(app, acme.slug)
    with keeper._entry():
        run_id = job.start_drill([acme.slug], 1, actor="tests", settings=keeper.settings)
    assert keeper.work(run_id)["state"] == "done"
    assert objects(app, acme.slug) == set()


def test_a_flipped_bit_in_a_file_is_found(app: Flask, keeper: Keeper, acme: Company) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, uuid.uuid4().bytes * 100_000)
    with settings_of(app, backup_recipients=()):
        keeper.back_up(acme.slug)
    archive = keeper.archive_file(acme.slug)
    data = bytearray(archive.read_bytes())
    data[len(data) * 9 // 10] ^= 1
    archive.write_bytes(data)
    assert keeper.restore(acme.slug)["state"] == "failed"
    assert content_of(acme, path, file).status_code == 200


def test_files_of_a_forgotten_tenant_are_deleted_and_of_a_living_one_kept(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, b"x")
    directory = place(app, acme.slug)
    keeper.back_up(acme.slug)
    done = keeper.invoke("tenants", "forget", acme.slug, "--living", "--yes")
    assert done.exit_code == 0, done.output
    assert content_of(acme, path, file).data == b"x"
    keeper.sql("UPDATE public.tenants SET state = 'archived' WHERE slug = :slug", slug=acme.slug)
    done = keeper.invoke("tenants", "forget", acme.slug, "--yes")
    assert done.exit_code == 0, done.output
    assert not any(directory.glob("*"))


def test_an_archived_tenant_comes_back_with_its_files(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, b"x")
    with keeper._entry():
        run_id = job.start_archive(acme.slug, actor="tests", settings=keeper.settings)
    keeper.work(run_id)
    assert keeper.tenant(acme.slug).state == "archived"
    assert keeper.restore(acme.slug)["state"] == "done"
    boss = boss_of(acme, acme.slug)
    assert content_of(boss, path, file).data == b"x"
