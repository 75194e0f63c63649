"""`POST /auth/register`: a whole company, or nothing."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import PASSWORD, TOKEN, Person, mails_to, registration, sign_in
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
from todo_app import mails
from todo_app.database import OPS_BIND, db
from todo_app.registration import service
from todo_app.tenancy import operations
from todo_app.tenants.models import Tenant

NAMES = [
    pytest.param("Zażółć gęślą jaźń", id="Polish"),
    pytest.param("株式会社トゥードゥー", id="Japanese"),
    pytest.param("شركة المهام", id="right to left"),
    pytest.param("🦄🦄🦄", id="emoji"),
    pytest.param("!?.,;:-_'\"()[]{}", id="punctuation"),
    pytest.param("N" * 300, id="300 letters"),
    pytest.param("🦄" * 300, id="300 emoji"),
    pytest.param('O\'Reilly "quoted" `ticks`', id="quotes"),
    pytest.param("Robert'); DROP SCHEMA public CASCADE; --", id="SQL"),
    pytest.param("%s %(name)s {0} \\", id="formats"),
    pytest.param("public", id="public"),
    pytest.param("a", id="one letter"),
    pytest.param("e\u0301 \u202e\u200b", id="combining and invisible"),
]


def anonymous(client: FlaskClient) -> Person:
    """Somebody without a company."""
    return Person(client, "", "", "", "")


def send(client: FlaskClient, body: Any) -> Any:
    return client.post("/auth/register", json=body)


def tenant_names(app: Flask) -> list[str]:
    with app.app_context(), operations():
        return list(db.session.scalars(sa.select(Tenant.name)))


def log_in(client: FlaskClient, slug: str, email: str) -> Any:
    body = {"email": email, "password": PASSWORD}
    return client.post("/auth/login", json=body, headers={"tenant": slug})


def schema_names(app: Flask) -> set[str]:
    with app.app_context(), operations():
        named = sa.text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\\_%'")
        return set(db.session.scalars(named))


def assert_whole(client: FlaskClient, slug: str, email: str) -> None:
    """The company has its one user, who can be activated, its roles, and takes work."""
    assert_problem(log_in(client, slug, email), 403)
    mails = mails_to(client.application, email)
    (text,) = [text for text in mails if re.search(rf"(?<![\w-]){slug}(?![\w-])", text)]
    body = {"token": TOKEN.findall(text)[0], "password": PASSWORD}
    assert client.post("/auth/first_run", json=body).status_code == 200
    boss = sign_in(client, slug, email)
    page = boss.get("/users/").json
    assert [user["email"] for user in page["items"]] == [email]
    assert len(boss.get("/users/roles").json["items"]) == 4
    assert boss.post("/lists/", {"title": "First"}).status_code == 201


def test_a_company_and_its_master_administrator(client: FlaskClient) -> None:
    body = registration("Initech", "peter@initech.example")
    body["user"] |= {"phone": "+1 555", "language": "de", "timezone": "Europe/Berlin"}
    body["company"] |= {
        "tax_id": "DE 136695976",
        "street": "S 1",
        "postal_code": "1",
        "city": "Berlin",
    }
    answer = send(client, body)
    assert answer.status_code == 201
    tenant, user = answer.json["tenant"], answer.json["user"]
    assert set(tenant) == {"uuid", "slug", "name"}
    assert tenant["name"] == "Initech"
    assert user["role"]["name"] == "master_admin"
    assert (user["email"], user["phone"]) == ("peter@initech.example", "+1 555")
    assert (user["language"], user["timezone"]) == ("de", "Europe/Berlin")
    assert (user["is_active"], user["is_verified"]) == (False, False)
    assert "password" not in answer.text
    assert_whole(client, tenant["slug"], "peter@initech.example")


def test_one_mail_has_the_token_and_the_answer_has_not(app: Flask, client: FlaskClient) -> None:
    email = "welcome@initrode.example"
    answer = send(client, registration("Initrode", email))
    (text,) = mails_to(app, email)
    assert "Initrode" in text
    assert answer.json["tenant"]["slug"] in text
    (token,) = TOKEN.findall(text)
    assert token.partition(".")[2] not in answer.text


@pytest.mark.parametrize("name", NAMES)
def test_any_name_gives_a_company_that_works(client: FlaskClient, name: str) -> None:
    answer = send(client, registration(name, "names@example.com"))
    assert answer.status_code == 201
    assert answer.json["tenant"]["name"] == name.strip()
    assert_whole(client, answer.json["tenant"]["slug"], "names@example.com")


def test_a_name_may_be_equal_to_anothers(client: FlaskClient) -> None:
    answers = [send(client, registration("Same & Same", "same@example.com")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    slugs = {answer.json["tenant"]["slug"] for answer in answers}
    assert len(slugs) == 3
    for slug in slugs:
        assert_whole(client, slug, "same@example.com")


@pytest.mark.parametrize("times", [2, 5])
def test_the_same_registration_at_once_makes_whole_companies(
    app: Flask, client: FlaskClient, times: int
) -> None:
    body = registration(f"Twins {times}", f"twin{times}@example.com")
    person = anonymous(client)
    answers = at_once(app, *[(person, lambda own: send(own.client, body))] * times)
    # Where hashing has no room for all of them, some are told to come back.
    assert set(statuses(answers)) <= {201, 503}
    made = [answer for answer in answers if answer.status_code == 201]
    assert len(made) >= 2
    slugs = {answer.get_json()["tenant"]["slug"] for answer in made}
    assert len(slugs) == len(made)
    for slug in slugs:
        assert_whole(client, slug, f"twin{times}@example.com")


def test_a_failure_halfway_leaves_nothing(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = schema_names(app)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the disk is full of secrets")

    with monkeypatch.context() as patch:
        patch.setattr(service.mails, "send", fail)
        answer = send(client, registration("Half a company", "half@example.com"))
    problem = assert_problem(answer, 500)
    assert "disk" not in problem["detail"]
    assert "Half a company" not in tenant_names(app)
    assert not {name for name in schema_names(app) - before if name.startswith("t_half")}
    assert send(client, registration("Half a company", "half@example.com")).status_code == 201


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        ("company", {"name": "B", "host": "evil.example"}, "host"),
        ("company", {"name": "B", "state": "suspended"}, "state"),
        ("company", {"name": "N" * 301}, "name"),
        ("company", {}, "name"),
        ("company", {"name": "B", "city": 7}, "city"),
        ("user", {"role_uuid": "00000000-0000-0000-0000-000000000000"}, "role_uuid"),
        ("user", {"is_verified": True}, "is_verified"),
        ("user", {"email": "nobody"}, "email"),
        ("user", {"email": "a@b@c.example"}, "email"),
        ("user", {"email": "a" * 250 + "@example.com"}, "email"),
        ("user", {"email": "a\u0000@example.com"}, "email"),
        ("user", {"email": None}, "email"),
        ("user", {"password": "short"}, "password"),
        ("user", {"password": "p" * 257}, "password"),
        ("user", {"password": None}, "password"),
        ("user", {"language": "xx"}, "language"),
        ("user", {"timezone": "Mars/Olympus"}, "timezone"),
        ("user", {"timezone": "../../etc/passwd"}, "timezone"),
        ("user", {"phone": "1" * 31}, "phone"),
    ],
)
def test_bad_input_is_named_and_makes_no_company(
    app: Flask, client: FlaskClient, place: str, value: dict[str, Any], field: str
) -> None:
    body = registration("Refused", "refused@example.com")
    body[place] = value if place == "company" else {**body[place], **value}
    problem = assert_problem(send(client, body), 422)
    assert set(problem["errors"]["json"][place]) == {field}
    assert not {"Refused", "B"} & set(tenant_names(app))


@pytest.mark.parametrize("part", ["company", "user"])
@pytest.mark.parametrize("value", [None, [], "text", 7])
def test_a_part_of_the_wrong_type_is_named(client: FlaskClient, part: str, value: Any) -> None:
    body = {**registration("Refused", "refused@example.com"), part: value}
    problem = assert_problem(send(client, body), 422)
    assert set(problem["errors"]["json"]) == {part}


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    client: FlaskClient, body: bytes, content_type: str, status: int
) -> None:
    person = anonymous(client)
    assert_problem(send_raw(person, "POST", "/auth/register", body, content_type), status)


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_name(client: FlaskClient, text: Any) -> None:
    body = registration("Refused", "refused@example.com")
    body["company"]["name"] = text
    problem = assert_problem(send(client, body), 422)
    assert set(problem["errors"]["json"]["company"]) == {"name"}


@pytest.mark.parametrize("field", ["name", "first_name", "email", "password"])
def test_lone_surrogates_are_refused(client: FlaskClient, field: str) -> None:
    body = registration("Refused", "refused@example.com")
    body["company" if field == "name" else "user"][field] = LONE_SURROGATE
    assert_unreadable(send_raw(anonymous(client), "POST", "/auth/register", body))


def test_registration_takes_post_only(client: FlaskClient) -> None:
    answer = client.get("/auth/register")
    assert_problem(answer, 405)
    assert "POST" in answer.headers["Allow"]


def test_a_registration_that_is_sent_again_makes_one_company(client: FlaskClient) -> None:
    body = registration("Sent again", "again@example.com")
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (client.post("/auth/register", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    other = registration("Other", "again@example.com")
    assert client.post("/auth/register", json=other, headers=headers).status_code == 409


def test_a_database_that_goes_away_in_the_middle_leaves_no_half_tenant(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def schemas() -> set[str]:
        with app.app_context(), operations():
            return set(db.session.scalars(sa.text("SELECT nspname FROM pg_namespace")))

    def lose_connection(*args: Any, **values: Any) -> None:
        pid = db.session.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        with db.engines[OPS_BIND].connect() as connection:
            # The role of operations may end the API's backends once it is a member of the role.
            connection.exec_driver_sql("GRANT todo_api TO todo_ops")
            connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
            connection.rollback()
        send_mail(*args, **values)

    send_mail = mails.send
    body = registration("Cut off", "cut@example.com")
    before = schemas()
    with monkeypatch.context() as patch:
        patch.setattr(service.mails, "send", lose_connection)
        answer = client.post("/auth/register", json=body)
    assert answer.status_code == 503
    assert schemas() == before
    with app.app_context(), operations():
        assert db.session.scalar(sa.select(Tenant).where(Tenant.name == "Cut off")) is None
    assert client.post("/auth/register", json=body).status_code == 201


@pytest.mark.parametrize("email", ["=?utf-8?q??=@example.com", "=?utf-8?q?boss?=@example.com"])
def test_an_address_that_mail_programs_decode_is_none(client: FlaskClient, email: str) -> None:
    body = registration("Acme", email)
    errors = assert_problem(client.post("/auth/register", json=body), 422)["errors"]
    assert errors["json"]["user"] == {"email": ["Not a valid email address."]}
