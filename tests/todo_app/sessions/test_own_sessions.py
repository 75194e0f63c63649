"""The own sessions: seen, ended, and how long they last."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person, sign_in
from tests.todo_app.helpers import assert_problem, at_once, statuses
from tests.todo_app.sessions.kit import actions, log_in, move_session, session_row


def again(person: Person) -> Person:
    """Another session of the same person."""
    return sign_in(person.client, person.slug, person.email)


def test_sessions_are_listed_with_device_and_place(company: Company) -> None:
    person = company.add_person()
    headers = {"tenant": person.slug, "User-Agent": "Phone/1.0"}
    body = {"email": person.email, "password": "correct horse battery"}
    environ = {"REMOTE_ADDR": "203.0.113.7"}
    person.client.post("/auth/login", json=body, headers=headers, environ_base=environ)
    items = person.get("/auth/sessions").json["items"]
    assert len(items) == 2
    assert [item["is_current"] for item in items] == [False, True]
    phone = items[0]
    assert (phone["device"], phone["place"]) == ("Phone/1.0", "203.0.113.7")
    assert phone["is_permanent"] is False
    assert datetime.fromisoformat(phone["last_used_at"]) <= datetime.now(UTC)
    assert "token" not in phone


def test_only_the_own_sessions_are_seen_and_ended(company: Company, stranger: Company) -> None:
    person = company.add_person()
    theirs = person.get("/auth/sessions").json["items"][0]["uuid"]
    for other in (company, stranger):
        assert theirs not in other.get("/auth/sessions").text
        assert_problem(other.delete(f"/auth/sessions/{theirs}"), 404)
    assert person.get("/auth/sessions").status_code == 200


def test_one_session_is_ended(app: Flask, acme: Company) -> None:
    other = again(acme)
    [item] = [i for i in acme.get("/auth/sessions").json["items"] if not i["is_current"]]
    assert acme.delete(f"/auth/sessions/{item['uuid']}").status_code == 204
    assert_problem(other.get("/auth/sessions"), 401)
    assert acme.get("/auth/sessions").status_code == 200
    assert_problem(acme.delete(f"/auth/sessions/{item['uuid']}"), 404)
    assert actions(app, acme)[-1] == "session.ended"


def test_a_session_is_ended_once_of_two_at_one_instant(app: Flask, acme: Company) -> None:
    again(acme)
    [item] = [i for i in acme.get("/auth/sessions").json["items"] if not i["is_current"]]
    path = f"/auth/sessions/{item['uuid']}"
    answers = at_once(app, *[(acme, lambda p: p.delete(path))] * 2)
    assert statuses(answers) == [204, 404]


def test_all_other_sessions_are_ended(company: Company) -> None:
    person = company.add_person()
    others = [again(person), again(person)]
    assert person.delete("/auth/sessions").status_code == 204
    for other in others:
        assert_problem(other.get("/auth/sessions"), 401)
    assert person.get("/auth/sessions").status_code == 200
    assert company.get("/auth/sessions").status_code == 200


def test_all_sessions_are_ended_with_this_one(company: Company) -> None:
    person = company.add_person()
    other = again(person)
    assert person.delete("/auth/sessions?including_this=true").status_code == 204
    for session in (person, other):
        assert_problem(session.get("/auth/sessions"), 401)


@pytest.mark.parametrize("query", ["including_this=perhaps", "including_this=", "all=true"])
def test_bad_queries_end_nothing(company: Company, query: str) -> None:
    person = company.add_person()
    other = again(person)
    assert_problem(person.delete(f"/auth/sessions?{query}"), 422)
    assert other.get("/auth/sessions").status_code == 200


def test_nobody_ends_sessions_without_a_token(company: Company) -> None:
    client = company.client
    for method, path in (
        ("GET", "/auth/sessions"),
        ("DELETE", "/auth/sessions"),
        ("DELETE", f"/auth/sessions/{uuid.uuid4()}"),
    ):
        answer = client.open(path, method=method, headers={"tenant": company.slug})
        assert_problem(answer, 401)


@pytest.mark.parametrize(("permanent", "days"), [(False, 1), (True, 30)])
def test_use_slides_the_end_on(app: Flask, acme: Company, permanent: bool, days: int) -> None:
    person = with_session(acme, permanent)
    now = datetime.now(UTC)
    move_session(
        app,
        person,
        last_used_at=now - timedelta(minutes=2),
        expires_at=now + timedelta(minutes=1),
        address=None,
    )
    assert person.get("/auth/sessions").status_code == 200
    row = session_row(app, person)
    assert abs(row.expires_at - now - timedelta(days=days)) < timedelta(minutes=1)
    assert row.address == "127.0.0.1"


def test_use_is_noted_once_a_minute(app: Flask, acme: Company) -> None:
    before = session_row(app, acme)
    acme.get("/auth/sessions")
    after = session_row(app, acme)
    assert (before.last_used_at, before.expires_at) == (after.last_used_at, after.expires_at)


@pytest.mark.parametrize(("permanent", "days"), [(False, 7), (True, 180)])
def test_no_use_slides_a_session_past_its_absolute_end(
    app: Flask, acme: Company, permanent: bool, days: int
) -> None:
    person = with_session(acme, permanent)
    row = session_row(app, person)
    assert row.ends_at is not None
    assert abs(row.ends_at - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)
    soon = datetime.now(UTC) + timedelta(minutes=5)
    move_session(
        app, person, ends_at=soon, expires_at=soon, last_used_at=soon - timedelta(minutes=7)
    )
    assert person.get("/auth/sessions").status_code == 200
    row = session_row(app, person)
    assert row.expires_at == soon
    assert row.last_used_at is not None
    assert row.last_used_at > soon - timedelta(minutes=6)


def test_a_session_from_before_there_were_absolute_ends_does_not_slide(
    app: Flask, acme: Company
) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=3)
    move_session(app, acme, ends_at=None, last_used_at=None, expires_at=expires_at)
    assert acme.get("/auth/sessions").status_code == 200
    row = session_row(app, acme)
    assert row.expires_at == expires_at
    assert row.last_used_at is not None


def test_an_unused_session_ends(app: Flask, acme: Company) -> None:
    move_session(app, acme, expires_at=sa.func.now() - timedelta(seconds=1))
    assert_problem(acme.get("/auth/sessions"), 401)
    other = again(acme)
    assert len(other.get("/auth/sessions").json["items"]) == 1


def with_session(person: Person, permanent: bool) -> Person:
    answer = log_in(person, permanent=permanent)
    return Person(person.client, person.slug, answer.json["token"], person.uuid, person.email)
