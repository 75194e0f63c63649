"""`/auth/reset-password/…`: a lost password is replaced by mail, and nobody learns who is there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import LogCapture

from ops.delivery.job import mail_reset_tokens
from tests.factories import PASSWORD, Company, mailed_token, mails_to, sign_in
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
    address,
    anonymous,
    assert_invalid_token,
    elsewhere,
    first_run,
    log_in,
    pending,
    user_row,
)
from todo_app import logs
from todo_app.database import db
from todo_app.outbox import PASSWORD_RESET, OutboxMessage
from todo_app.registration.models import OneTimeToken
from todo_app.sessions.models import AccessToken
from todo_app.tenancy import operations

NEW = "a new and better one"


def ask(client: FlaskClient, email: str, slug: str | None = None) -> Any:
    headers = {"tenant": slug} if slug else {}
    return client.post(f"/auth/reset-password/{email}", headers=headers)


def set_password(client: FlaskClient, token: str, password: str = NEW) -> Any:
    return client.post(f"/auth/reset-password/{token}", json={"password": password})


def asked(app: Flask, email: str) -> list[dict[str, Any]]:
    """What the outbox says of requests for an address."""
    statement = sa.select(OutboxMessage.payload).where(
        OutboxMessage.kind == PASSWORD_RESET, OutboxMessage.payload["email"].astext == email
    )
    with app.app_context(), operations():
        return list(db.session.scalars(statement))


def deliver(app: Flask, email: str, schema_name: str | None = None) -> int:
    """Deliver a request as the worker does; says how many mails came of it."""
    before = len(mails_to(app, email))
    with app.app_context():
        mail_reset_tokens(email, schema_name)
    return len(mails_to(app, email)) - before


def token_for(app: Flask, company: Company) -> str:
    assert deliver(app, company.email, company.schema_name) == 1
    return mailed_token(app, company.email)


def move_clock(app: Flask, slug: str, by: timedelta) -> None:
    with inside(app, slug):
        db.session.execute(
            sa.update(OneTimeToken).values(
                created_at=OneTimeToken.created_at - by, expires_at=OneTimeToken.expires_at - by
            )
        )


def test_get_only_tells_how(app: Flask, client: FlaskClient, acme: Company) -> None:
    answers = [
        client.get(f"/auth/reset-password/{key}") for key in (acme.email, address(), acme.token)
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert "POST" in answers[0].json["detail"]
    assert answers[0].json == answers[1].json == answers[2].json
    assert asked(app, acme.email) == []


def test_the_answer_is_the_same_for_everybody(
    app: Flask, client: FlaskClient, acme: Company, globex: Company
) -> None:
    answers = [
        ask(client, acme.email),
        ask(client, acme.email, acme.slug),
        ask(client, acme.email, globex.slug),
        ask(client, address()),
        ask(client, address(), acme.slug),
    ]
    assert [answer.status_code for answer in answers] == [202] * 5
    assert len({answer.text for answer in answers}) == 1
    schemas = [payload["schema_name"] for payload in asked(app, acme.email)]
    assert schemas == [None, acme.schema_name, globex.schema_name]


def test_the_request_asks_the_database_the_same_for_everybody(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    def statements(email: str) -> list[str]:
        seen: list[str] = []

        def note(_1: Any, _2: Any, statement: str, *_: Any) -> None:
            seen.append(statement)

        engine = db.engines[None]
        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            ask(client, email, acme.slug)
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)
        return seen

    with app.app_context():
        assert statements(acme.email) == statements(address())


def test_a_new_password_ends_sessions_and_leaves_api_tokens(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    with inside(app, acme.slug):
        user_id = db.session.scalar(sa.text("SELECT id FROM users"))
        tomorrow = sa.func.now() + timedelta(days=1)
        columns = {"user_id": user_id, "digest": b"api", "expires_at": tomorrow}
        db.session.execute(sa.insert(AccessToken).values(**columns, scopes=["tasks:read"]).inline())
        db.session.execute(sa.text("UPDATE users SET is_verified = false"))
    answer = set_password(client, token_for(app, acme))
    assert (answer.status_code, answer.data) == (204, b"")
    assert acme.get("/users/").status_code == 401
    assert_problem(log_in(client, acme.slug, acme.email), 401)
    sign_in(client, acme.slug, acme.email, NEW)
    assert user_row(app, acme.slug, acme.email).is_verified
    with inside(app, acme.slug):
        kept = db.session.scalars(
            sa.select(AccessToken.digest).where(AccessToken.scopes.is_not(None))
        )
        assert list(kept) == [b"api"]
    assert "password of your account" in mails_to(app, acme.email)[-1]
    assert "password.reset" in actions(app, acme.slug)


def test_a_token_works_once(app: Flask, client: FlaskClient, acme: Company) -> None:
    token = token_for(app, acme)
    assert set_password(client, token).status_code == 204
    assert_invalid_token(set_password(client, token, "yet another one"))
    sign_in(client, acme.slug, acme.email, NEW)


def test_at_the_same_instant_it_works_once(app: Flask, client: FlaskClient, acme: Company) -> None:
    token = token_for(app, acme)
    passwords = ["the first of the two", "the second of the two"]
    person = anonymous(client)
    answers = at_once(
        app,
        *[
            (person, lambda own, password=password: set_password(own.client, token, password))
            for password in passwords
        ],
    )
    assert statuses(answers) == [204, 404]
    won = passwords[[answer.status_code for answer in answers].index(204)]
    sign_in(client, acme.slug, acme.email, won)


def test_a_token_is_good_for_an_hour(app: Flask, client: FlaskClient, acme: Company) -> None:
    token = token_for(app, acme)
    move_clock(app, acme.slug, timedelta(minutes=59))
    assert_problem(set_password(client, token, "short"), 422)
    move_clock(app, acme.slug, timedelta(minutes=1))
    assert_invalid_token(set_password(client, token))
    sign_in(client, acme.slug, acme.email)


def test_a_second_mail_comes_after_two_minutes_and_replaces_the_first(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    first = token_for(app, acme)
    assert deliver(app, acme.email) == 0
    move_clock(app, acme.slug, timedelta(minutes=2, seconds=1))
    second = token_for(app, acme)
    assert_invalid_token(set_password(client, first))
    assert set_password(client, second).status_code == 204


def test_nothing_comes_for_those_who_are_not_there(
    app: Flask, acme: Company, globex: Company
) -> None:
    gone, idle = acme.add_person(), acme.add_person()
    assert acme.delete(f"/users/{gone.uuid}").status_code == 204
    assert acme.patch(f"/users/{idle.uuid}", {"is_active": False}).status_code == 200
    for email in (address(), gone.email, idle.email):
        assert deliver(app, email) == 0
        assert deliver(app, email, acme.schema_name) == 0
    assert deliver(app, acme.email, globex.schema_name) == 0
    assert deliver(app, acme.email, "t_nowhere") == 0


def test_without_a_tenant_each_account_gets_a_mail(app: Flask, client: FlaskClient) -> None:
    email = address()
    companies = []
    for number in range(3):
        body = {"name": f"Shared {number}"}
        user = {"first_name": "A", "last_name": "B", "email": email, "password": PASSWORD}
        answer = client.post("/auth/register", json={"company": body, "user": user})
        companies.append(answer.json["tenant"]["slug"])
        assert first_run(client, mailed_token(app, email)).status_code == 200
    assert deliver(app, email) == 3
    assert deliver(app, email) == 0
    assert set_password(client, mailed_token(app, email)).status_code == 204
    changed = [log_in(client, slug, email, NEW).status_code for slug in companies]
    assert sorted(changed) == [200, 401, 401]


def test_a_reset_activates_whoever_has_registered(app: Flask, client: FlaskClient) -> None:
    company = pending(client)
    schema_name = company.token.partition(".")[0]
    move_clock(app, company.slug, timedelta(days=4))
    assert_invalid_token(first_run(client, company.token))
    assert deliver(app, company.email) == 0, "nobody has shown yet that the address is theirs"
    assert deliver(app, company.email, schema_name) == 1
    assert set_password(client, mailed_token(app, company.email)).status_code == 204
    sign_in(client, company.slug, company.email, NEW)
    assert_invalid_token(first_run(client, company.token, NEW))


def test_a_deactivation_meanwhile_counts(app: Flask, client: FlaskClient, acme: Company) -> None:
    token = token_for(app, acme)
    with inside(app, acme.slug):
        db.session.execute(sa.text("UPDATE users SET is_active = false"))
    assert_invalid_token(set_password(client, token))
    assert not user_row(app, acme.slug, acme.email).is_active


def test_a_token_is_good_in_its_own_company_alone(
    app: Flask, client: FlaskClient, acme: Company, globex: Company
) -> None:
    token = token_for(app, acme)
    assert_invalid_token(set_password(client, elsewhere(token, globex.schema_name)))
    assert_invalid_token(set_password(client, acme.token))
    assert set_password(client, token).status_code == 204


@pytest.mark.parametrize("token", [token for token in NO_TOKENS if token.strip()])
def test_what_is_no_token(client: FlaskClient, token: str) -> None:
    assert_invalid_token(set_password(client, token))


@pytest.mark.parametrize("email", ["a@", "@example.com", "a@b@c.example", "a@-.example", "@"])
def test_what_is_no_address(client: FlaskClient, email: str) -> None:
    problem = assert_problem(ask(client, email), 422)
    assert set(problem["errors"]["path"]) == {"key"}


@pytest.mark.parametrize(
    "password", [None, "short", "p" * 257, 12345678, "password123", "Ada Lovelace"]
)
def test_a_bad_password_is_named_and_the_token_stays(
    app: Flask, client: FlaskClient, acme: Company, password: Any
) -> None:
    token = token_for(app, acme)
    problem = assert_problem(set_password(client, token, password), 422)
    assert set(problem["errors"]["json"]) == {"password"}
    assert set_password(client, token).status_code == 204


def test_a_password_and_an_address_do_not_go_together(client: FlaskClient, acme: Company) -> None:
    problem = assert_problem(set_password(client, acme.email), 422)
    assert set(problem["errors"]["json"]) == {"password"}


def test_a_token_needs_a_password(app: Flask, client: FlaskClient, acme: Company) -> None:
    token = token_for(app, acme)
    for body in ({}, {"password": NEW, "email": acme.email}):
        assert_problem(client.post(f"/auth/reset-password/{token}", json=body), 422)
    assert_problem(client.post(f"/auth/reset-password/{token}"), 422)
    assert set_password(client, token).status_code == 204


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    client: FlaskClient, body: bytes, content_type: str, status: int
) -> None:
    path = "/auth/reset-password/t_x.y"
    assert_problem(send_raw(anonymous(client), "POST", path, body, content_type), status)


def test_an_unknown_tenant_is_told_of_whatever_the_address(
    client: FlaskClient, acme: Company
) -> None:
    assert_problem(ask(client, acme.email, "no-such-tenant"), 404)
    assert_problem(ask(client, address(), "no-such-tenant"), 404)


def test_logs_show_neither_tokens_nor_addresses() -> None:
    captured = LogCapture()
    before = structlog.get_config()
    structlog.configure(
        processors=[captured], wrapper_class=structlog.make_filtering_bound_logger("info")
    )
    try:
        app = Flask(__name__)
        logs.init_app(app)
        for prefix in ("/auth/reset-password/", "/auth/verify/", "/feeds/"):
            app.test_client().post(f"{prefix}t_acme_1.secret")
    finally:
        structlog.configure(**before)
    shown = [entry["path"] for entry in captured.entries]
    assert shown == ["/auth/reset-password/…", "/auth/verify/…", "/feeds/…"]
