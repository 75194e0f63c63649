"""Makes companies and people over the API, as clients do."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from todo_app.database import db
from todo_app.outbox import OutboxMessage
from todo_app.tenancy import operations

PASSWORD = "correct horse battery"

TOKEN = re.compile(r"\bt_[a-z0-9_]+\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
"""A mailed token, in the text of its mail."""

_numbers = itertools.count(1)


class Caller:
    """Somebody with a token."""

    client: FlaskClient
    headers: dict[str, str]

    def call(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        """Send a request; `headers` are added to the person's own."""
        headers = {**self.headers, **kwargs.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, json: Any = None, **kwargs: Any) -> TestResponse:
        return self.call("POST", path, json=json, **kwargs)

    def patch(self, path: str, json: Any = None, **kwargs: Any) -> TestResponse:
        return self.call("PATCH", path, json=json, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("DELETE", path, **kwargs)


@dataclass
class Operator(Caller):
    """Somebody who runs the service."""

    client: FlaskClient
    token: str

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        """What a request needs to come from this operator."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class Person(Caller):
    """Somebody who is signed in: calls the API as that user."""

    client: FlaskClient
    slug: str
    token: str
    uuid: str
    email: str

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        """What a request needs to come from this person."""
        return {"tenant": self.slug, "Authorization": f"Bearer {self.token}"}


@dataclass
class Company(Person):
    """A company, seen by its master administrator."""

    schema_name: str = ""

    def role_uuid(self, name: str) -> str:
        """The id of a seeded role."""
        roles = self.get("/users/roles").json["items"]
        return next(role["uuid"] for role in roles if role["name"] == name)

    def add_person(self, role: str = "user") -> Person:
        """Add a user with this role and sign in."""
        email = f"person{next(_numbers)}@example.com"
        answer = self.post("/users/", new_user(email, self.role_uuid(role)))
        assert answer.status_code == 201, answer.json
        return sign_in(self.client, self.slug, email)


def wait_until(is_true: Callable[[], object], seconds: float) -> None:
    """Wait for something that another process does."""
    ends = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < ends, f"nothing happened within {seconds} s"
        time.sleep(0.1)


def new_user(email: str, role_uuid: str, **more: Any) -> dict[str, Any]:
    """The body of POST /users/."""
    user = {"first_name": "Grace", "last_name": "Hopper", "password": PASSWORD}
    return {**user, "email": email, "role_uuid": role_uuid, **more}


def registration(name: str, email: str) -> dict[str, Any]:
    """The body of POST /auth/register."""
    person = {"first_name": "Ada", "last_name": "Lovelace", "password": PASSWORD}
    return {"company": {"name": name}, "user": {**person, "email": email}}


def sign_in(client: FlaskClient, slug: str, email: str, password: str = PASSWORD) -> Person:
    """Log in."""
    credentials = {"email": email, "password": password}
    answer = client.post("/auth/login", json=credentials, headers={"tenant": slug})
    assert answer.status_code == 200, answer.json
    return Person(client, slug, answer.json["token"], answer.json["user"]["uuid"], email)


def register(client: FlaskClient, name: str = "Acme") -> Company:
    """Register a company with a name of its own, and confirm its first user's address."""
    number = next(_numbers)
    email = f"boss{number}@example.com"
    answer = client.post("/auth/register", json=registration(f"{name} {number}", email))
    assert answer.status_code == 201, answer.json
    boss = activate(client, answer.json["tenant"]["slug"], email)
    schema_name = boss.token.partition(".")[0]
    return Company(client, boss.slug, boss.token, boss.uuid, email, schema_name)


def activate(client: FlaskClient, slug: str, email: str) -> Person:
    """Confirm the address of somebody who has registered, which signs them in."""
    body = {"token": mailed_token(client.application, email), "password": PASSWORD}
    answer = client.post("/auth/first_run", json=body)
    assert answer.status_code == 200, answer.json
    return Person(client, slug, answer.json["token"], answer.json["user"]["uuid"], email)


def mailed_token(app: Flask, email: str) -> str:
    """The token of the newest mail to an address that waits in the outbox."""
    texts = mails_to(app, email)
    return next(token for text in reversed(texts) for token in TOKEN.findall(text))


def mails_to(app: Flask, email: str) -> list[str]:
    """The texts of the mails to an address that wait in the outbox, the newest last."""
    statement = (
        sa.select(OutboxMessage.payload["text"].astext)
        .where(OutboxMessage.payload["to"].astext == email)
        .order_by(OutboxMessage.id)
    )
    with app.app_context(), operations():
        return list(db.session.scalars(statement))
