"""Sessions and changes of a user that meet."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import PASSWORD, Company
from todo_app.accounts import service
from todo_app.accounts.passwords import hash_password, verify_password
from todo_app.database import OPS_BIND, db, transaction
from todo_app.tenancy import tenant_scope


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
        with tenant_scope(acme.slug), transaction():
            user = service.get_user(uuid.UUID(person.uuid))
            db.session.execute(
                sa.update(type(user)).where(type(user).id == user.id).values(**values)
            )
        return verify_password(password_hash, password)

    monkeypatch.setattr(service, "verify_password", verify_while_it_changes)
    credentials = {"email": person.email, "password": PASSWORD}
    answer = acme.client.post("/auth/login", json=credentials, headers={"tenant": acme.slug})
    assert answer.status_code == 401


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
