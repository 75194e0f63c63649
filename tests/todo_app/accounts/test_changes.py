"""Changes of others: what needs the password shown lately, which sessions end, who is told."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.factories import PASSWORD, Company, mailed_token, mails_to, new_user, sign_in
from tests.todo_app.helpers import assert_problem, at_once, inside, statuses
from tests.todo_app.people import (
    STALE,
    entries_of,
    limit_accounts,
    make_stale,
    records_of,
    robot_of,
    some_email,
)
from todo_app.accounts import changes
from todo_app.registration import resets

NEW_PASSWORD = "another good one"


@pytest.mark.parametrize("field", ["password", "role_uuid", "email"])
def test_others_get_a_new_password_role_or_address_from_fresh_sessions_only(
    app: Flask, acme: Company, field: str
) -> None:
    person = acme.add_person()
    path = f"/users/{person.uuid}"
    before = acme.get(path).json
    values = {
        "password": NEW_PASSWORD,
        "role_uuid": acme.role_uuid("read_only"),
        "email": some_email(),
    }
    make_stale(app, acme)
    answer = acme.patch(path, {field: values[field], "first_name": "Never"})
    assert assert_problem(answer, 401)["type"] == STALE
    assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
    assert acme.get(path).json == before
    assert person.get("/users/me").status_code == 200
    same = {"role_uuid": acme.role_uuid("user"), "email": person.email, "phone": "1"}
    assert acme.patch(path, same).status_code == 200


@pytest.mark.parametrize("field", ["password", "role_uuid", "email"])
def test_an_api_token_cannot_give_others_these(acme: Company, field: str) -> None:
    person = acme.add_person()
    robot = robot_of(acme)
    values = {
        "password": NEW_PASSWORD,
        "role_uuid": acme.role_uuid("read_only"),
        "email": some_email(),
    }
    answer = robot.patch(f"/users/{person.uuid}", {field: values[field]})
    assert assert_problem(answer, 403)["type"] == "urn:todo:problem:insufficient-scope"
    assert robot.patch(f"/users/{person.uuid}", {"first_name": "By robot"}).status_code == 200


def test_a_new_password_of_others_ends_their_sessions_and_tells_them(
    app: Flask, acme: Company
) -> None:
    person = acme.add_person()
    other = sign_in(acme.client, acme.slug, person.email)
    assert acme.patch(f"/users/{person.uuid}", {"password": NEW_PASSWORD}).status_code == 200
    for session in (person, other):
        assert_problem(session.get("/users/me"), 401)
    assert acme.get("/users/me").status_code == 200
    assert "password of your account" in mails_to(app, person.email)[-1]
    assert records_of(app, acme, person.uuid)[-1] == "password.changed"
    sign_in(acme.client, acme.slug, person.email, NEW_PASSWORD)


def test_a_new_password_of_your_own_ends_the_other_sessions(app: Flask, acme: Company) -> None:
    other = sign_in(acme.client, acme.slug, acme.email)
    assert acme.patch(f"/users/{acme.uuid}", {"password": NEW_PASSWORD}).status_code == 200
    assert acme.get("/users/me").status_code == 200
    assert_problem(other.get("/users/me"), 401)


@pytest.mark.parametrize("password", ["password1234", "lovelace", "hopper2026", "short", "p" * 257])
def test_bad_passwords(acme: Company, password: str) -> None:
    person = acme.add_person()
    change = {"password": password, "last_name": "Lovelace"}
    answers = [
        acme.patch(f"/users/{person.uuid}", change),
        acme.post(
            "/users/",
            new_user(some_email(), acme.role_uuid("user"), **change)
            | {"first_name": "Hopper", "password": password},
        ),
    ]
    for answer in answers:
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"password"}
    assert person.get("/users/me").json["last_name"] == "Hopper"


def test_no_transaction_is_open_while_a_password_is_hashed(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may do all to the same person meanwhile."""
    person = acme.add_person()
    own = acme.add_person("master_admin")
    hashed: list[int] = []

    def hash_slowly(password: str) -> str:
        answer = own.patch(f"/users/{person.uuid}", {"first_name": "Meanwhile"})
        hashed.append(answer.status_code)
        return "!"

    monkeypatch.setattr(changes, "hash_password", hash_slowly)
    assert acme.patch(f"/users/{person.uuid}", {"password": NEW_PASSWORD}).status_code == 200
    assert hashed == [200]


