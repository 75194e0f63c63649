"""The log of what webhooks were sent, and sending it again."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, inside
from tests.todo_app.todos.shapes import add_list
from tests.todo_app.webhooks.kit import add_webhook, calls_of, messages_of
from todo_app.database import db
from todo_app.webhooks import deliveries
from todo_app.webhooks.models import DELIVERED, FAILED, WebhookDelivery

LONG_AGO = "2026-01-01T00:00:00Z"


def end(app: Flask, company: Company, event: str, state: str, **more: Any) -> None:
    """Let the messages of an event have come to an end."""
    values = {"state": state, "next_at": None, "attempts": 3, "ended_at": sa.func.now(), **more}
    with inside(app, company.slug):
        which = WebhookDelivery.event == event
        db.session.execute(sa.update(WebhookDelivery).where(which).values(values))


def test_a_test_is_sent_whatever_was_chosen_and_seen_in_the_log(app: Flask, acme: Company) -> None:
    webhook = add_webhook(acme, events=("comment.added",))
    path = f"/webhooks/{webhook['uuid']}"
    sent = acme.post(path + "/test")
    assert sent.status_code == 201
    assert sent.json["event"] == "webhook.test"
    assert sent.json["payload"]["data"]["actor"]["uuid"] == acme.uuid
    assert (sent.json["state"], sent.json["attempts"]) == ("pending", 0)
    assert calls_of(app, acme) == 1
    page = acme.get(path + "/deliveries").json
    assert page["total"] == 1
    assert page["items"][0] == {k: v for k, v in sent.json.items() if k != "payload"}
    assert acme.get(f"{path}/deliveries/{sent.json['uuid']}").json == sent.json


def test_the_same_key_sends_one_test(app: Flask, acme: Company) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}/test"
    headers = {"Idempotency-Key": "once"}
    first, second = (acme.post(path, headers=headers) for _ in range(2))
    assert first.json == second.json
    assert len(messages_of(app, acme)) == 1


def test_the_log_has_pages_and_filters(app: Flask, acme: Company) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}/deliveries"
    todo_list = add_list(acme, "Groceries")
    for title in ("A", "B", "C"):
        assert acme.patch(f"/lists/{todo_list['uuid']}", {"title": title}).status_code == 200
    end(app, acme, "list.added", FAILED)
    page = acme.get(path + "?size=2").json
    assert (page["total"], page["pages"], len(page["items"])) == (4, 2, 2)
    assert page["items"][0]["created_at"] > page["items"][1]["created_at"]
    oldest = acme.get(path + "?order=asc").json["items"][0]
    assert (oldest["event"], oldest["state"]) == ("list.added", "failed")
    assert acme.get(path + "?state=failed").json["total"] == 1
    assert acme.get(path + "?event=list.changed").json["total"] == 3
    after = oldest["created_at"].replace("+00:00", "Z")
    assert acme.get(f"{path}?since={after}").json["total"] == 4
    assert acme.get(f"{path}?until={after}").json["total"] == 0
    # A message of another webhook is none of its own.
    other = f"/webhooks/{add_webhook(acme)['uuid']}/deliveries"
    assert acme.get(other).json["total"] == 0
    assert_problem(acme.get(f"{other}/{oldest['uuid']}"), 404)


@pytest.mark.parametrize(
    "query", ["state=sent", "since=yesterday", "search=x", "field=payload", "size=101", "event="]
)
def test_queries_that_the_log_does_not_take(acme: Company, query: str) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}/deliveries"
    assert_problem(acme.get(f"{path}?{query}"), 422)


def test_one_message_is_sent_again_under_its_id(app: Flask, acme: Company) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    sent = acme.post(path + "/test").json
    end(app, acme, "webhook.test", DELIVERED, status=204)
    again = acme.post(f"{path}/deliveries/{sent['uuid']}/replay")
    assert again.status_code == 200
    assert again.json["uuid"] == sent["uuid"]
    assert (again.json["state"], again.json["attempts"]) == ("pending", 0)
    assert again.json["next_at"] is not None
    assert again.json["ended_at"] is None
    assert calls_of(app, acme) == 2
    assert_problem(acme.post(f"{path}/deliveries/{acme.uuid}/replay"), 404)


def test_what_failed_since_a_moment_is_sent_again(app: Flask, acme: Company) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    todo_list = add_list(acme, "Groceries")
    assert acme.patch(f"/lists/{todo_list['uuid']}", {"title": "A"}).status_code == 200
    acme.post(path + "/test")
    end(app, acme, "list.added", FAILED)
    end(app, acme, "list.changed", FAILED)
    end(app, acme, "webhook.test", DELIVERED)
    since = messages_of(app, acme)[1].created_at.isoformat()
    answer = acme.post(path + "/replay", {"since": since})
    assert answer.json == {"replayed": 1}
    assert [m.state for m in messages_of(app, acme)] == ["failed", "pending", "delivered"]
    body = {"since": LONG_AGO, "until": since, "state": "failed"}
    assert acme.post(path + "/replay", body).json == {"replayed": 1}
    body = {"since": LONG_AGO, "state": "delivered"}
    assert acme.post(path + "/replay", body).json == {"replayed": 1}
    messages = messages_of(app, acme)
    assert [m.state for m in messages] == ["pending"] * 3
    # They are due in the order in which they happened.
    due = [m.next_at for m in messages if m.next_at is not None]
    assert due == sorted(due)
    assert acme.post(path + "/replay", {"since": LONG_AGO}).json == {"replayed": 0}


def test_no_more_than_so_many_at_a_time(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "MOST_REPLAYED", 2)
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    for _ in range(3):
        acme.post(path + "/test")
    end(app, acme, "webhook.test", FAILED)
    counts = [acme.post(path + "/replay", {"since": LONG_AGO}).json["replayed"] for _ in range(3)]
    assert counts == [2, 1, 0]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"since": None},
        {"since": "yesterday"},
        {"since": LONG_AGO, "state": "pending"},
        {"since": LONG_AGO, "events": ["*"]},
    ],
)
def test_replays_that_cannot_be_asked_for(acme: Company, body: dict[str, Any]) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    assert_problem(acme.post(path + "/replay", body), 422)


def test_one_that_is_off_sends_nothing_and_fails_what_it_had(app: Flask, acme: Company) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    sent = acme.post(path + "/test").json
    assert acme.patch(path, {"is_active": False}).status_code == 200
    row = acme.get(f"{path}/deliveries/{sent['uuid']}").json
    assert (row["state"], row["error"]) == ("failed", "The webhook was switched off.")
    for tail, body in (
        ("/test", None),
        (f"/deliveries/{sent['uuid']}/replay", None),
        ("/replay", {"since": LONG_AGO}),
    ):
        problem = assert_problem(acme.post(path + tail, body), 409)
        assert problem["type"] == "urn:todo:problem:webhook-off"
    assert acme.patch(path, {"is_active": True}).status_code == 200
    assert acme.post(path + "/replay", {"since": LONG_AGO}).json == {"replayed": 1}


def test_deleting_a_webhook_takes_its_log(app: Flask, acme: Company) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    acme.post(path + "/test")
    assert acme.delete(path).status_code == 204
    assert messages_of(app, acme) == []
