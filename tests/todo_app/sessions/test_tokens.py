"""API tokens: made, used, rotated, revoked."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import (
    BAD_TEXTS,
    RAW_BODIES,
    assert_problem,
    at_once,
    inside,
    send_raw,
    statuses,
)
from tests.todo_app.sessions import kit
from tests.todo_app.sessions.kit import NEW_PASSWORD, actions, move_session, outbox, stale
from todo_app.auth import SCOPES
from todo_app.database import db
from todo_app.sessions import tokens
from todo_app.sessions.models import AccessToken


def soon(days: float = 30) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def make(person: Person, *scopes: str, **more: Any) -> Any:
    body = {"name": "Export", "scopes": scopes or ["tasks:read"], "expires_at": soon(), **more}
    return person.post("/auth/tokens", body)


def program(person: Person, *scopes: str, **more: Any) -> Person:
    """A program that calls with an API token of the person."""
    answer = make(person, *scopes, **more)
    assert answer.status_code == 201, answer.json
    token = answer.json["token"]
    return Person(person.client, person.slug, token, answer.json["uuid"], person.email)


def test_a_token_is_shown_once(app: Flask, acme: Company) -> None:
    answer = make(acme, "tasks:write", "tasks:read", "tasks:read")
    assert answer.status_code == 201
    token = answer.json["token"]
    assert token.startswith(f"{acme.schema_name}.api_")
    assert answer.json["scopes"] == ["tasks:read", "tasks:write"]
    listed = acme.get("/auth/tokens")
    assert [item["uuid"] for item in listed.json["items"]] == [answer.json["uuid"]]
    assert token.partition(".")[2] not in listed.text
    with inside(app, acme.slug):
        assert token.encode() not in db.session.scalars(sa.select(AccessToken.digest)).all()
    assert "A new API token" in outbox(app, acme.email)
    assert "api_token.made" in actions(app, acme)


def test_a_token_does_what_its_scopes_say(acme: Company) -> None:
    reader = program(acme, "tasks:read")
    assert reader.get("/lists/").status_code == 200
    answer = reader.post("/lists/", {"title": "List"})
    assert assert_problem(answer, 403)["type"] == "urn:todo:problem:insufficient-scope"
    assert 'scope="tasks:write"' in answer.headers["WWW-Authenticate"]
    assert_problem(reader.get("/users/"), 403)
    admin = program(acme, "admin")
    assert admin.get("/users/").status_code == 200
    assert admin.post("/lists/", {"title": "List"}).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/auth/sessions"),
        ("DELETE", "/auth/sessions"),
        ("GET", "/auth/tokens"),
        ("POST", "/auth/tokens"),
        ("POST", "/auth/step-up"),
        ("POST", "/auth/password"),
        ("POST", "/auth/logout"),
        ("GET", "/auth/two-factor"),
        ("POST", "/auth/two-factor"),
    ],
)
def test_no_token_does_what_needs_a_session(acme: Company, method: str, path: str) -> None:
    answer = program(acme, *SCOPES).call(method, path)
    assert assert_problem(answer, 403)["type"] == "urn:todo:problem:insufficient-scope"


def test_a_token_may_do_no_more_than_its_user_may_now(acme: Company) -> None:
    person = acme.add_person("admin")
    token = program(person, "admin")
    assert token.post("/lists/", {"title": "List"}).status_code == 201
    changed = acme.patch(f"/users/{person.uuid}", {"role_uuid": acme.role_uuid("read_only")})
    assert changed.status_code == 200
    assert_problem(token.post("/lists/", {"title": "List"}), 403)
    assert token.get("/lists/").status_code == 200


def test_verify_tells_the_scopes(company: Company) -> None:
    token = program(company, "tasks:read")
    answer = company.client.get(f"/auth/verify/{token.token}")
    assert (answer.json["kind"], answer.json["scopes"]) == ("api_token", ["tasks:read"])
    answer = company.client.get(f"/auth/verify/{company.token}")
    assert (answer.json["kind"], answer.json["scopes"]) == ("session", None)


def test_the_last_use_is_shown(acme: Company) -> None:
    token = program(acme, "tasks:read")
    [item] = acme.get("/auth/tokens").json["items"]
    assert (item["last_used_at"], item["place"]) == (None, None)
    token.get("/lists/")
    [item] = acme.get("/auth/tokens").json["items"]
    assert datetime.now(UTC) - datetime.fromisoformat(item["last_used_at"]) < timedelta(minutes=1)
    assert item["place"] == "127.0.0.1"


def test_use_does_not_lengthen_a_tokens_life(app: Flask, acme: Company) -> None:
    token = program(acme, "tasks:read")
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    move_session(app, token, expires_at=expires_at, last_used_at=None)
    assert token.get("/lists/").status_code == 200
    assert kit.session_row(app, token).expires_at == expires_at


def test_a_token_ends(app: Flask, acme: Company) -> None:
    token = program(acme, "tasks:read")
    move_session(app, token, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert_problem(token.get("/lists/"), 401)
    assert acme.get("/auth/tokens").json["items"] == []
    assert_problem(acme.delete(f"/auth/tokens/{token.uuid}"), 404)
    assert_problem(acme.post(f"/auth/tokens/{token.uuid}/rotate", {}), 404)


def test_a_revoked_token_is_gone(app: Flask, acme: Company) -> None:
    token = program(acme, "tasks:read")
    assert acme.delete(f"/auth/tokens/{token.uuid}").status_code == 204
    assert_problem(token.get("/lists/"), 401)
    assert_problem(acme.delete(f"/auth/tokens/{token.uuid}"), 404)
    assert actions(app, acme)[-1] == "api_token.revoked"


def test_rotation_replaces_a_token_at_once(app: Flask, acme: Company) -> None:
    old = program(acme, "tasks:read", "users:read")
    answer = acme.post(f"/auth/tokens/{old.uuid}/rotate", {})
    assert answer.status_code == 201
    new = Person(acme.client, acme.slug, answer.json["token"], answer.json["uuid"], acme.email)
    assert answer.json["name"] == "Export"
    assert answer.json["scopes"] == ["tasks:read", "users:read"]
    lasts = datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)
    assert abs(lasts - timedelta(days=30)) < timedelta(minutes=1)
    assert_problem(old.get("/lists/"), 401)
    assert new.get("/lists/").status_code == 200
    assert actions(app, acme)[-1] == "api_token.rotated"


def test_rotation_may_leave_the_old_token_a_while(app: Flask, acme: Company) -> None:
    old = program(acme, "tasks:read")
    answer = acme.post(f"/auth/tokens/{old.uuid}/rotate", {"overlap_seconds": 3600})
    assert answer.status_code == 201
    assert old.get("/lists/").status_code == 200
    left = kit.session_row(app, old).expires_at - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    problem = assert_problem(acme.post(f"/auth/tokens/{old.uuid}/rotate", {}), 409)
    assert problem["type"] == "urn:todo:problem:token-rotated"


def test_a_token_is_rotated_once_of_two_at_one_instant(app: Flask, acme: Company) -> None:
    old = program(acme, "tasks:read")
    path = f"/auth/tokens/{old.uuid}/rotate"
    answers = at_once(app, *[(acme, lambda p: p.post(path, {"overlap_seconds": 60}))] * 2)
    assert statuses(answers) == [201, 409]
    assert len(acme.get("/auth/tokens").json["items"]) == 2


@pytest.mark.parametrize("overlap", [-1, 7 * 24 * 3600 + 1, 1.5, "soon", None, 2**60])
def test_a_bad_overlap_is_422(company: Company, overlap: Any) -> None:
    token = program(company, "tasks:read")
    answer = company.post(f"/auth/tokens/{token.uuid}/rotate", {"overlap_seconds": overlap})
    assert_problem(answer, 422)
    assert company.delete(f"/auth/tokens/{token.uuid}").status_code == 204


def test_making_tokens_needs_a_fresh_password(app: Flask, acme: Company) -> None:
    token = program(acme, "tasks:read")
    stale(app, acme)
    for answer in (make(acme), acme.post(f"/auth/tokens/{token.uuid}/rotate", {})):
        assert assert_problem(answer, 401)["type"] == "urn:todo:problem:step-up-needed"
    assert acme.get("/auth/tokens").status_code == 200
    assert acme.delete(f"/auth/tokens/{token.uuid}").status_code == 204


def test_tokens_outlive_a_changed_password_and_not_their_user(acme: Company) -> None:
    person = acme.add_person()
    token = program(person, "tasks:read")
    body = {"current_password": "correct horse battery", "password": NEW_PASSWORD}
    assert person.post("/auth/password", body).status_code == 204
    assert token.get("/lists/").status_code == 200
    assert person.post("/auth/logout").status_code == 204
    assert token.get("/lists/").status_code == 200
    acme.patch(f"/users/{person.uuid}", {"is_active": False})
    assert_problem(token.get("/lists/"), 401)


def test_tokens_of_others_are_404(company: Company, stranger: Company) -> None:
    token = program(company, "tasks:read")
    colleague = company.add_person("admin")
    for other in (stranger, colleague):
        assert token.uuid not in other.get("/auth/tokens").text
        assert_problem(other.delete(f"/auth/tokens/{token.uuid}"), 404)
        assert_problem(other.post(f"/auth/tokens/{token.uuid}/rotate", {}), 404)
    # A session is no API token.
    session = company.get("/auth/sessions").json["items"][0]["uuid"]
    assert_problem(company.delete(f"/auth/tokens/{session}"), 404)
    assert_problem(company.delete(f"/auth/sessions/{token.uuid}"), 404)
    assert company.delete(f"/auth/tokens/{token.uuid}").status_code == 204


def test_nobody_makes_tokens_without_a_session(company: Company) -> None:
    for method, path in (
        ("GET", "/auth/tokens"),
        ("POST", "/auth/tokens"),
        ("DELETE", f"/auth/tokens/{uuid.uuid4()}"),
        ("POST", f"/auth/tokens/{uuid.uuid4()}/rotate"),
    ):
        answer = company.client.open(path, method=method, headers={"tenant": company.slug})
        assert_problem(answer, 401)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"scopes": ["tasks:read"] * 5}, "scopes"),
        ({"scopes": "tasks:read"}, "scopes"),
        ({"scopes": None}, "scopes"),
        ({"scopes": [["tasks:read"]]}, "scopes"),
        ({"expires_at": None}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": soon(-1)}, "expires_at"),
        ({"expires_at": soon(367)}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59Z"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"user_uuid": str(uuid.uuid4())}, "user_uuid"),
    ],
)
def test_bad_input_is_named(company: Company, values: dict[str, Any], field: str) -> None:
    assert set(assert_problem(make(company, **values), 422)["errors"]["json"]) == {field}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_bad_name_is_422(company: Company, name: Any) -> None:
    assert_problem(make(company, name=name), 422)


@pytest.mark.parametrize("missing", ["name", "scopes", "expires_at"])
def test_each_value_is_needed(company: Company, missing: str) -> None:
    body = {"name": "Export", "scopes": ["tasks:read"], "expires_at": soon()}
    del body[missing]
    assert_problem(company.post("/auth/tokens", body), 422)


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, body: bytes, content_type: str, status: int
) -> None:
    assert_problem(send_raw(company, "POST", "/auth/tokens", body, content_type), status)


def test_a_user_has_so_many_tokens_and_no_more(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
    make(acme)
    answers = at_once(app, *[(acme, make)] * 3)
    assert statuses(answers) == [201, 409, 409]
