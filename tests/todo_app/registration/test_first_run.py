"""`POST /auth/first_run`: an address is confirmed by its mailed token and the password, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import PASSWORD, Company, mailed_token, sign_in
from tests.todo_app.helpers import (
    RAW_BODIES,
    assert_problem,
    at_once,
    inside,
    send_raw,
    statuses,
)
from tests.todo_app.registration.kit import (
    NO_TOKENS,
    actions,
    anonymous,
    assert_invalid_token,
    elsewhere,
    first_run,
    log_in,
    pending,
    user_row,
)
from todo_app.database import db, transaction
from todo_app.registration import members, one_time
from todo_app.registration.models import ADDRESS, PASSWORD_RESET, OneTimeToken
from todo_app.tenancy import control_plane, operations
from todo_app.tenants.models import SUSPENDED, Tenant


def move_clock(app: Flask, slug: str, by: timedelta) -> None:
    """Make a company's mailed tokens older."""
    with inside(app, slug):
        db.session.execute(
            sa.update(OneTimeToken).values(
                created_at=OneTimeToken.created_at - by, expires_at=OneTimeToken.expires_at - by
            )
        )


def test_a_registrant_signs_in_once_the_address_is_confirmed(
    app: Flask, client: FlaskClient
) -> None:
    company = pending(client)
    assert_problem(log_in(client, company.slug, company.email), 403)
    with app.app_context(), control_plane():
        assert members.schemas_of(company.email) == []
    answer = first_run(client, company.token)
    assert answer.status_code == 200
    assert set(answer.json) == {"token", "expires_at", "user"}
    user = answer.json["user"]
    assert (user["is_active"], user["is_verified"]) == (True, True)
    headers = {"Authorization": f"Bearer {answer.json['token']}"}
    assert client.get("/users/", headers=headers).status_code == 200
    sign_in(client, company.slug, company.email)
    with app.app_context(), control_plane():
        assert len(members.schemas_of(company.email)) == 1
    assert actions(app, company.slug)[:3] == [
        "company.registered",
        "user.verified",
        "session.started",
    ]


def test_it_works_once(client: FlaskClient) -> None:
    company = pending(client)
    assert first_run(client, company.token).status_code == 200
    assert_invalid_token(first_run(client, company.token))


def test_at_the_same_instant_it_works_once(app: Flask, client: FlaskClient) -> None:
    company = pending(client)
    person = anonymous(client)
    answers = at_once(app, *[(person, lambda own: first_run(own.client, company.token))] * 2)
    assert statuses(answers) == [200, 404]
    assert_invalid_token(max(answers, key=lambda answer: answer.status_code))


def test_whoever_gets_a_strangers_mail_activates_nothing(app: Flask, client: FlaskClient) -> None:
    company = pending(client)
    for _ in range(3):
        assert_problem(first_run(client, company.token, "a wrong guess"), 401)
    assert not user_row(app, company.slug, company.email).is_active
    assert first_run(client, company.token).status_code == 200


def test_guessing_the_password_ends(client: FlaskClient) -> None:
    company = pending(client)
    seen = [first_run(client, company.token, "a wrong guess").status_code for _ in range(7)]
    assert seen == [401] * 5 + [429] * 2


def test_it_is_good_for_three_days(app: Flask, client: FlaskClient) -> None:
    in_time, late = pending(client), pending(client)
    move_clock(app, in_time.slug, timedelta(hours=71))
    assert first_run(client, in_time.token).status_code == 200
    move_clock(app, late.slug, timedelta(hours=72))
    assert_invalid_token(first_run(client, late.token))
    assert not user_row(app, late.slug, late.email).is_active


@pytest.mark.parametrize("token", NO_TOKENS)
def test_what_is_no_token(client: FlaskClient, token: str) -> None:
    answer = first_run(client, token)
    if answer.status_code != 422:
        assert_invalid_token(answer)
    else:
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"token"}


