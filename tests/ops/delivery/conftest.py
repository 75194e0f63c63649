"""A real SMTP server, and an outbox with nothing of other tests in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from flask import Flask

from ops.delivery import job
from ops.local.files import free_port
from todo_app.config import Settings
from todo_app.database import db, transaction
from todo_app.outbox import OutboxMessage
from todo_app.tenancy import operations


class Mailbox(Message):
    """Keeps what a real SMTP server receives."""

    def __init__(self, app: Flask) -> None:
        super().__init__(EmailMessage)
        self.app = app
        self.url = ""
        self.mails: list[EmailMessage] = []

    def handle_message(self, message: EmailMessage) -> None:
        self.mails.append(message)

    def deliver(self) -> int:
        """Have the outbox delivered; says how many messages were."""
        with self.app.app_context():
            return job.deliver(with_mail(self.app, mail_url=self.url), 10)

    def receive(self, address: str) -> tuple[str, str]:
        """Have the outbox delivered; gives subject and text of the one new mail to an address."""
        before = len(self.mails)
        self.deliver()
        (mail,) = [mail for mail in self.mails[before:] if mail["To"] == address]
        payload = mail.get_payload(decode=True)
        assert isinstance(payload, bytes)
        return str(mail["Subject"]), payload.decode()


@pytest.fixture
def mailbox(app: Flask) -> Iterator[Mailbox]:
    """What comes to a real SMTP server from an outbox that was empty."""
    with app.app_context():
        _empty()
    handler = Mailbox(app)
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    handler.url = f"smtp://127.0.0.1:{controller.port}"
    yield handler
    controller.stop()


@pytest.fixture
def empty_outbox(app: Flask) -> Iterator[None]:
    """No messages but the test's own, which runs inside the application."""
    with app.app_context():
        _empty()
        yield


def _empty() -> None:
    with operations(), transaction():
        db.session.execute(sa.delete(OutboxMessage))


def with_mail(app: Flask, **changes: object) -> Settings:
    """The application's settings, but for these."""
    settings: Settings = dataclasses.replace(app.config["SETTINGS"], **changes)  # type: ignore[arg-type]
    return settings
