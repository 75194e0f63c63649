"""What tests of webhooks share."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import inside
from todo_app.database import db, transaction
from todo_app.outbox import WEBHOOKS, OutboxMessage
from todo_app.tenancy import operations
from todo_app.webhooks.models import WebhookDelivery

Row = dict[str, Any]

URL = "https://hooks.example.com/todo"


def add_webhook(person: Person, url: str = URL, events: tuple[str, ...] = ("*",)) -> Row:
    """Add a webhook; the answer as JSON."""
    answer = person.post("/webhooks/", {"url": url, "events": list(events)})
    assert answer.status_code == 201, answer.text
    row: Row = answer.json
    return row


def messages_of(app: Flask, company: Company) -> list[WebhookDelivery]:
    """All messages of a company, the first one first."""
    with inside(app, company.slug):
        return list(db.session.scalars(sa.select(WebhookDelivery).order_by(WebhookDelivery.id)))


def events_of(app: Flask, company: Company) -> list[str]:
    """Of which events a company has messages, the first one first."""
    return [message.event for message in messages_of(app, company)]


def calls_of(app: Flask, company: Company) -> int:
    """How often a company has called for the workers."""
    name = OutboxMessage.payload["schema_name"].astext
    count = sa.select(sa.func.count()).where(
        OutboxMessage.kind == WEBHOOKS, name == company.schema_name
    )
    with app.app_context(), operations(), transaction():
        return db.session.scalar(count) or 0
