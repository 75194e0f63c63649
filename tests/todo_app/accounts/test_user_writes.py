"""Safe writes of users: versions, retries, and input that must not get in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company, new_user
from tests.todo_app.helpers import (
    BAD_TEXTS,
    LONE_SURROGATE,
    RAW_BODIES,
    assert_problem,
    assert_unreadable,
    at_once,
    send_raw,
    statuses,
)


@pytest.fixture
def path(company: Company) -> str:
    """The address of a fresh user."""
    answer = company.post("/users/", a_user(company))
    assert answer.status_code == 201
    return f"/users/{answer.json['uuid']}"


@pytest.fixture(scope="module")
def victim(company: Company) -> dict[str, Any]:
    """A user whom only refused requests are for."""
    user: dict[str, Any] = company.post("/users/", a_user(company)).json
    return user


def a_user(company: Company, **more: Any) -> dict[str, Any]:
    """The body of a user with an address of its own."""
    email = f"{uuid.uuid4().hex}@example.com"
    return {**new_user(email, company.role_uuid("user")), **more}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_if_match_lets_only_the_current_version_change(company: Company, path: str) -> None:
    old = company.get(path).headers["ETag"]
    assert company.patch(path, {"phone": "1"}, headers={"If-Match": old}).status_code == 200
    current = company.get(path).headers["ETag"]
    assert current != old
    for stale in (old, '"999"', '"x"', "W/" + current, '"' + "9" * 50 + '"', '""'):
        headers = {"If-Match": stale}
        assert_problem(company.patch(path, {"phone": "2"}, headers=headers), 412)
        assert_problem(company.delete(path, headers=headers), 412)
    assert company.get(path).json["phone"] == "1"
    assert company.patch(path, {"phone": "3"}, headers={"If-Match": current}).status_code == 200
    assert company.delete(path, headers={"If-Match": "*"}).status_code == 204


def test_of_two_changes_from_one_version_one_is_made(
    app: Flask, company: Company, path: str
) -> None:
    headers = {"If-Match": company.get(path).headers["ETag"]}
    answers = at_once(
        app,
        *[
            (company, lambda own, n=n: own.patch(path, {"phone": str(n)}, headers=headers))
            for n in range(4)
        ],
    )
    assert statuses(answers) == [200, 412, 412, 412]


def test_if_none_match_saves_the_body(company: Company, path: str) -> None:
    etag = company.get(path).headers["ETag"]
    answer = company.get(path, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    company.patch(path, {"phone": "1"})
    assert company.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_a_key_repeats_the_first_answer(company: Company) -> None:
    body, headers = a_user(company), keyed(uuid.uuid4().hex)
    first = company.post("/users/", body, headers=headers)
    again = company.post("/users/", body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json == again.json
    assert first.headers["ETag"] == again.headers["ETag"]
    other = company.post("/users/", a_user(company), headers=headers)
    assert assert_problem(other, 409)["type"] == "urn:todo:problem:idempotency-key-reused"


def test_a_key_used_twice_at_once_makes_one_user(app: Flask, company: Company) -> None:
    body, headers = a_user(company), keyed(uuid.uuid4().hex)
    call = (company, lambda own: own.post("/users/", body, headers=headers))
    answers = at_once(app, *[call] * 4)
    assert statuses(answers) == [201] * 4
    assert len({answer.get_json()["uuid"] for answer in answers}) == 1
    assert company.get(f"/users/?search={body['email']}").json["total"] == 1


def test_a_failure_leaves_the_key_free(company: Company) -> None:
    headers = keyed(uuid.uuid4().hex)
    taken = company.post("/users/", a_user(company, email=company.email), headers=headers)
    assert_problem(taken, 409)
    invalid = company.post("/users/", a_user(company, email="x"), headers=headers)
    assert_problem(invalid, 422)
    assert company.post("/users/", a_user(company), headers=headers).status_code == 201


def test_a_key_belongs_to_its_user(company: Company) -> None:
    headers = keyed(uuid.uuid4().hex)
    admin = company.add_person("admin")
    assert company.post("/users/", a_user(company), headers=headers).status_code == 201
    assert admin.post("/users/", a_user(company), headers=headers).status_code == 201


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "ü"])
def test_a_key_that_cannot_be_one(company: Company, key: str) -> None:
    assert_problem(company.post("/users/", a_user(company), headers=keyed(key)), 400)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"uuid": str(uuid.uuid4())}, "uuid"),
        ({"id": 1}, "id"),
        ({"version": 9}, "version"),
        ({"is_verified": True}, "is_verified"),
        ({"password_hash": "x"}, "password_hash"),
        ({"role": "master_admin"}, "role"),
        ({"role_uuid": "master_admin"}, "role_uuid"),
        ({"role_uuid": 1}, "role_uuid"),
        ({"role_uuid": None}, "role_uuid"),
        ({"is_active": "true"}, "is_active"),
        ({"is_active": 0}, "is_active"),
        ({"is_active": None}, "is_active"),
        ({"email": "x@"}, "email"),
        ({"email": "a\x00@example.com"}, "email"),
        ({"email": "a@example.com\r\nBcc: b@example.com"}, "email"),
        ({"email": "a" * 250 + "@example.com"}, "email"),
        ({"email": 7}, "email"),
        ({"phone": "1" * 31}, "phone"),
        ({"phone": 1}, "phone"),
        ({"password": "short"}, "password"),
        ({"password": "p" * 257}, "password"),
        ({"password": None}, "password"),
        ({"language": "xx"}, "language"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": None}, "timezone"),
        ({"a\x00b": 1}, "a\x00b"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_bad_input_is_named(
    company: Company, victim: dict[str, Any], method: str, values: dict[str, Any], field: str
) -> None:
    path = f"/users/{victim['uuid']}"
    before = company.get(path).json
    body = {**a_user(company), **values} if method == "POST" else values
    answer = company.call(method, "/users/" if method == "POST" else path, json=body)
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {field}
    assert company.get(path).json == before


@pytest.mark.parametrize("field", ["first_name", "last_name"])
@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_name(
    company: Company, victim: dict[str, Any], field: str, text: Any
) -> None:
    path = f"/users/{victim['uuid']}"
    for answer in (
        company.patch(path, {field: text}),
        company.post("/users/", {**a_user(company), field: text}),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {field}


@pytest.mark.parametrize("field", ["first_name", "email", "phone", "password", "timezone", "x"])
def test_lone_surrogates_are_refused(company: Company, victim: dict[str, Any], field: str) -> None:
    path = f"/users/{victim['uuid']}"
    assert_unreadable(send_raw(company, "PATCH", path, {field: LONE_SURROGATE}))
    assert_unreadable(send_raw(company, "PATCH", path, {LONE_SURROGATE: field}))


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company,
    victim: dict[str, Any],
    method: str,
    body: bytes,
    content_type: str,
    status: int,
) -> None:
    target = "/users/" if method == "POST" else f"/users/{victim['uuid']}"
    assert_problem(send_raw(company, method, target, body, content_type), status)


@pytest.mark.parametrize("field", ["first_name", "last_name", "email", "password", "role_uuid"])
def test_what_a_new_user_needs(company: Company, field: str) -> None:
    body = a_user(company)
    del body[field]
    problem = assert_problem(company.post("/users/", body), 422)
    assert set(problem["errors"]["json"]) == {field}


@pytest.mark.parametrize("name", ["Łukasz", "李", "Nuñez-O'Brien", "🦄", "a" * 100, "<script>"])
def test_any_name_comes_back_as_it_was(company: Company, path: str, name: str) -> None:
    assert company.patch(path, {"first_name": name}).json["first_name"] == name
