"""Showing the password again, and changing it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import PASSWORD, Company, sign_in, wait_until
from tests.todo_app.helpers import (
    LONE_SURROGATE,
    RAW_BODIES,
    assert_problem,
    assert_unreadable,
    at_once,
    inside,
    send_raw,
    statuses,
)
from tests.todo_app.sessions.kit import NEW_PASSWORD, actions, enrol, log_in, outbox, stale
from todo_app.accounts.service import get_user
from todo_app.database import db
from todo_app.hashing import BusyError
from todo_app.permissions.models import Role
from todo_app.sessions import own_password
from todo_app.sessions.models import AccessToken, end_all_tokens
from todo_app.tenancy import operations

SIGNED_IN_ONLY = [
    ("/auth/step-up", {"password": PASSWORD}),
    ("/auth/password", {"current_password": PASSWORD, "password": NEW_PASSWORD}),
]


def change(person: Any, current: Any = PASSWORD, password: Any = NEW_PASSWORD) -> Any:
    return person.post("/auth/password", {"current_password": current, "password": password})


def test_step_up_opens_what_needs_a_fresh_password(app: Flask, acme: Company) -> None:
    stale(app, acme)
    answer = acme.post("/auth/two-factor")
    assert assert_problem(answer, 401)["type"] == "urn:todo:problem:step-up-needed"
    assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
    assert acme.post("/auth/step-up", {"password": PASSWORD}).status_code == 204
    assert acme.post("/auth/two-factor").status_code == 201
    assert "session.stepped_up" in actions(app, acme)


def test_a_wrong_password_steps_nobody_up(app: Flask, acme: Company) -> None:
    stale(app, acme)
    answer = acme.post("/auth/step-up", {"password": "wrong password"})
    assert assert_problem(answer, 401)["type"] == "urn:todo:problem:wrong-credentials"
    assert_problem(acme.post("/auth/two-factor"), 401)


def test_step_up_counts_with_log_in(acme: Company) -> None:
    for _ in range(3):
        assert_problem(acme.post("/auth/step-up", {"password": "wrong password"}), 401)
    for _ in range(2):
        assert_problem(log_in(acme, "wrong password"), 401)
    answer = acme.post("/auth/step-up", {"password": PASSWORD})
    assert assert_problem(answer, 429)["type"] == "urn:todo:problem:too-many-attempts"


def test_a_changed_password_ends_the_other_sessions(app: Flask, acme: Company) -> None:
    other = sign_in(acme.client, acme.slug, acme.email)
    assert change(acme).status_code == 204
    assert acme.get("/users/").status_code == 200
    assert_problem(other.get("/users/"), 401)
    assert_problem(log_in(acme), 401)
    assert log_in(acme, NEW_PASSWORD).status_code == 200
    assert "Your password has changed" in outbox(app, acme.email)
    assert "password.changed" in actions(app, acme)


def test_the_current_password_must_be_right(acme: Company) -> None:
    assert_problem(change(acme, "wrong password"), 401)
    assert log_in(acme).status_code == 200


@pytest.mark.parametrize("password", ["short", "password123", "x" * 257, "", 7, None, ["p" * 9]])
def test_a_bad_new_password_is_422(company: Company, password: Any) -> None:
    problem = assert_problem(change(company, password=password), 422)
    assert "password" in problem["errors"]["json"]


def test_of_two_changes_at_one_instant_one_wins(app: Flask, acme: Company) -> None:
    answers = at_once(
        app,
        (acme, lambda p: change(p, password="the first new one")),
        (acme, lambda p: change(p, password="the second new one")),
    )
    assert statuses(answers) == [204, 401]
    winner = "the first new one" if answers[0].status_code == 204 else "the second new one"
    assert log_in(acme, winner).status_code == 200


@pytest.mark.parametrize(("path", "body"), SIGNED_IN_ONLY)
def test_nobody_does_it_without_a_session(
    company: Company, path: str, body: dict[str, Any]
) -> None:
    answer = company.client.post(path, json=body, headers={"tenant": company.slug})
    assert_problem(answer, 401)


@pytest.mark.parametrize(("path", "body"), SIGNED_IN_ONLY)
def test_unknown_and_missing_fields_are_422(
    company: Company, path: str, body: dict[str, Any]
) -> None:
    assert_problem(company.post(path, {**body, "more": 1}), 422)
    assert_problem(company.post(path, {}), 422)


@pytest.mark.parametrize(("path", "body"), SIGNED_IN_ONLY)
def test_lone_surrogates_break_nothing(company: Company, path: str, body: dict[str, Any]) -> None:
    person = company.add_person()
    for field in body:
        answer = send_raw(person, "POST", path, {**body, field: LONE_SURROGATE})
        assert_unreadable(answer)


@pytest.mark.parametrize("path", [path for path, _ in SIGNED_IN_ONLY])
@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, path: str, body: bytes, content_type: str, status: int
) -> None:
    assert_problem(send_raw(company, "POST", path, body, content_type), status)


def test_a_changed_password_is_no_step_up_for_who_has_a_second_factor(
    app: Flask, acme: Company
) -> None:
    """Nobody was asked for a code, and without one the factor cannot be switched off."""
    enrol(acme)
    stale(app, acme)
    assert change(acme).status_code == 204
    answer = acme.delete("/auth/two-factor")
    assert assert_problem(answer, 401)["type"] == "urn:todo:problem:step-up-needed"


def test_a_password_that_nobody_looked_at_is_no_failure(
    acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> None:
        raise BusyError

    with monkeypatch.context() as patch:
        patch.setattr(own_password, "in_turn", busy)
        assert [change(acme).status_code for _ in range(6)] == [503] * 6
    assert change(acme).status_code == 204


CHANGES_OF_ONESELF = [
    ("POST", "/auth/password", {"current_password": PASSWORD, "password": NEW_PASSWORD}),
    ("POST", "/auth/two-factor/confirm", {"code": "123456"}),
    (
        "POST",
        "/auth/tokens",
        {"name": "Late", "scopes": ["tasks:read"], "expires_at": "2027-01-01T00:00:00Z"},
    ),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES_OF_ONESELF)
@pytest.mark.parametrize("change", ["role", "deactivated"])
def test_a_session_that_ends_meanwhile_changes_nothing(
    app: Flask, acme: Company, method: str, path: str, body: Any, change: str
) -> None:
    """Above all, it leaves no API token that is good again when the person is reactivated."""
    person = acme.add_person()
    same = replace(person, client=app.test_client())
    with ThreadPoolExecutor(1) as pool:
        with inside(app, acme.slug):
            user = get_user(uuid.UUID(person.uuid), for_update=True)
            late = pool.submit(same.call, method, path, json=body)
            wait_until(lambda: waiting(app), 10)
            if change == "role":
                reader = sa.select(Role).where(Role.name == "read_only")
                user.role = db.session.scalars(reader).one()
            else:
                user.is_active = False
            end_all_tokens(user.id)
        assert_problem(late.result(), 401)
    with inside(app, acme.slug):
        tokens = sa.select(AccessToken.id).where(AccessToken.user_id == user.id)
        assert db.session.scalars(tokens).all() == []


def waiting(app: Flask) -> bool:
    """Whether a statement waits for a row that somebody else has locked."""
    found = "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
    with app.app_context(), operations():
        return bool(db.session.scalar(sa.text(found)))