def test_a_new_address_of_others_is_confirmed_and_the_old_one_told(
    app: Flask, acme: Company
) -> None:
    person = acme.add_person()
    new = some_email()
    changed = acme.patch(f"/users/{person.uuid}", {"email": new})
    assert (changed.json["email"], changed.json["is_verified"]) == (new, False)
    assert "new email address" in mails_to(app, person.email)[-1]
    body = {"token": mailed_token(app, new), "password": PASSWORD}
    assert acme.client.post("/auth/first_run", json=body).status_code == 200
    assert acme.get(f"/users/{person.uuid}").json["is_verified"] is True


def test_mailboxes_that_exist_for_a_while_are_refused(acme: Company) -> None:
    person = acme.add_person()
    for answer in (
        acme.post("/users/", new_user("x@mailinator.com", acme.role_uuid("user"))),
        acme.patch(f"/users/{person.uuid}", {"email": "x@mailinator.com"}),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"email"}


def test_deactivation_ends_sessions_and_api_tokens(acme: Company) -> None:
    person = acme.add_person()
    robot = robot_of(person, "tasks:read")
    assert robot.get("/lists/").status_code == 200
    for is_active in (False, True):
        acme.patch(f"/users/{person.uuid}", {"is_active": is_active})
    for caller in (person, robot):
        assert_problem(caller.get("/lists/"), 401)


def test_what_is_recorded_holds_no_names_and_no_secrets(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    values: dict[str, Any] = {"first_name": "Wilhelmina", "phone": "+48 777", "email": some_email()}
    acme.patch(f"/users/{person.uuid}", {**values, "password": NEW_PASSWORD})
    text = str([details for _, details in entries_of(app, acme, person.uuid)])
    for value in (*values.values(), NEW_PASSWORD, person.email):
        assert value not in text
    assert "first_name" in text


def test_two_new_passwords_at_once_leave_one(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    passwords = ["first good one", "second good one"]
    answers = at_once(
        app,
        *[
            (acme, lambda own, p=text: own.patch(f"/users/{person.uuid}", {"password": p}))
            for text in passwords
        ],
    )
    assert statuses(answers) == [200, 200]
    body = [{"email": person.email, "password": text} for text in passwords]
    tried = [
        acme.client.post("/auth/login", json=one, headers={"tenant": acme.slug}) for one in body
    ]
    assert statuses(tried) == [200, 401]


def test_the_account_limit_holds_for_added_and_returned_users(app: Flask, acme: Company) -> None:
    gone = acme.add_person()
    acme.delete(f"/users/{gone.uuid}")
    limit_accounts(app, acme, 2)
    away = acme.add_person()
    acme.patch(f"/users/{away.uuid}", {"is_active": False})
    full = "urn:todo:problem:account-limit"
    role = acme.role_uuid("user")
    for answer in (
        acme.post("/users/", new_user(some_email(), role)),
        acme.post(f"/users/{gone.uuid}/reactivate"),
    ):
        assert assert_problem(answer, 409)["type"] == full
    # Whoever is inactive has their place already.
    assert acme.post(f"/users/{away.uuid}/reactivate").status_code == 200


@pytest.mark.parametrize("attempt", range(3))
def test_the_account_limit_holds_when_two_come_at_once(
    app: Flask, acme: Company, attempt: int
) -> None:
    limit_accounts(app, acme, 2)
    role = acme.role_uuid("user")
    call = (acme, lambda own: own.post("/users/", new_user(some_email(), role)))
    assert statuses(at_once(app, call, call)) == [201, 409]


@pytest.mark.parametrize("change", [{"password": NEW_PASSWORD}, {"is_active": False}])
def test_a_code_in_a_mailbox_is_worth_nothing_after_an_administrators_change(
    app: Flask, acme: Company, change: dict[str, Any]
) -> None:
    person = acme.add_person()
    with inside(app, acme.slug):
        resets.mail_token(person.email)
    token = mailed_token(app, person.email)
    assert acme.patch(f"/users/{person.uuid}", change).status_code == 200
    assert acme.post(f"/users/{person.uuid}/reactivate").status_code == 200
    body = {"password": "yet another good one"}
    answer = acme.client.post(f"/auth/reset-password/{token}", json=body)
    assert assert_problem(answer, 404)["type"] == "urn:todo:problem:invalid-token"
