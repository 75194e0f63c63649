"""A restore keeps the webhooks that are live, and sends nothing twice; a copy sends nothing."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Flask

from ops.delivery import claims
from ops.delivery.http_guard import Attempt
from tests.factories import Company
from tests.ops.restores.keeping import Keeper
from tests.todo_app.helpers import inside
from tests.todo_app.people import person_who_may
from tests.todo_app.todos.shapes import add_list
from tests.todo_app.webhooks.kit import add_webhook, messages_of
from todo_app.database import db
from todo_app.webhooks.models import Webhook, WebhookDelivery


def end(app: Flask, company: Company) -> None:
    """Let all that waits have been sent."""
    with inside(app, company.slug):
        sent = {"state": "delivered", "next_at": None, "ended_at": sa.func.now()}
        db.session.execute(sa.update(WebhookDelivery).values(sent))


def test_a_restore_keeps_webhooks_and_sends_nothing_again(
    app: Flask, acme: Company, keeper: Keeper
) -> None:
    kept, gone = add_webhook(acme), add_webhook(acme)
    add_list(acme, "Before")
    keeper.back_up(acme.slug)
    end(app, acme)
    assert acme.delete(f"/webhooks/{gone['uuid']}").status_code == 204
    rotated = acme.post(f"/webhooks/{kept['uuid']}/rotate").json
    maker = person_who_may(acme, "settings:write")
    new = add_webhook(maker, events=("task.*",))
    add_list(acme, "After")
    live = acme.get(f"/webhooks/{kept['uuid']}").json

    assert keeper.restore(acme.slug)["state"] == "done"
    assert acme.get(f"/webhooks/{kept['uuid']}").json == live
    assert live["former_secret_until"] == rotated["former_secret_until"]
    shown = acme.get("/webhooks/").json
    assert [row["uuid"] for row in shown["items"]] == [kept["uuid"], new["uuid"]]
    states = [(m.state, m.payload["data"]["list"]["title"]) for m in messages_of(app, acme)]
    assert sorted(states) == [("failed", "Before"), ("pending", "After")]
    assert add_webhook(acme)["uuid"], "new ones get numbers of their own"
    add_list(acme, "Now")
    assert len(messages_of(app, acme)) == 4


def test_a_copy_sends_nothing(app: Flask, acme: Company, keeper: Keeper) -> None:
    add_webhook(acme)
    add_list(acme, "Before")
    keeper.back_up(acme.slug)
    copy = f"{acme.slug}-copy"
    assert keeper.restore(acme.slug, as_slug=copy)["state"] == "done"
    with inside(app, copy):
        assert list(db.session.scalars(sa.select(Webhook.is_active))) == [False]
        assert list(db.session.scalars(sa.select(WebhookDelivery.state))) == ["failed"]
    assert [m.state for m in messages_of(app, acme)] == ["pending"]


def test_an_attempt_that_a_restore_overtakes_is_of_its_own_message(
    app: Flask, acme: Company, keeper: Keeper
) -> None:
    keeper.sql("DELETE FROM public.outbox WHERE kind = 'webhooks'")
    add_webhook(acme)
    keeper.back_up(acme.slug)
    for title in "ABCD":
        add_list(acme, title)
    for title in "ABCD":
        with inside(app, acme.slug):
            claimed = claims.claim()
            assert claimed is not None
            if title != "D":
                claims.settle(claimed, Attempt(0.1, status=500))
    with inside(app, acme.slug):
        # One is given up, which the restore does not take over: the others get other numbers.
        given_up = sa.update(WebhookDelivery).where(WebhookDelivery.id == 1)
        db.session.execute(given_up.values(state="failed", next_at=None))
    # While D is being sent:
    assert keeper.restore(acme.slug)["state"] == "done"
    with inside(app, acme.slug):
        claims.settle(claimed, Attempt(0.1, status=200))
    after = {row.payload["data"]["list"]["title"]: row.state for row in messages_of(app, acme)}
    assert after == {"B": "pending", "C": "pending", "D": "delivered"}
