"""What tests of people share: roles made for them, sessions grown old, their mails and records."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person, new_user, sign_in
from tests.todo_app.helpers import inside
from todo_app.accounts.service import get_user
from todo_app.audit.models import AuditEntry
from todo_app.database import db, transaction
from todo_app.invitations.models import Invitation
from todo_app.registration import members
from todo_app.tenancy import operations

STALE = "urn:todo:problem:step-up-needed"


def some_email() -> str:
    """An address that nobody has."""
    return f"{uuid.uuid4().hex[:12]}@example.com"


def add_role(person: Person, *permissions: str, title: str | None = None) -> dict[str, Any]:
    """A new role with these permissions."""
    body = {"title": title or f"Role {uuid.uuid4().hex[:8]}", "permissions": list(permissions)}
    answer = person.post("/permissions/", body)
    assert answer.status_code == 201, answer.json
    role: dict[str, Any] = answer.json
    return role


def add_person(company: Company, role_uuid: str, **more: Any) -> Person:
    """A new user with this role, signed in."""
    email = some_email()
    answer = company.post("/users/", new_user(email, role_uuid, **more))
    assert answer.status_code == 201, answer.json
    return sign_in(company.client, company.slug, email)


def person_who_may(company: Company, *permissions: str) -> Person:
    """A new user whose role has exactly these permissions."""
    return add_person(company, add_role(company, *permissions)["uuid"])


def robot_of(person: Person, scope: str = "admin") -> Person:
    """The person by an API token."""
    expires_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"name": "Robot", "scopes": [scope], "expires_at": expires_at}
    made = person.post("/auth/tokens", body)
    assert made.status_code == 201, made.json
    return replace(person, token=made.json["token"])


def make_stale(app: Flask, person: Person) -> None:
    """Let an hour pass since the person has shown a password."""
    with inside(app, person.slug):
        db.session.execute(
            sa.text(
                "UPDATE access_tokens SET authenticated_at = now() - interval '1 hour'"
                " WHERE user_id = (SELECT id FROM users WHERE uuid = :uuid)"
            ),
            {"uuid": person.uuid},
        )


def entries_of(app: Flask, company: Company, target_uuid: str) -> list[tuple[str, dict[str, Any]]]:
    """What has been recorded about something, with its details, the first one first."""
    with inside(app, company.slug):
        found = (
            sa.select(AuditEntry.action, AuditEntry.details)
            .where(AuditEntry.target_uuid == uuid.UUID(target_uuid))
            .order_by(AuditEntry.id)
        )
        return [(row.action, row.details) for row in db.session.execute(found)]


def records_of(app: Flask, company: Company, target_uuid: str) -> list[str]:
    """What has been recorded about something, the first one first."""
    return [action for action, _ in entries_of(app, company, target_uuid)]


def limit_accounts(app: Flask, company: Company, limit: int) -> None:
    """Let a company have only so many users."""
    with app.app_context(), operations(), transaction():
        db.session.execute(
            sa.text("UPDATE public.tenants SET account_limit = :limit WHERE slug = :slug"),
            {"limit": limit, "slug": company.slug},
        )


def invite(app: Flask, inviter: Person, role_uuid: str) -> str:
    """A pending invitation in somebody's name; its UUID."""
    with inside(app, inviter.slug):
        invitation = uuid.uuid4()
        db.session.execute(
            sa.text(
                "INSERT INTO invitations (uuid, email, role_id, invited_by_id, language, digest,"
                " sent_at, expires_at) VALUES (:uuid, :email,"
                " (SELECT id FROM roles WHERE uuid = :role),"
                " (SELECT id FROM users WHERE uuid = :inviter), 'en-US', :digest, now(),"
                " now() + interval '7 days')"
            ),
            {
                "uuid": invitation,
                "email": some_email(),
                "role": role_uuid,
                "inviter": inviter.uuid,
                "digest": invitation.bytes,
            },
        )
        return str(invitation)


def is_revoked(app: Flask, company: Company, invitation_uuid: str) -> bool:
    """Whether an invitation is good for nothing any more."""
    with inside(app, company.slug):
        found = sa.select(Invitation.revoked_at).where(
            Invitation.uuid == uuid.UUID(invitation_uuid)
        )
        return db.session.scalars(found).one() is not None


def prove(app: Flask, slug: str, user_uuid: str) -> None:
    """Let a user have shown that the address is theirs."""
    with inside(app, slug):
        user = get_user(uuid.UUID(user_uuid))
        user.is_verified = True
        members.note(user.email)
