"""What the tests of registration share."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import PASSWORD, Person, mailed_token, registration
from tests.todo_app.helpers import assert_problem, inside
from todo_app.accounts.models import User
from todo_app.audit.models import AuditEntry
from todo_app.database import db

NO_TOKENS = ["", " ", "x", "t_x", "t_nowhere." + "A" * 43, "A" * 43, "t_x." + "A" * 100_000, "ü.ü"]
"""Texts that are no token of any company."""


class Pending(NamedTuple):
    """A company whose first user has not been activated."""

    slug: str
    email: str
    token: str


def pending(client: FlaskClient, name: str = "Pending") -> Pending:
    """Register a company and leave it at that."""
    email = address()
    answer = client.post("/auth/register", json=registration(name, email))
    assert answer.status_code == 201, answer.json
    token = mailed_token(client.application, email)
    return Pending(answer.json["tenant"]["slug"], email, token)


def address() -> str:
    """An address that nobody has."""
    return f"{secrets.token_hex(6)}@example.com"


def anonymous(client: FlaskClient) -> Person:
    """Somebody without a company."""
    return Person(client, "", "", "", "")


def first_run(client: FlaskClient, token: str, password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/auth/first_run", json={"token": token, "password": password, **more})


def log_in(client: FlaskClient, slug: str, email: str, password: str = PASSWORD) -> Any:
    body = {"email": email, "password": password}
    return client.post("/auth/login", json=body, headers={"tenant": slug})


def assert_invalid_token(answer: TestResponse) -> None:
    """The one answer to every token that is not good."""
    problem = assert_problem(answer, 404)
    assert problem["type"] == "urn:todo:problem:invalid-token"
    assert problem["detail"] == "This code is not valid, or not any more. Ask for a new one."


def elsewhere(token: str, slug_or_schema: str) -> str:
    """The same secret, said to be of another company."""
    return f"{slug_or_schema}.{token.partition('.')[2]}"


def user_row(app: Flask, slug: str, email: str) -> User:
    """A user's row."""
    with inside(app, slug):
        return db.session.scalars(sa.select(User).where(User.email == email)).one()


def actions(app: Flask, slug: str) -> list[str]:
    """What the company's record says was done, in order."""
    with inside(app, slug):
        return list(db.session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id)))
