"""What tests of ways to sign in share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyotp
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import PASSWORD, Company, Person
from tests.todo_app.helpers import inside
from todo_app.accounts.models import User
from todo_app.audit.models import AuditEntry
from todo_app.auth import digest
from todo_app.database import db
from todo_app.outbox import OutboxMessage
from todo_app.sessions.models import AccessToken
from todo_app.settings.models import CompanySettings
from todo_app.tenancy import operations
from todo_app.two_factor.models import TwoFactor

NEW_PASSWORD = "another fine horse"


def log_in(
    person: Person,
    password: Any = PASSWORD,
    *,
    email: str | None = None,
    address: str = "127.0.0.1",
    tenant: bool = True,
    **more: Any,
) -> TestResponse:
    """Send a log-in of a person, from some address."""
    return person.client.post(
        "/auth/login",
        json={"email": email or person.email, "password": password, **more},
        headers={"tenant": person.slug} if tenant else {},
        environ_base={"REMOTE_ADDR": address},
    )


@contextmanager
def row_of(app: Flask, person: Person) -> Iterator[User]:
    """The person's row, to look at and to change."""
    with inside(app, person.slug):
        yield db.session.scalars(sa.select(User).where(User.uuid == uuid.UUID(person.uuid))).one()


def move_session(app: Flask, person: Person, **columns: Any) -> None:
    """Change the row of the session that a person has: how a test moves its clock."""
    with inside(app, person.slug):
        db.session.execute(
            sa.update(AccessToken).where(AccessToken.digest == digest_of(person)).values(**columns)
        )


def session_row(app: Flask, person: Person) -> AccessToken:
    """The row of the session that a person has."""
    with inside(app, person.slug):
        found = sa.select(AccessToken).where(AccessToken.digest == digest_of(person))
        return db.session.scalars(found).one()


def digest_of(person: Person) -> bytes:
    return digest(person.token.partition(".")[2])


def actions(app: Flask, person: Person) -> list[str]:
    """What the company's record tells, the oldest first."""
    with inside(app, person.slug):
        return list(db.session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id)))


def outbox(app: Flask, email: str) -> list[str]:
    """Subjects of the mails to an address, the oldest first."""
    with app.app_context(), operations():
        payloads = db.session.scalars(sa.select(OutboxMessage.payload).order_by(OutboxMessage.id))
        return [mail["subject"] for mail in payloads if mail.get("to") == email]


def stale(app: Flask, person: Person) -> None:
    """Let the password have been shown an hour ago."""
    move_session(app, person, authenticated_at=sa.func.now() - sa.text("interval '1 hour'"))


def enrol(person: Person) -> tuple[pyotp.TOTP, list[str]]:
    """Set a second factor up; its last step is used up by that."""
    answer = person.post("/auth/two-factor")
    assert answer.status_code == 201, answer.json
    totp = pyotp.TOTP(answer.json["secret"])
    answer = person.post("/auth/two-factor/confirm", {"code": totp.now()})
    assert answer.status_code == 200, answer.json
    return totp, answer.json["recovery_codes"]


def forget_last_step(app: Flask, person: Person) -> None:
    """Let the last code have been used long ago, so that today's is good."""
    with inside(app, person.slug):
        user_id = sa.select(User.id).where(User.uuid == uuid.UUID(person.uuid)).scalar_subquery()
        changed = sa.update(TwoFactor).where(TwoFactor.user_id == user_id)
        db.session.execute(changed.values(last_step=1))


def require_two_factor(app: Flask, company: Company, required: bool = True) -> None:
    """Let the company ask for second factors."""
    with inside(app, company.slug):
        db.session.execute(sa.update(CompanySettings).values(require_two_factor=required))
