"""Operators' tokens: made once, stored hashed, scoped, revoked; every use is on record."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient

from ops.operators import job
from ops.operators.models import AuditEntry, Operator
from tests.factories import Company
from tests.factories import Operator as OperatorClient
from todo_app.database import db, transaction
from todo_app.tenancy import operations


@pytest.fixture
def in_operations(app: Flask) -> Iterator[None]:
    with app.app_context(), operations():
        yield


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=["operators", *arguments])


def test_a_token_is_shown_once_and_stored_hashed(app: Flask, in_operations: None) -> None:
    name = f"op-{secrets.token_hex(4)}"
    result = run(app, "create", name)
    token = result.stdout.strip()
    assert token.startswith(job.TOKEN_PREFIX)
    row = db.session.scalars(sa.select(Operator).where(Operator.name == name)).one()
    assert token.encode() not in row.token_digest
    assert token not in run(app, "list", "--json").output
    assert run(app, "create", name).exit_code == 2


@pytest.mark.parametrize("arguments", [["x", "--scope", "tenants:all"], ["x", "--days", "0"], []])
def test_wrong_use_is_exit_code_2(app: Flask, arguments: list[str]) -> None:
    result = run(app, "create", *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_revoked_token_is_401(app: Flask, client: FlaskClient) -> None:
    name = f"op-{secrets.token_hex(4)}"
    caller = OperatorClient(client, run(app, "create", name).stdout.strip())
    assert caller.get("/cc/").status_code == 200
    assert run(app, "revoke", name).exit_code == 0
    assert caller.get("/cc/").status_code == 401
    assert run(app, "revoke", name).exit_code == 2
    with app.app_context(), operations():
        statement = sa.select(AuditEntry.allowed).where(AuditEntry.operator == name)
        assert list(db.session.scalars(statement.order_by(AuditEntry.id))) == [True, False]
    listed = json.loads(run(app, "list", "--json").output)
    assert next(row for row in listed if row["name"] == name)["revoked"]


def test_an_expired_token_is_401(app: Flask, client: FlaskClient) -> None:
    name = f"op-{secrets.token_hex(4)}"
    caller = OperatorClient(client, run(app, "create", name, "--days", "1").stdout.strip())
    assert caller.get("/cc/").status_code == 200
    with app.app_context(), operations(), transaction():
        past = sa.func.now() - sa.text("interval '1 second'")
        db.session.execute(sa.update(Operator).where(Operator.name == name).values(expires_at=past))
    assert caller.get("/cc/").status_code == 401


def test_each_use_is_on_record_the_refused_ones_too(
    app: Flask, client: FlaskClient, acme: Company
) -> None:
    name = f"op-{secrets.token_hex(4)}"
    token = run(app, "create", name, "--scope", job.TENANTS_READ).stdout.strip()
    caller = OperatorClient(client, token)
    assert caller.get(f"/cc/{acme.slug}").status_code == 200
    answer = caller.patch(f"/cc/{acme.slug}", {"name": "Mine"})
    assert answer.status_code == 403
    with app.app_context(), operations():
        statement = sa.select(AuditEntry).where(AuditEntry.operator == name).order_by(AuditEntry.id)
        entries = list(db.session.scalars(statement))
    assert [entry.allowed for entry in entries] == [True, False]
    assert entries[1].action == "PATCH cc.change_tenant"
    assert entries[1].target == f"/cc/{acme.slug}"
    assert entries[1].request_id == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("token", ["", "op.", "op.wrong", "x" * 5000, "op." + "ü" * 43])
def test_a_wrong_token_is_401(client: FlaskClient, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
    assert client.get("/cc/", headers=headers).status_code == 401


def test_a_tenants_token_is_no_operators_token(acme: Company) -> None:
    assert acme.get("/cc/").status_code == 401


def test_an_operators_token_is_no_tenants_token(cc: OperatorClient, acme: Company) -> None:
    assert cc.get("/users/", headers={"tenant": acme.slug}).status_code == 401
