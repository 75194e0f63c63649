"""Sessions and changes of a user that meet."""

from __future__ import annotations

import uuid
from dataclasses import replace
from threading import Thread

import pyotp
import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import PASSWORD, Company
from tests.todo_app.sessions.kit import log_in
from todo_app.accounts import service
from todo_app.accounts.passwords import hash_password, verify_password
from todo_app.database import OPS_BIND, db, transaction
from todo_app.sessions import signing_in
from todo_app.sessions.service import Session, begin_session
from todo_app.tenancy import tenant_scope
from todo_app.two_factor.models import TwoFactor


@pytest.mark.parametrize("change", ["password", "deactivation"])
def test_a_log_in_that_overlaps_a_change_gets_no_session(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The password is verified outside a transaction: what changed meanwhile must be seen."""
    person = acme.add_person()
    values = {
        "password": {"password_hash": hash_password("another password")},
        "deactivation": {"is_active": False},
    }[change]

    def verify_while_it_changes(password_hash: str | None, password: str) -> bool:
        with app.app_context(), tenant_scope(acme.slug), transaction():
            user = service.get_user(uuid.UUID(person.uuid))
            db.session.execute(
                sa.update(type(user)).where(type(user).id == user.id).values(**values)
            )
        return verify_password(password_hash, password)

    monkeypatch.setattr(signing_in, "verify_password", verify_while_it_changes)
    credentials = {"email": person.email, "password": PASSWORD}
    answer = acme.client.post("/auth/login", json=credentials, headers={"tenant": acme.slug})
    assert answer.status_code == 401


def test_a_log_in_that_overlaps_a_second_factor_is_asked_for_its_code(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify_while_it_is_set_up(password_hash: str | None, password: str) -> bool:
        with app.app_context(), tenant_scope(acme.slug), transaction():
            user = service.get_user(uuid.UUID(acme.uuid))
            factor = TwoFactor(user_id=user.id, secret=b"sealed", confirmed_at=sa.func.now())
            db.session.add(factor)
        return verify_password(password_hash, password)

    monkeypatch.setattr(signing_in, "verify_password", verify_while_it_is_set_up)
    assert log_in(acme).json["type"] == "urn:todo:problem:second-factor-needed"


def test_a_second_factor_waits_for_a_log_in_and_ends_its_session(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log-in has found no factor and not committed yet: its session must not outlive that."""
    code = pyotp.TOTP(acme.post("/auth/two-factor").json["secret"]).now()
    confirmed = []

    def begin_while_it_is_confirmed(user_id: int, **options: bool) -> Session:
        session = begin_session(user_id, **options)
        own = replace(acme, client=app.test_client())
        thread = Thread(
            target=lambda: confirmed.append(own.post("/auth/two-factor/confirm", {"code": code}))
        )
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        confirmed.append(thread)
        return session

    monkeypatch.setattr(signing_in, "begin_session", begin_while_it_is_confirmed)
    answer = log_in(acme)
    confirmed[0].join(10)
    assert (answer.status_code, confirmed[1].status_code) == (200, 200)
    assert replace(acme, token=answer.json["token"]).get("/users/").status_code == 401
    assert acme.get("/users/").status_code == 200


def test_a_locked_table_is_503_in_time_and_holds_nobody_else_up(
    app: Flask, acme: Company, globex: Company
) -> None:
    with app.app_context():
        engine = db.engines[OPS_BIND]
    with engine.connect() as holder:
        holder.exec_driver_sql(f"LOCK TABLE {acme.schema_name}.lists")
        assert acme.get("/lists/").status_code == 503
        assert globex.get("/lists/").status_code == 200
    assert acme.get("/lists/").status_code == 200
