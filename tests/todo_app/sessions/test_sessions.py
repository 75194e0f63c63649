"""Sessions: who gets a token, what it opens, and when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import PASSWORD, Company, Person, sign_in
from tests.todo_app.helpers import (
    BAD_TEXTS,
    LONE_SURROGATE,
    RAW_BODIES,
    assert_problem,
    assert_unreadable,
    inside,
    send_raw,
)
from todo_app.accounts.models import User
from todo_app.auth import digest
from todo_app.database import db, transaction
from todo_app.sessions.models import AccessToken
from todo_app.tenancy import operations
from todo_app.tenants.models import ACTIVE, SUSPENDED, Tenant


def log_in(company: Company, email: str, password: Any = PASSWORD, **more: Any) -> Any:
    body = {"email": email, "password": password, **more}
    return company.client.post("/auth/login", json=body, headers={"tenant": company.slug})


def end_all_sessions(app: Flask, person: Person) -> None:
    """Let them expire."""
    with inside(app, person.slug):
        user_id = sa.select(User.id).where(User.uuid == person.uuid).scalar_subquery()
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        changed = sa.update(AccessToken).where(AccessToken.user_id == user_id)
        db.session.execute(changed.values(expires_at=an_hour_ago))


def secret_of(token: str) -> str:
    return token.partition(".")[2]


def test_login_gives_a_token_and_the_user(company: Company) -> None:
    answer = log_in(company, company.email)
    assert answer.status_code == 200
    assert answer.json["token"].startswith(f"{company.schema_name}.")
    assert answer.json["user"]["uuid"] == company.uuid
    lasts = datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < lasts <= timedelta(days=1)
    assert "password" not in answer.text


def test_a_permanent_session_lasts_thirty_days(company: Company) -> None:
    answer = log_in(company, company.email, permanent=True)
    lasts = datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29) < lasts <= timedelta(days=30)


def test_the_address_may_be_in_any_case(company: Company) -> None:
    assert log_in(company, company.email.upper()).status_code == 200


def test_only_a_digest_of_the_secret_is_stored(app: Flask, company: Company) -> None:
    secret = secret_of(log_in(company, company.email).json["token"])
    with inside(app, company.slug):
        stored = db.session.scalars(sa.select(AccessToken.digest)).all()
    assert digest(secret) in stored
    assert all(secret.encode() not in value for value in stored)


def test_login_fails_alike_for_whatever_reason(company: Company) -> None:
    inactive = company.add_person()
    company.patch(f"/users/{inactive.uuid}", {"is_active": False})
    deleted = company.add_person()
    company.delete(f"/users/{deleted.uuid}")
    answers = [
        log_in(company, company.email, "wrong password"),
        log_in(company, company.email, PASSWORD.upper()),
        log_in(company, "nobody@example.com"),
        log_in(company, inactive.email),
        log_in(company, inactive.email, "wrong password"),
        log_in(company, deleted.email),
    ]
    problems = [assert_problem(answer, 401) for answer in answers]
    for problem in problems:
        problem.pop("request_id")
    assert problems == [problems[0]] * len(problems)
    assert problems[0]["type"] == "urn:todo:problem:wrong-credentials"


def test_a_user_of_another_company_cannot_log_in_here(company: Company, stranger: Company) -> None:
    assert_problem(log_in(company, stranger.email), 401)


def test_login_with_an_unknown_tenant_is_404(client: FlaskClient, company: Company) -> None:
    body = {"email": company.email, "password": PASSWORD}
    for name in ("nobody", "t_nobody_00000000", "x" * 5_000, "a'--", '"'):
        answer = client.post("/auth/login", json=body, headers={"tenant": name})
        assert_problem(answer, 404)


def test_login_takes_expired_tokens_away(app: Flask, acme: Company) -> None:
    end_all_sessions(app, acme)
    sign_in(acme.client, acme.slug, acme.email)
    with inside(app, acme.slug):
        assert db.session.scalar(sa.select(sa.func.count()).select_from(AccessToken)) == 1


def test_logout_ends_this_session_only(company: Company) -> None:
    person = company.add_person()
    other = sign_in(company.client, company.slug, person.email)
    answer = person.post("/auth/logout")
    assert (answer.status_code, answer.data) == (204, b"")
    assert_problem(person.get("/users/"), 401)
    assert_problem(person.post("/auth/logout"), 401)
    assert other.get("/users/").status_code == 200


def test_verify_tells_whose_session_it_is(client: FlaskClient, company: Company) -> None:
    answer = client.get(f"/auth/verify/{company.token}")
    assert answer.status_code == 200
    assert answer.json["user"]["uuid"] == company.uuid
    assert (answer.json["kind"], answer.json["scopes"]) == ("session", None)
    assert datetime.fromisoformat(answer.json["expires_at"]) > datetime.now(UTC)


def test_verify_knows_no_session_that_has_ended(app: Flask, company: Company) -> None:
    revoked, expired, inactive = (company.add_person() for _ in range(3))
    revoked.post("/auth/logout")
    end_all_sessions(app, expired)
    company.patch(f"/users/{inactive.uuid}", {"is_active": False})
    for person in (revoked, expired, inactive):
        assert_problem(company.client.get(f"/auth/verify/{person.token}"), 404)


@pytest.mark.parametrize(
    "token",
    [
        "x",
        ".",
        "t_nobody_00000000." + "a" * 43,
        "t_x.short",
        "a" * 2_000,
        "%00",
        "t_x.%F0%9F%A6%84",
    ],
)
def test_verify_knows_no_garbage(client: FlaskClient, token: str) -> None:
    answer = client.get(f"/auth/verify/{token}")
    assert_problem(answer, 400 if token == "%00" else 404)


def test_an_expired_token_opens_nothing(app: Flask, company: Company) -> None:
    person = company.add_person()
    end_all_sessions(app, person)
    answer = person.get("/users/")
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_secret_of_one_tenant_opens_no_other(company: Company, stranger: Company) -> None:
    token = f"{stranger.schema_name}.{secret_of(company.token)}"
    headers = {"tenant": stranger.slug, "Authorization": f"Bearer {token}"}
    assert_problem(company.client.get("/users/", headers=headers), 401)


def test_a_token_beside_another_tenants_header_is_403(company: Company, stranger: Company) -> None:
    for tenant in (stranger.slug, stranger.schema_name, "nobody"):
        problem = assert_problem(company.get("/users/", headers={"tenant": tenant}), 403)
        assert problem["type"] == "urn:todo:problem:tenant-mismatch"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic dXNlcjpwYXNz",
        "Bearer t_nobody_00000000." + "a" * 43,
        "Bearer " + "a" * 5_000,
        "Bearer t_x.' OR 1=1; --",
        "\xff\xfe",
    ],
)
def test_a_header_that_holds_no_token_is_401(client: FlaskClient, value: str) -> None:
    assert_problem(client.get("/users/", headers={"Authorization": value}), 401)


def test_the_scheme_may_be_in_any_case(company: Company) -> None:
    answer = company.get("/users/", headers={"Authorization": f"bEARER {company.token}"})
    assert answer.status_code == 200


def test_a_changed_secret_is_401(company: Company) -> None:
    last = "A" if company.token[-5] != "A" else "B"
    token = company.token[:-5] + last + company.token[-4:]
    headers = {"Authorization": f"Bearer {token}"}
    assert_problem(company.get("/users/", headers=headers), 401)


def test_people_who_left_are_signed_out(company: Company) -> None:
    inactive, deleted = company.add_person(), company.add_person()
    company.patch(f"/users/{inactive.uuid}", {"is_active": False})
    company.delete(f"/users/{deleted.uuid}")
    assert_problem(inactive.get("/users/"), 401)
    assert_problem(deleted.get("/users/"), 401)


def test_a_suspended_company_is_closed_and_opens_again(app: Flask, acme: Company) -> None:
    def set_state(state: str) -> None:
        with app.app_context(), operations(), transaction():
            changed = sa.update(Tenant).where(Tenant.slug == acme.slug).values(state=state)
            db.session.execute(changed)

    set_state(SUSPENDED)
    for answer in (acme.get("/users/"), log_in(acme, acme.email)):
        assert assert_problem(answer, 403)["type"] == "urn:todo:problem:tenant-inactive"
    set_state(ACTIVE)
    assert acme.get("/users/").status_code == 200


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": None}, "email"),
        ({"email": ["a@example.com"]}, "email"),
        ({"email": "a\x00@example.com"}, "email"),
        ({"password": ""}, "password"),
        ({"password": "p" * 257}, "password"),
        ({"password": None}, "password"),
        ({"permanent": "yes"}, "permanent"),
        ({"permanent": 1}, "permanent"),
        ({"permanent": None}, "permanent"),
        ({"remember": True}, "remember"),
    ],
)
def test_bad_input_of_login_is_named(company: Company, values: dict[str, Any], field: str) -> None:
    body = {"email": company.email, "password": PASSWORD, **values}
    answer = company.client.post("/auth/login", json=body, headers={"tenant": company.slug})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {field}


@pytest.mark.parametrize("text", BAD_TEXTS[:1] + BAD_TEXTS[3:])
def test_values_that_are_no_password_never_break_login(company: Company, text: Any) -> None:
    answer = log_in(company, company.email, text)
    assert_problem(answer, 401 if isinstance(text, str) else 422)


@pytest.mark.parametrize("field", ["email", "password"])
def test_lone_surrogates_never_break_login(company: Company, field: str) -> None:
    body = {"email": company.email, "password": PASSWORD, field: LONE_SURROGATE}
    assert_unreadable(send_raw(company, "POST", "/auth/login", body))


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, body: bytes, content_type: str, status: int
) -> None:
    assert_problem(send_raw(company, "POST", "/auth/login", body, content_type), status)
