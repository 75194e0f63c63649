"""The outbox is delivered after the commit, at least once, with retries that end."""

from __future__ import annotations

import email
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from ops.delivery import job
from tests.factories import Company
from tests.ops.delivery.conftest import with_mail
from todo_app import outbox
from todo_app.database import db, transaction
from todo_app.outbox import OutboxMessage
from todo_app.registration import resets
from todo_app.tenancy import operations, tenant_scope
from todo_app.tenants import service as tenants
from todo_app.tenants.models import SUSPENDED


def rows() -> list[OutboxMessage]:
    with operations():
        return list(db.session.scalars(sa.select(OutboxMessage)))


def test_without_a_server_mails_become_files(
    app: Flask, acme: Company, empty_outbox: None, tmp_path: Path
) -> None:
    with tenant_scope(acme.slug), transaction():
        outbox.send_mail("a@example.com", "Two\nlines", "Hello")
    settings = with_mail(app, mail_dir=tmp_path / "mail")
    assert job.deliver(settings, 10) == 1
    (path,) = (tmp_path / "mail").iterdir()
    assert path.suffix == ".eml"
    assert email.message_from_bytes(path.read_bytes())["Subject"] == "Two lines"
    (message,) = rows()
    assert (message.kind, message.payload) == ("mail", {})
    assert message.delivered_at is not None


def test_what_is_rolled_back_is_never_sent(app: Flask, acme: Company, empty_outbox: None) -> None:
    def fail() -> None:
        with transaction():
            outbox.send_mail("a@example.com", "Subject", "Hello")
            raise RuntimeError

    with tenant_scope(acme.slug), pytest.raises(RuntimeError):
        fail()
    assert rows() == []


def test_a_server_that_is_away_is_tried_again_later_and_not_for_ever(
    app: Flask, acme: Company, empty_outbox: None
) -> None:
    with tenant_scope(acme.slug), transaction():
        outbox.send_mail("a@example.com", "Subject", "Hello")
    settings = with_mail(app, mail_url="smtp://127.0.0.1:1")
    assert job.deliver(settings, 10) == 0
    (message,) = rows()
    assert (message.attempts, message.delivered_at) == (1, None)
    assert message.payload["text"] == "Hello"
    assert message.error.startswith("ConnectionRefusedError")
    assert message.available_at > message.created_at
    for _ in range(job.MAX_ATTEMPTS):
        with operations(), transaction():
            db.session.execute(sa.update(OutboxMessage).values(available_at=sa.func.now()))
        job.deliver(settings, 10)
    (message,) = rows()
    assert message.attempts == job.MAX_ATTEMPTS
    assert message.failed_at is not None
    assert message.payload == {}, "nothing reads it any more, and it may hold a secret"


def test_one_bad_message_does_not_hold_up_the_next(
    app: Flask, acme: Company, empty_outbox: None, tmp_path: Path
) -> None:
    with tenant_scope(acme.slug), transaction():
        outbox.put("mail", {})
        outbox.put("smoke signal", {"to": "a@example.com"})
        outbox.put(outbox.PASSWORD_RESET, {"email": 7})
        outbox.send_mail("a@example.com", "Subject", "Hello")
    assert job.deliver(with_mail(app, mail_dir=tmp_path), 10) == 1


def test_old_deliveries_are_swept(app: Flask, acme: Company, empty_outbox: None) -> None:
    with tenant_scope(acme.slug), transaction():
        outbox.send_mail("a@example.com", "Old", "Hello")
        outbox.send_mail("a@example.com", "New", "Hello")
    with operations(), transaction():
        old = OutboxMessage.payload["subject"].astext == "Old"
        long_ago = sa.func.now() - job.KEPT_AFTER_DELIVERY * 2
        db.session.execute(sa.update(OutboxMessage).where(old).values(delivered_at=long_ago))
        assert job.sweep() == 1
    assert len(rows()) == 1


