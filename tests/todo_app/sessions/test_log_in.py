"""Log-in by address alone, of those who are not confirmed, and of old hashes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import PASSWORD, Company, new_user, register
from tests.todo_app.helpers import assert_problem, inside
from tests.todo_app.sessions.kit import actions, log_in, row_of
from todo_app import hashing
from todo_app.accounts.passwords import verify_password
from todo_app.audit.models import AuditEntry
from todo_app.database import db
from todo_app.registration.models import ACTIVATION, OneTimeToken
from todo_app.sessions import signing_in

UNCLEAR = "Email address or password is wrong, or the tenant has to be named."


def test_an_address_that_leads_to_one_tenant_is_enough(acme: Company) -> None:
    answer = log_in(acme, tenant=False)
    assert answer.status_code == 200
    assert answer.json["token"].startswith(f"{acme.schema_name}.")


def test_log_in_alone_fails_alike_for_whatever_reason(acme: Company, globex: Company) -> None:
    twice = acme.add_person()
    other = new_user(twice.email, globex.role_uuid("user"))
    assert globex.post("/users/", other).status_code == 201
    assert log_in(globex, email=twice.email).status_code == 200
    answers = [
        log_in(acme, "wrong password", tenant=False),
        log_in(acme, email="nobody@example.com", tenant=False),
        log_in(twice, tenant=False),
        log_in(twice, "wrong password", tenant=False),
    ]
    problems = [assert_problem(answer, 401) for answer in answers]
    for problem in problems:
        problem.pop("request_id")
    assert problems == [problems[0]] * len(problems)
    assert problems[0]["detail"] == UNCLEAR
    assert problems[0]["type"] == "urn:todo:problem:wrong-credentials"
    assert log_in(twice).status_code == 200


@pytest.mark.parametrize("kind", ["one tenant", "no tenant", "two tenants"])
def test_the_password_is_always_verified_once(
    acme: Company, globex: Company, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What takes the time of an answer is the same, whatever the address leads to."""
    email = acme.email
    if kind == "no tenant":
        email = "nobody@example.com"
    if kind == "two tenants":
        globex.post("/users/", new_user(email, globex.role_uuid("user")))
        assert log_in(globex, email=email).status_code == 200
    seen = []

    def count(password_hash: str | None, password: str) -> bool:
        seen.append(password)
        return verify_password(password_hash, password)

    monkeypatch.setattr(signing_in, "verify_password", count)
    assert_problem(log_in(acme, "wrong password", email=email, tenant=False), 401)
    assert seen == ["wrong password"]


def test_log_in_notes_where_a_proven_address_has_an_account(app: Flask, acme: Company) -> None:
    """One that nobody has proven may be somebody else's, who must notice nothing."""
    person = acme.add_person()
    assert log_in(person).status_code == 200
    assert assert_problem(log_in(person, tenant=False), 401)["detail"] == UNCLEAR
    with row_of(app, person) as user:
        user.is_verified = True
    assert log_in(person).status_code == 200
    assert log_in(person, tenant=False).status_code == 200


def test_who_has_left_is_not_found_by_the_address(acme: Company) -> None:
    person = acme.add_person()
    acme.delete(f"/users/{person.uuid}")
    assert assert_problem(log_in(person, tenant=False), 401)["detail"] == UNCLEAR


def unconfirm(app: Flask, person: Company) -> None:
    """Let the person have registered, and not have used the mailed token yet."""
    with row_of(app, person) as user:
        user.is_active = False
        db.session.execute(sa.delete(OneTimeToken).where(OneTimeToken.user_id == user.id))
        db.session.add(
            OneTimeToken(
                user_id=user.id,
                purpose=ACTIVATION,
                digest=user.uuid.bytes,
                expires_at=datetime.now(UTC) + timedelta(hours=1),
            )
        )


def test_who_is_not_confirmed_is_told_so_by_the_right_password_alone(
    app: Flask, acme: Company
) -> None:
    unconfirm(app, acme)
    assert assert_problem(log_in(acme), 403)["type"] == "urn:todo:problem:not-activated"
    problem = assert_problem(log_in(acme, "wrong password"), 401)
    assert problem["type"] == "urn:todo:problem:wrong-credentials"
    # Right passwords are no failures.
    for _ in range(6):
        assert_problem(log_in(acme), 403)


@pytest.mark.usefixtures("real_hashes")
def test_an_old_hash_is_replaced_at_log_in(app: Flask, acme: Company) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    with row_of(app, acme) as user:
        user.password_hash = old
    with row_of(app, acme) as user:
        before = (user.version, user.updated_at)
    assert log_in(acme).status_code == 200
    with row_of(app, acme) as user:
        assert user.password_hash != old
        assert "m=19456,t=2,p=1" in user.password_hash
        assert (user.version, user.updated_at) == before
    assert log_in(acme).status_code == 200


def test_log_ins_are_recorded(app: Flask, acme: Company) -> None:
    log_in(acme, "wrong password")
    log_in(acme, email="nobody@example.com")
    log_in(acme)
    assert actions(app, acme)[-3:] == ["session.failed", "session.failed", "session.started"]
    with inside(app, acme.slug):
        entries = db.session.scalars(
            sa.select(AuditEntry).where(AuditEntry.action == "session.failed")
        ).all()
        assert {str(entry.target_uuid) for entry in entries} == {acme.uuid, "None"}
        assert all("nobody" not in str(entry.details) for entry in entries)


def test_when_too_many_sign_in_further_ones_are_told_to_come_back(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def acquire(self, **_: object) -> bool:
            return False

    monkeypatch.setattr(hashing, "_places", Full())
    for _ in range(6):
        answer = log_in(company)
        assert assert_problem(answer, 503)["type"] == "urn:todo:problem:busy"
        assert int(answer.headers["Retry-After"]) > 0
    monkeypatch.undo()
    assert log_in(company).status_code == 200


def test_a_schema_in_no_header_is_asked_for_nothing(client: FlaskClient) -> None:
    company = register(client, "Alone")
    answer = log_in(company, tenant=False, permanent=True)
    lasts = datetime.fromisoformat(answer.json["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29) < lasts <= timedelta(days=30)
