"""Hashing takes long: nothing is held meanwhile that others need."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ops.delivery.job import mail_reset_tokens
from tests.factories import PASSWORD, Company, mailed_token, registration
from tests.todo_app.registration.kit import address, first_run, pending
from todo_app.database import current_session
from todo_app.hashing import in_turn
from todo_app.invitations import service as invitations
from todo_app.registration import resets, service


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each hash: whether a transaction was open."""
    seen: list[bool] = []

    def watched(work: Callable[..., Any], *args: object) -> Any:
        seen.append(current_session().in_transaction())
        return in_turn(work, *args)

    modules: tuple[ModuleType, ...] = (service, invitations, resets)
    for module in modules:
        monkeypatch.setattr(module, "in_turn", watched)
    return seen


def test_no_transaction_is_open_while_a_hash_is_made(
    app: Flask, client: FlaskClient, acme: Company, hashed: list[bool]
) -> None:
    assert client.post("/auth/register", json=registration("A", address())).status_code == 201
    assert first_run(client, pending(client).token).status_code == 200
    email = address()
    acme.post("/users/invitations/", {"email": email, "role_uuid": acme.role_uuid("user")})
    person = {"first_name": "Grace", "last_name": "Hopper", "password": PASSWORD}
    body = {**person, "token": mailed_token(app, email)}
    assert client.post("/users/invitations/accept", json=body).status_code == 201
    with app.app_context():
        mail_reset_tokens(email, acme.schema_name)
    path = f"/auth/reset-password/{mailed_token(app, email)}"
    assert client.post(path, json={"password": "a new and better one"}).status_code == 204
    assert hashed == [False] * 5


def test_what_changed_while_the_hash_was_made_counts(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first run whose password is reset meanwhile, past the moment of its check."""
    company = pending(client)
    schema_name = company.token.partition(".")[0]

    def reset_meanwhile(work: Callable[..., Any], *args: object) -> Any:
        is_right = in_turn(work, *args)
        with monkeypatch.context() as patch:
            patch.setattr(service, "in_turn", in_turn)
            other = app.test_client()
            mail_reset_tokens(company.email, schema_name)
            path = f"/auth/reset-password/{mailed_token(app, company.email)}"
            assert other.post(path, json={"password": "a new and better one"}).status_code == 204
        return is_right

    with monkeypatch.context() as patch:
        patch.setattr(service, "in_turn", reset_meanwhile)
        answer = first_run(client, company.token)
    assert answer.status_code == 404