def test_a_reset_waits_for_a_tenant_that_is_being_upgraded(
    app: Flask, acme: Company, empty_outbox: None, tmp_path: Path
) -> None:
    def set_revision(revision: str) -> str:
        with operations(), transaction():
            tenant = tenants.get(acme.slug)
            before, tenant.revision = tenant.revision, revision
            return before

    with tenant_scope(acme.slug), transaction():
        resets.ask(acme.email, acme.schema_name)
    settings = with_mail(app, mail_dir=tmp_path)
    revision = set_revision("0001")
    assert job.deliver(settings, 10) == 0
    (message,) = rows()
    assert message.error.startswith("TenantBehindError")
    set_revision(revision)
    with operations(), transaction():
        db.session.execute(sa.update(OutboxMessage).values(available_at=sa.func.now()))
    assert job.deliver(settings, 10) == 2
    assert [message.payload for message in rows()] == [{}, {}]
    (path,) = tmp_path.iterdir()
    assert email.message_from_bytes(path.read_bytes())["To"] == acme.email


def test_a_reset_that_is_delivered_twice_mails_once(
    app: Flask, acme: Company, empty_outbox: None, tmp_path: Path
) -> None:
    with tenant_scope(acme.slug), transaction():
        resets.ask(acme.email, acme.schema_name)
        resets.ask(acme.email, None)
    assert job.deliver(with_mail(app, mail_dir=tmp_path), 10) == 3
    assert len(list(tmp_path.iterdir())) == 1


def test_a_reset_of_a_closed_company_comes_to_nothing(
    app: Flask, acme: Company, empty_outbox: None, tmp_path: Path
) -> None:
    with tenant_scope(acme.slug), transaction():
        resets.ask(acme.email, acme.schema_name)
        resets.ask(acme.email, None)
    with operations(), transaction():
        tenants.get(acme.slug).state = SUSPENDED
    assert job.deliver(with_mail(app, mail_dir=tmp_path), 10) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_subject_is_no_place_for_headers_and_texts(
    app: Flask, acme: Company, empty_outbox: None, tmp_path: Path
) -> None:
    """Encoded words (RFC 2047) hide line ends, which the library would write as such."""
    hidden = "=?utf-8?q?a=0D=0AX-Mine:_1=0D=0A=0D=0AClick_here?="
    with tenant_scope(acme.slug), transaction():
        outbox.send_mail("a@example.com", f"Welcome to {hidden} \x1b[0m", "Hello")
    assert job.deliver(with_mail(app, mail_dir=tmp_path), 10) == 1
    (path,) = tmp_path.iterdir()
    mail = email.message_from_bytes(path.read_bytes())
    assert "X-Mine" not in mail
    assert mail.get_payload() == "Hello\n"
    assert "\x1b" not in mail["Subject"]


@pytest.mark.parametrize(
    "address", ["=?utf-8?q??=@example.com", "=?utf-8?q?b=40example.com=2C_c?=@example.com"]
)
def test_an_address_that_would_be_read_as_another_gets_nothing_and_holds_up_nothing(
    app: Flask, acme: Company, empty_outbox: None, tmp_path: Path, address: str
) -> None:
    with tenant_scope(acme.slug), transaction():
        outbox.send_mail(address, "Subject", "Hello")
        outbox.send_mail("a@example.com", "Subject", "Hello")
    assert job.deliver(with_mail(app, mail_dir=tmp_path), 10) == 1
    (path,) = tmp_path.iterdir()
    assert email.message_from_bytes(path.read_bytes())["To"] == "a@example.com"


def test_an_error_that_nobody_expects_holds_up_nothing(
    app: Flask,
    acme: Company,
    empty_outbox: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stumble(*_: object) -> None:
        raise IndexError

    monkeypatch.setattr(job, "mail_reset_tokens", stumble)
    with tenant_scope(acme.slug), transaction():
        resets.ask(acme.email, acme.schema_name)
        outbox.send_mail("a@example.com", "Subject", "Hello")
    assert job.deliver(with_mail(app, mail_dir=tmp_path), 10) == 1
    assert [message.attempts for message in rows()] == [1, 1]