def test_a_token_is_good_in_its_own_company_alone(client: FlaskClient, acme: Company) -> None:
    company = pending(client)
    assert_invalid_token(first_run(client, elsewhere(company.token, acme.schema_name)))
    assert_invalid_token(first_run(client, elsewhere(acme.token, company.token.split(".")[0])))
    assert first_run(client, company.token).status_code == 200


def test_a_session_or_a_reset_is_no_confirmation(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    assert_invalid_token(first_run(client, acme.token))
    with inside(app, acme.slug):
        user_id = db.session.scalar(sa.text("SELECT id FROM users"))
        token = one_time.make(user_id, PASSWORD_RESET).token
    assert_invalid_token(first_run(client, token))


def test_a_new_token_replaces_the_former(app: Flask, client: FlaskClient) -> None:
    company = pending(client)
    with inside(app, company.slug):
        user_id = db.session.scalar(sa.text("SELECT id FROM users"))
        token = one_time.make(user_id, "activation").token
    assert_invalid_token(first_run(client, company.token))
    assert first_run(client, token).status_code == 200


def test_a_new_address_is_confirmed(app: Flask, client: FlaskClient, acme: Company) -> None:
    email = f"new-{acme.email}"
    assert acme.patch("/users/me", {"email": email}).status_code == 200
    assert acme.get("/users/me").json["is_verified"] is False
    assert first_run(client, mailed_token(app, email)).status_code == 200
    assert acme.get("/users/me").json["is_verified"] is True


def test_a_new_address_does_not_bring_back_who_is_deactivated(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    person = acme.add_person()
    with inside(app, acme.slug):
        user_id = db.session.scalar(sa.text("SELECT max(id) FROM users"))
        token = one_time.make(user_id, ADDRESS).token
        db.session.execute(sa.text("UPDATE users SET is_active = false"), {})
    assert_invalid_token(first_run(client, token))
    assert not user_row(app, acme.slug, person.email).is_active


def test_it_is_no_way_round_the_second_factor(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    secret = acme.post("/auth/two-factor").json["secret"]
    totp = pyotp.TOTP(secret)
    confirmed = acme.post("/auth/two-factor/confirm", {"code": totp.now()})
    assert confirmed.status_code == 200, confirmed.json
    code = confirmed.json["recovery_codes"][0]
    with inside(app, acme.slug):
        user_id = db.session.scalar(sa.text("SELECT id FROM users"))
        token = one_time.make(user_id, ADDRESS).token
    problem = assert_problem(first_run(client, token), 401)
    assert problem["type"] == "urn:todo:problem:second-factor-needed"
    assert_problem(first_run(client, token, code="000000"), 401)
    assert first_run(client, token, code=code).status_code == 200


def test_a_suspended_company_stays_closed(app: Flask, client: FlaskClient) -> None:
    company = pending(client)
    with app.app_context(), operations(), transaction():
        db.session.execute(
            sa.update(Tenant).where(Tenant.slug == company.slug).values(state=SUSPENDED)
        )
    assert_problem(first_run(client, company.token), 403)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": PASSWORD}, "token"),
        ({"token": "t_x.y"}, "password"),
        ({"token": None, "password": PASSWORD}, "token"),
        ({"token": ["t_x.y"], "password": PASSWORD}, "token"),
        ({"token": "t_x.y\x00", "password": PASSWORD}, "token"),
        ({"token": "t_x.y", "password": ""}, "password"),
        ({"token": "t_x.y", "password": 12345678}, "password"),
        ({"token": "t_x.y", "password": "p" * 257}, "password"),
        ({"token": "t_x.y", "password": PASSWORD, "email": "a@example.com"}, "email"),
        ({"token": "t_x.y", "password": PASSWORD, "code": 7}, "code"),
    ],
)
def test_bad_input_is_named(client: FlaskClient, body: Any, field: str) -> None:
    problem = assert_problem(client.post("/auth/first_run", json=body), 422)
    assert set(problem["errors"]["json"]) == {field}


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    client: FlaskClient, body: bytes, content_type: str, status: int
) -> None:
    answer = send_raw(anonymous(client), "POST", "/auth/first_run", body, content_type)
    assert_problem(answer, status)
