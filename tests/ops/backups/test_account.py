"""`/account/backup`: a company's own newest archive."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from datetime import timedelta

import pyrage
import pytest
import sqlalchemy as sa
import zstandard
from flask import Flask

from tests.factories import Company
from tests.ops.backups.kit import create, directory, execute
from tests.todo_app.helpers import inside
from todo_app.audit.models import AuditEntry
from todo_app.database import db
from todo_app.sessions.models import AccessToken

PASSPHRASE = {"Backup-Passphrase": "correct horse battery"}


def test_an_administrator_downloads_the_newest_backup(
    app: Flask, acme: Company, globex: Company
) -> None:
    assert acme.get("/account/backup", headers=PASSPHRASE).status_code == 404
    acme.post("/lists/", {"title": "Groceries"})
    create(app, acme.slug, globex.slug)
    answer = acme.get("/account/backup", headers=PASSPHRASE)
    assert answer.status_code == 200, answer.json
    assert acme.slug in answer.headers["Content-Disposition"]
    packed = pyrage.passphrase.decrypt(answer.data, PASSPHRASE["Backup-Passphrase"])
    plain = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        lists = tar.extractfile("data/lists/000001.copy")
        assert lists is not None
        assert b"Groceries" in lists.read()
    with pytest.raises(pyrage.DecryptError):
        pyrage.passphrase.decrypt(answer.data, "another passphrase")
    with inside(app, acme.slug):
        entry = db.session.scalars(
            sa.select(AuditEntry).where(AuditEntry.action == "backup.downloaded")
        ).one()
        assert str(entry.actor_uuid) == acme.uuid


def test_it_needs_the_password_shown_lately(app: Flask, acme: Company) -> None:
    create(app, acme.slug)
    with inside(app, acme.slug):
        shown = sa.func.now() - timedelta(minutes=11)
        db.session.execute(sa.update(AccessToken).values(authenticated_at=shown))
    answer = acme.get("/account/backup", headers=PASSPHRASE)
    assert (answer.status_code, answer.json["type"]) == (401, "urn:todo:problem:step-up-needed")
    assert 'error="insufficient_user_authentication"' in answer.headers["WWW-Authenticate"]


def test_any_letters_make_a_passphrase(app: Flask, acme: Company) -> None:
    create(app, acme.slug)
    passphrase = "geheim-\u00f6\u00e4\u00fc-123-\u20ac"
    # As clients send it, and as WSGI reads that.
    header = {"Backup-Passphrase": passphrase.encode().decode("latin-1")}
    answer = acme.get("/account/backup", headers=header)
    assert pyrage.passphrase.decrypt(answer.data, passphrase)


def test_what_is_too_large_is_told_before_it_is_read(app: Flask, acme: Company) -> None:
    archive = create(app, acme.slug)
    execute(app, "UPDATE public.archives SET bytes = 1 << 30 WHERE id = :id", id=archive.id)
    assert acme.get("/account/backup", headers=PASSPHRASE).status_code == 422


def test_bad_requests_are_told(app: Flask, acme: Company) -> None:
    assert acme.get("/account/backup").status_code == 422
    short = acme.get("/account/backup", headers={"Backup-Passphrase": "short"})
    assert short.status_code == 422
    assert "Backup-Passphrase" in short.json["errors"]["headers"]
    assert acme.client.get("/account/backup", headers=PASSPHRASE).status_code == 401


def test_a_damaged_backup_is_not_given_out(app: Flask, acme: Company) -> None:
    path = directory(app) / create(app, acme.slug).name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert acme.get("/account/backup", headers=PASSPHRASE).status_code == 422


def test_an_installation_without_backups_says_so(app: Flask, acme: Company) -> None:
    settings = app.config["SETTINGS"]
    create(app, acme.slug)
    try:
        for changes in ({"backup_url": ""}, {"backup_identity": ""}):
            app.config["SETTINGS"] = dataclasses.replace(settings, **changes)
            assert acme.get("/account/backup", headers=PASSPHRASE).status_code == 503
    finally:
        app.config["SETTINGS"] = settings
