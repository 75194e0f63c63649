"""`/users/me`: what people see and change of themselves."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.factories import PASSWORD, Company, Person, mailed_token, mails_to
from tests.todo_app.helpers import (
    BAD_TEXTS,
    LONE_SURROGATE,
    RAW_BODIES,
    assert_problem,
    assert_unreadable,
    at_once,
    send_raw,
    statuses,
    version,
)
from tests.todo_app.people import (
    STALE,
    add_role,
    make_stale,
    person_who_may,
    prove,
    records_of,
    robot_of,
    some_email,
)


@pytest.fixture(scope="module")
def someone(company: Company) -> Person:
    """Somebody for whom only refused requests are."""
    return company.add_person()


def test_me_with_role_and_permissions(company: Company, people: dict[str, Person]) -> None:
    for name in ("admin", "user", "read_only"):
        person = people[name]
        me = person.get("/users/me")
        detail = company.get(f"/users/{person.uuid}")
        role = company.get(f"/permissions/{company.role_uuid(name)}").json
        shown = {key: role[key] for key in ("uuid", "name", "title", "permissions")}
        assert me.json == {**detail.json, "role": shown}
        assert version(me) == version(detail)


def test_a_role_without_any_permission_still_sees_itself(company: Company) -> None:
    nobody = person_who_may(company)
    me = nobody.get("/users/me")
    assert (me.status_code, me.json["role"]["permissions"]) == (200, [])
    assert nobody.patch("/users/me", {"first_name": "Nemo"}).status_code == 200
    assert_problem(nobody.get("/users/"), 403)


def test_what_may_be_changed(app: Flask, company: Company) -> None:
    person = company.add_person("read_only")
    before = person.get("/users/me").json
    changes = {
        "first_name": "Zoë",
        "last_name": "Quinn",
        "phone": "+48 1",
        "language": "fr",
        "timezone": "Europe/Paris",
    }
    changed = person.patch("/users/me", changes)
    assert changed.status_code == 200
    expected = {**before, **changes, "updated_at": changed.json["updated_at"]}
    assert changed.json == person.get("/users/me").json == expected
    assert person.patch("/users/me", {}).json == changed.json
    assert records_of(app, company, person.uuid) == ["user.added", "user.changed"]


@pytest.mark.parametrize(
    "values",
    [
        {"password": "something else"},
        {"role_uuid": "x"},
        {"is_active": False},
        {"is_verified": True},
        {"uuid": "x"},
        {"role": "admin"},
        {"notification_level": "none"},
        {"language": "xx"},
        {"timezone": "Mars/Olympus"},
        {"phone": "1" * 31},
        {"email": "x@"},
        {"email": "a@mailinator.com"},
        {"email": None},
    ],
)
def test_bad_input_is_named(someone: Person, values: dict[str, Any]) -> None:
    before = someone.get("/users/me").json
    problem = assert_problem(someone.patch("/users/me", values), 422)
    assert set(problem["errors"]["json"]) == set(values)
    assert someone.get("/users/me").json == before


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_name(someone: Person, text: Any) -> None:
    for field in ("first_name", "last_name"):
        problem = assert_problem(someone.patch("/users/me", {field: text}), 422)
        assert set(problem["errors"]["json"]) == {field}


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    someone: Person, body: bytes, content_type: str, status: int
) -> None:
    assert_problem(send_raw(someone, "PATCH", "/users/me", body, content_type), status)


def test_lone_surrogates_are_refused(someone: Person) -> None:
    assert_unreadable(send_raw(someone, "PATCH", "/users/me", {"first_name": LONE_SURROGATE}))


def test_versions(company: Company) -> None:
    person = company.add_person()
    old = person.get("/users/me").headers["ETag"]
    assert person.get("/users/me", headers={"If-None-Match": old}).status_code == 304
    headers = {"If-Match": old}
    answers = at_once(
        company.client.application,
        *[
            (person, lambda own, n=n: own.patch("/users/me", {"phone": str(n)}, headers=headers))
            for n in range(3)
        ],
    )
    assert statuses(answers) == [200, 412, 412]


def test_without_a_session_401(client: Any, company: Company) -> None:
    for method in ("GET", "PATCH"):
        answer = client.open("/users/me", method=method, headers={"tenant": company.slug}, json={})
        assert_problem(answer, 401)


def test_an_api_token_is_not_enough(company: Company) -> None:
    robot = robot_of(company)
    for answer in (robot.get("/users/me"), robot.patch("/users/me", {"first_name": "R"})):
        assert assert_problem(answer, 403)["type"] == "urn:todo:problem:insufficient-scope"


def test_a_new_address_is_confirmed_and_the_old_one_told(app: Flask, company: Company) -> None:
    person = company.add_person()
    new = some_email()
    changed = person.patch("/users/me", {"email": new.upper()})
    assert changed.status_code == 200
    assert (changed.json["email"], changed.json["is_verified"]) == (new, False)
    assert "new email address" in mails_to(app, person.email)[-1]
    assert new not in mails_to(app, person.email)[-1]
    assert person.get("/users/me").status_code == 200
    body = {"token": mailed_token(app, new), "password": PASSWORD}
    assert company.client.post("/auth/first_run", json=body).status_code == 200
    assert person.get("/users/me").json["is_verified"] is True


def test_the_same_address_changes_nothing(app: Flask, company: Company) -> None:
    person = company.add_person()
    before, mails = person.get("/users/me").json, len(mails_to(app, person.email))
    make_stale(app, person)
    assert person.patch("/users/me", {"email": person.email.upper()}).json == before
    assert len(mails_to(app, person.email)) == mails


def test_a_new_address_needs_the_password_shown_lately(app: Flask, company: Company) -> None:
    person = company.add_person()
    make_stale(app, person)
    answer = person.patch("/users/me", {"email": some_email(), "first_name": "Never"})
    assert assert_problem(answer, 401)["type"] == STALE
    assert person.get("/users/me").json["email"] == person.email
    assert person.get("/users/me").json["first_name"] == "Grace"
    assert person.patch("/users/me", {"phone": "1"}).status_code == 200


def test_an_address_that_is_taken(company: Company) -> None:
    person = company.add_person()
    answer = person.patch("/users/me", {"email": company.email.upper()})
    assert assert_problem(answer, 409)["type"] == "urn:todo:problem:email-taken"
    assert person.get("/users/me").json["email"] == person.email


def test_what_was_mailed_to_the_old_address_is_worth_nothing(app: Flask, company: Company) -> None:
    person = company.add_person()
    first, second = some_email(), some_email()
    person.patch("/users/me", {"email": first})
    token = mailed_token(app, first)
    person.patch("/users/me", {"email": second})
    body = {"token": token, "password": PASSWORD}
    assert_problem(company.client.post("/auth/first_run", json=body), 404)
    assert person.get("/users/me").json["is_verified"] is False


def test_log_in_by_address_alone_follows_the_address_once_it_is_proven(
    app: Flask, company: Company
) -> None:
    person = company.add_person()
    prove(app, company.slug, person.uuid)
    new = some_email()
    person.patch("/users/me", {"email": new})

    def alone(email: str) -> int:
        body = {"email": email, "password": PASSWORD}
        return company.client.post("/auth/login", json=body).status_code

    assert (alone(person.email), alone(new)) == (401, 401)
    body = {"token": mailed_token(app, new), "password": PASSWORD}
    assert company.client.post("/auth/first_run", json=body).status_code == 200
    assert (alone(person.email), alone(new)) == (401, 200)


def test_a_changed_role_is_seen_at_once(company: Company) -> None:
    role = add_role(company, "users:read")
    person = person_who_may(company, "tasks:read")
    own = person.get("/users/me").json["role"]["uuid"]
    assert own != role["uuid"]
    company.patch(f"/permissions/{own}", {"permissions": ["users:read"]})
    assert person.get("/users/me").json["role"]["permissions"] == ["users:read"]
