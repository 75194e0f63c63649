"""The outbox is delivered after the commit, at least once, with retries that end."""

from __future__ import annotations

import dataclasses
import email
import secrets
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from flask import Flask
from flask.testing import FlaskClient

from ops.delivery import job
from ops.local.files import free_port
from tests.factories import Company, registration
from todo_app import outbox
from todo_app.config import Settings
from todo_app.database import db, transaction
from todo_app.outbox import OutboxMessage
from todo_app.tenancy import operations, tenant_scope


class Mailbox(Message):
    """Keeps what a real SMTP server receives."""

    def __init__(self) -> None:
        super().__init__(EmailMessage)
        self.mails: list[EmailMessage] = []

    def handle_message(self, message: EmailMessage) -> None:
        self.mails.append(message)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    handler = Mailbox()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


@pytest.fixture
def empty_outbox(app: Flask) -> Iterator[None]:
    with app.app_context():
        with operations(), transaction():
            db.session.execute(sa.delete(OutboxMessage))
        yield


def with_mail(app: Flask, **changes: object) -> Settings:
    return dataclasses.replace(app.config["SETTINGS"], **changes)


def rows() -> list[OutboxMessage]:
    with operations():
        return list(db.session.scalars(sa.select(OutboxMessage)))


def test_a_registration_sends_a_welcome_mail(
    app: Flask, client: FlaskClient, empty_outbox: None, mailbox: tuple[Mailbox, str]
) -> None:
    address = f"{secrets.token_hex(4)}@example.com"
    assert client.post("/auth/register", json=registration("Zażółć", address)).status_code == 201
    handler, url = mailbox
    settings = with_mail(app, mail_url=url)
    assert job.deliver(settings, 10) == 1
    assert job.deliver(settings, 10) == 0
    (mail,) = handler.mails
    assert mail["To"] == address
    assert "Zażółć" in mail.get_payload(decode=True).decode()


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
    assert message.error.startswith("ConnectionRefusedError")
    assert message.available_at > message.created_at
    for _ in range(job.MAX_ATTEMPTS):
        with operations(), transaction():
            db.session.execute(sa.update(OutboxMessage).values(available_at=sa.func.now()))
        job.deliver(settings, 10)
    (message,) = rows()
    assert message.attempts == job.MAX_ATTEMPTS
    assert message.failed_at is not None


def test_one_bad_message_does_not_hold_up_the_next(
    app: Flask, acme: Company, empty_outbox: None, tmp_path: Path
) -> None:
    with tenant_scope(acme.slug), transaction():
        db.session.execute(sa.insert(OutboxMessage).values(kind="mail", payload={}).inline())
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
