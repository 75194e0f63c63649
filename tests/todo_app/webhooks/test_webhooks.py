"""Webhooks over the API: for administrators, with secrets that are shown once."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import (
    BAD_QUERIES,
    RAW_BODIES,
    assert_problem,
    assert_unreadable,
    at_once,
    inside,
    send_raw,
    statuses,
)
from tests.todo_app.people import (
    make_stale,
    person_who_may,
    records_of,
    robot_of,
)
from tests.todo_app.webhooks.kit import URL, add_webhook
from todo_app.database import db
from todo_app.secrets_box import unseal
from todo_app.webhooks.models import Webhook

BAD_URLS = [
    "",
    "ftp://hooks.example.com/",
    "https://localhost/",
    "https://127.0.0.1/",
    "http://[::1]/",
    "http://169.254.169.254/latest/meta-data",
    "https://10.0.0.1:8443/",
    "https://user:secret@hooks.example.com/",
    "https://hooks.example.com:22/",
    "https://hooks.example.com/#part",
    "https://hooks.internal/",
    "https://0x7f.1/",
    "https://hooks.example.com/\r\nX: y",
    "https://hooks.example.com/" + "a" * 3000,
    7,
    None,
    ["https://hooks.example.com/"],
]

BAD_EVENTS = [
    [],
    "task.added",
    None,
    ["task"],
    ["task.*", "no.such"],
    ["**"],
    [7],
    [None],
    ["*"] * 1000,
    {"*": True},
]


def test_a_webhook_is_made_shown_changed_and_deleted(app: Flask, acme: Company) -> None:
    made = add_webhook(acme, events=("task.*", "task.*", "comment.added"))
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["events"] == ["comment.added", "task.*"]
    assert made["is_active"] is True
    assert (made["off_reason"], made["failures"], made["former_secret_until"]) == (None, 0, None)
    assert made["created_by"]["uuid"] == acme.uuid
    path = f"/webhooks/{made['uuid']}"
    shown = acme.get(path)
    assert shown.json == made
    page = acme.get("/webhooks/")
    assert page.json["items"] == [made]
    assert acme.get("/webhooks/?search=HOOKS.example").json["total"] == 1
    assert acme.get("/webhooks/?search=nothing").json["total"] == 0
    assert secret not in shown.text + page.text

    changed = acme.patch(path, {"url": URL + "?key=secret", "is_active": False})
    assert changed.status_code == 200
    assert changed.json["url"] == URL + "?key=secret"
    assert changed.json["events"] == made["events"]
    assert acme.delete(path).status_code == 204
    assert_problem(acme.get(path), 404)
    assert records_of(app, acme, made["uuid"]) == [
        "webhook.added",
        "webhook.changed",
        "webhook.deleted",
    ]
    assert "key=secret" not in acme.get("/audit/?action=webhook.").text


def test_the_secret_is_kept_encrypted_and_a_new_one_does_not_end_the_old_one_at_once(
    app: Flask, acme: Company
) -> None:
    made = add_webhook(acme)
    rotated = acme.post(f"/webhooks/{made['uuid']}/rotate")
    assert rotated.status_code == 201
    assert rotated.json["secret"] != made["secret"]
    until = datetime.fromisoformat(rotated.json["former_secret_until"])
    assert timedelta(hours=23) < until - datetime.now(UTC) < timedelta(hours=25)
    with inside(app, acme.slug):
        row = db.session.scalars(sa.select(Webhook)).one()
        assert row.former_secret is not None
        assert made["secret"].encode() not in row.former_secret
        assert unseal(row.former_secret) == made["secret"]
        assert unseal(row.secret) == rotated.json["secret"]
        row.former_until = sa.func.now() - timedelta(seconds=1)
    shown = acme.get(f"/webhooks/{made['uuid']}").json
    assert shown["former_secret_until"] is None


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_that_nothing_is_sent_to(acme: Company, url: object) -> None:
    body = {"url": url, "events": ["*"]}
    problem = assert_problem(acme.post("/webhooks/", body), 422)
    assert "url" in problem["errors"]["json"]


def test_a_bad_url_is_no_change_either(acme: Company) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    for url in BAD_URLS:
        assert_problem(acme.patch(path, {"url": url}), 422)
    assert acme.get(path).json["url"] == URL


@pytest.mark.parametrize("events", BAD_EVENTS)
def test_events_that_there_are_not(acme: Company, events: object) -> None:
    problem = assert_problem(acme.post("/webhooks/", {"url": URL, "events": events}), 422)
    assert "events" in problem["errors"]["json"]


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    acme: Company, body: bytes, content_type: str, status: int
) -> None:
    assert_problem(send_raw(acme, "POST", "/webhooks/", body, content_type), status)


def test_nothing_but_what_is_known_is_taken(acme: Company) -> None:
    body = {"url": URL, "events": ["*"]}
    assert_problem(acme.post("/webhooks/", {**body, "secret": "whsec_MTIz"}), 422)
    assert_problem(acme.post("/webhooks/", {"url": URL}), 422)
    assert_unreadable(send_raw(acme, "POST", "/webhooks/", {**body, "url": "\ud800"}))
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    for change in ({"is_active": "no"}, {"is_active": None}, {"failures": 0}):
        assert_problem(acme.patch(path, change), 422)


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_queries_that_no_page_takes(acme: Company, query: str) -> None:
    assert_problem(acme.get(f"/webhooks/?{query}"), 422)


def test_only_administrators_see_them(acme: Company) -> None:
    webhook = add_webhook(acme)
    writer = person_who_may(acme, "tasks:read", "tasks:write", "users:read", "users:write")
    path = f"/webhooks/{webhook['uuid']}"
    assert_problem(writer.get("/webhooks/"), 403)
    assert_problem(writer.post("/webhooks/", {"url": URL, "events": ["*"]}), 403)
    for method, tail in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/rotate"),
        ("POST", "/test"),
        ("POST", "/replay"),
        ("GET", "/deliveries"),
    ):
        assert_problem(writer.call(method, path + tail, json={}), 403)


def test_another_companys_webhook_is_not_there(acme: Company, globex: Company) -> None:
    webhook = add_webhook(acme)
    delivery = acme.post(f"/webhooks/{webhook['uuid']}/test").json
    own = add_webhook(globex)
    path = f"/webhooks/{webhook['uuid']}"
    since = {"since": "2026-01-01T00:00:00Z"}
    for method, tail, body in (
        ("GET", "", None),
        ("PATCH", "", {"is_active": False}),
        ("DELETE", "", None),
        ("POST", "/rotate", None),
        ("POST", "/test", None),
        ("POST", "/replay", since),
        ("GET", "/deliveries", None),
        ("GET", f"/deliveries/{delivery['uuid']}", None),
        ("POST", f"/deliveries/{delivery['uuid']}/replay", None),
    ):
        assert_problem(globex.call(method, path + tail, json=body), 404)
    # Nor is a message there in the log of another webhook.
    other = f"/webhooks/{own['uuid']}/deliveries/{delivery['uuid']}"
    assert_problem(globex.get(other), 404)
    assert_problem(globex.post(other + "/replay"), 404)
    assert [row["uuid"] for row in globex.get("/webhooks/").json["items"]] == [own["uuid"]]
    assert acme.get(path).json["is_active"] is True


def test_where_data_goes_is_said_with_the_password_shown_lately(app: Flask, acme: Company) -> None:
    webhook = add_webhook(acme)
    path = f"/webhooks/{webhook['uuid']}"
    robot = robot_of(acme)
    assert_problem(robot.post("/webhooks/", {"url": URL, "events": ["*"]}), 403)
    assert_problem(robot.patch(path, {"is_active": False}), 403)
    assert robot.get(path).status_code == 200
    assert robot.post(path + "/test").status_code == 201
    make_stale(app, acme)
    for method, where, body in (
        ("POST", "/webhooks/", {"url": URL, "events": ["*"]}),
        ("PATCH", path, {"url": URL + "2"}),
        ("POST", path + "/rotate", None),
    ):
        problem = assert_problem(acme.call(method, where, json=body), 401)
        assert problem["type"] == "urn:todo:problem:step-up-needed"
    assert acme.delete(path).status_code == 204


def test_a_change_of_an_old_version_is_refused(acme: Company) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    etag = acme.get(path).headers["ETag"]
    assert acme.get(path, headers={"If-None-Match": etag}).status_code == 304
    first = acme.patch(path, {"events": ["list.*"]}, headers={"If-Match": etag})
    assert first.status_code == 200
    late = {"If-Match": etag}
    assert_problem(acme.patch(path, {"events": ["task.*"]}, headers=late), 412)
    assert_problem(acme.post(path + "/rotate", headers=late), 412)
    assert_problem(acme.delete(path, headers=late), 412)
    assert acme.get(path).json["events"] == ["list.*"]


def test_twenty_are_enough_also_at_one_instant(app: Flask, acme: Company) -> None:
    for _ in range(17):
        add_webhook(acme)
    body = {"url": URL, "events": ["*"]}
    answers = at_once(app, *[(acme, lambda person: person.post("/webhooks/", body))] * 6)
    assert statuses(answers) == [201, 201, 201, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert assert_problem(refused, 409)["type"] == "urn:todo:problem:too-many-webhooks"


def test_changes_at_one_instant_lose_nothing(app: Flask, acme: Company) -> None:
    path = f"/webhooks/{add_webhook(acme)['uuid']}"
    etag = acme.get(path).headers["ETag"]
    answers = at_once(
        app,
        *[
            (
                acme,
                lambda person: person.patch(
                    path, {"url": f"{URL}/{uuid.uuid4()}"}, headers={"If-Match": etag}
                ),
            )
        ]
        * 5,
    )
    assert statuses(answers) == [200, 412, 412, 412, 412]


def test_without_a_key_for_secrets_there_are_none(app: Flask, acme: Company) -> None:
    settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(settings, secrets_keys=())
    try:
        answer = acme.post("/webhooks/", {"url": URL, "events": ["*"]})
    finally:
        app.config["SETTINGS"] = settings
    assert assert_problem(answer, 409)["type"] == "urn:todo:problem:webhooks-unavailable"
