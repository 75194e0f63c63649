"""Contents of files are deleted when nothing needs them any more, and not before."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from ops.upkeep import files
from tests.factories import Company
from tests.ops.restores.keeping import settings_of
from tests.todo_app.files.kit import add_file, content_of, contents, files_of_task, objects, place
from tests.todo_app.helpers import inside
from todo_app.config import Settings
from todo_app.database import db, own_connection
from todo_app.files.models import Content
from todo_app.storage import StorageError
from todo_app.tenancy import current_tenant, operations

LONG_AGO = sa.func.now() - timedelta(days=31)


@pytest.fixture(autouse=True)
def store(app: Flask, tmp_path: Path) -> Iterator[Settings]:
    """With a storage of its own, whose path has what a URL writes differently."""
    with settings_of(app, attachments_url=(tmp_path / "all files").as_uri()) as changed:
        yield changed


def sweep(app: Flask, company: Company) -> int:
    with inside(app, company.slug):
        tenant = current_tenant()
    with app.app_context(), own_connection() as connection:
        return files.sweep(connection, company.schema_name, tenant.uuid, app.config["SETTINGS"])


def let_time_pass(app: Flask, company: Company) -> None:
    """Let a month go by for what is unused."""
    with inside(app, company.slug):
        unused = sa.update(Content).where(Content.unused_since.is_not(None))
        db.session.execute(unused.values(unused_since=LONG_AGO))


def make_old(path: Path) -> None:
    before = time.time() - 3 * 86_400
    os.utime(path, (before, before))


def test_what_was_deleted_is_kept_for_its_days(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    kept, gone = add_file(acme, path, b"kept"), add_file(acme, path, b"gone")
    acme.delete(f"{path}/{gone['uuid']}")
    assert (sweep(app, acme), len(objects(app, acme.slug))) == (0, 2)
    let_time_pass(app, acme)
    assert sweep(app, acme) == 1
    assert len(objects(app, acme.slug)) == len(contents(app, acme)) == 1
    assert content_of(acme, path, kept).data == b"kept"
    again = add_file(acme, path, b"gone")
    assert content_of(acme, path, again).data == b"gone"


def test_files_of_deleted_tasks_become_unused(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    add_file(acme, path, b"x" * 100)
    with inside(app, acme.slug):
        db.session.execute(sa.text("DELETE FROM tasks"))
    assert acme.get("/files/usage").json["used_bytes"] == 100
    assert sweep(app, acme) == 0
    assert acme.get("/files/usage").json["used_bytes"] == 0
    let_time_pass(app, acme)
    assert sweep(app, acme) == 1
    assert objects(app, acme.slug) == set()


def test_what_is_used_is_never_deleted_whatever_its_row_says(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, b"x")
    with inside(app, acme.slug):
        db.session.execute(sa.update(Content).values(unused_since=LONG_AGO))
    assert sweep(app, acme) == 0
    assert list(contents(app, acme).values()) == [True]
    assert content_of(acme, path, file).data == b"x"


def test_what_killed_uploads_left_behind_is_swept(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, b"x")
    directory = place(app, acme.slug)
    (fresh := directory / str(uuid.uuid4())).write_bytes(b"upload under way")
    (orphan := directory / str(uuid.uuid4())).write_bytes(b"left behind")
    (foreign := directory / "notes.txt").write_bytes(b"nobody's")
    for old in (orphan, foreign, *(each for each in directory.iterdir() if each != fresh)):
        make_old(old)
    assert sweep(app, acme) == 2
    assert fresh.exists()
    assert len(objects(app, acme.slug)) == 2
    assert content_of(acme, path, file).data == b"x"


def test_files_of_others_are_left_alone(app: Flask, acme: Company, globex: Company) -> None:
    path = files_of_task(globex)
    file = add_file(globex, path, b"x")
    make_old(next(place(app, globex.slug).iterdir()))
    assert sweep(app, acme) == 0
    assert content_of(globex, path, file).data == b"x"


def test_files_of_tenants_that_are_gone(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, b"x")
    directory = place(app, acme.slug)
    nobody = directory.with_name(str(uuid.uuid4()))
    shutil.copytree(directory, nobody)
    (notes := directory.with_name("notes")).mkdir()
    (notes / "a").write_bytes(b"nobody's")
    with app.app_context(), operations():
        assert files.sweep_gone(app.config["SETTINGS"]) == 1
        assert files.sweep_gone(app.config["SETTINGS"]) == 0
    assert not any(nobody.glob("*"))
    assert (notes / "a").exists()
    assert content_of(acme, path, file).data == b"x"


def test_a_storage_that_fails_loses_nothing(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files_of_task(acme)
    gone = add_file(acme, path, b"gone")
    acme.delete(f"{path}/{gone['uuid']}")
    let_time_pass(app, acme)

    def fail(*_: object) -> None:
        raise StorageError

    with monkeypatch.context() as patch:
        patch.setattr("todo_app.storage.Storage.delete", fail)
        with pytest.raises(StorageError):
            sweep(app, acme)
    # Its row is gone, and the object is found without it.
    make_old(next(place(app, acme.slug).iterdir()))
    assert sweep(app, acme) == 1
    assert objects(app, acme.slug) == set()


def test_without_a_storage_nothing_is_done(app: Flask, acme: Company) -> None:
    with settings_of(app, attachments_url=""):
        assert sweep(app, acme) == 0
        with app.app_context(), operations():
            assert files.sweep_gone(app.config["SETTINGS"]) == 0
