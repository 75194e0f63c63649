"""The log of what webhooks were sent forgets what is old and has ended."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.ops.upkeep.test_upkeep import upkeep
from tests.todo_app.helpers import inside
from tests.todo_app.webhooks.kit import add_webhook, messages_of
from todo_app.database import db
from todo_app.webhooks.models import DELIVERED, FAILED, PENDING, WebhookDelivery


def test_old_messages_go_but_for_those_that_wait(
    app: Flask, acme: Company, globex: Company
) -> None:
    for company in (acme, globex):
        path = f"/webhooks/{add_webhook(company)['uuid']}/test"
        for state, days in ((DELIVERED, 31), (FAILED, 31), (PENDING, 31), (FAILED, 29)):
            sent = company.post(path).json
            with inside(app, company.slug):
                values = {"state": state, "created_at": sa.func.now() - timedelta(days=days)}
                which = WebhookDelivery.uuid == sent["uuid"]
                db.session.execute(sa.update(WebhookDelivery).where(which).values(values))
    (item,) = upkeep(app, acme.slug, "--inline")["tenants"]
    assert item["deliveries"] == 2
    assert [message.state for message in messages_of(app, acme)] == [PENDING, FAILED]
    assert len(messages_of(app, globex)) == 4
