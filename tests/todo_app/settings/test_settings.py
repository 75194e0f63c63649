"""/settings: what a company sets for its people, and what they set for themselves."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import (
    RAW_BODIES,
    assert_problem,
    at_once,
    inside,
    send_raw,
    statuses,
)
from todo_app import mails
from todo_app.accounts.models import User
from todo_app.audit.models import AuditEntry
from todo_app.database import db
from todo_app.outbox import OutboxMessage
from todo_app.sessions.models import AccessToken
from todo_app.tenancy import operations
from todo_app.two_factor.models import TwoFactor

COMPANY = {
    "require_two_factor": False,
    "language": "en-US",
    "timezone": "UTC",
    "audit_keep_days": 365,
}
NO_QUIET = {"quiet_from": None, "quiet_until": None}
OWN = {"language": "en-US", "timezone": "UTC", "notification_level": "all", **NO_QUIET}


def shown(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.json
    return {name: value for name, value in answer.json.items() if name != "updated_at"}


def changes_of(app: Flask, slug: str) -> list[tuple[str | None, dict[str, Any]]]:
    with inside(app, slug):
        statement = sa.select(AuditEntry).where(AuditEntry.action == "settings.changed")
        entries = db.session.scalars(statement.order_by(AuditEntry.id))
        return [(entry.target_kind, entry.details["changes"]) for entry in entries]


def test_a_company_changes_its_settings(app: Flask, acme: Company) -> None:
    assert shown(acme.get("/settings/")) == COMPANY
    new = {"language": "pl", "timezone": "Europe/Warsaw", "audit_keep_days": 30}
    assert shown(acme.patch("/settings/", new)) == {**COMPANY, **new}
    assert shown(acme.patch("/settings/", {"language": "pl"})) == {**COMPANY, **new}
    assert shown(acme.patch("/settings/", {})) == shown(acme.get("/settings")) == {**COMPANY, **new}
    assert changes_of(app, acme.slug) == [
        (
            "company",
            {name: {"old": COMPANY[name], "new": value} for name, value in new.items()},
        )
    ]


def test_people_set_what_is_theirs(app: Flask, acme: Company) -> None:
    person = acme.add_person("read_only")
    assert shown(person.get("/settings/me")) == OWN
    new = {"language": "fr", "timezone": "Europe/Paris", "notification_level": "none"}
    assert shown(person.patch("/settings/me", new)) == {**new, **NO_QUIET}
    assert shown(acme.get("/settings/me")) == OWN
    me = person.get("/users/me").json
    assert (me["language"], me["timezone"]) == ("fr", "Europe/Paris")
    ((kind, changes),) = changes_of(app, acme.slug)
    assert kind == "user"
    assert changes["notification_level"] == {"old": "all", "new": "none"}


@pytest.mark.parametrize("path", ["/settings/", "/settings/me"])
def test_of_two_changes_from_one_version_one_is_made(app: Flask, acme: Company, path: str) -> None:
    headers = {"If-Match": acme.get(path).headers["ETag"]}
    languages = ("de", "fr", "pl")
    answers = at_once(
        app,
        *[
            (acme, lambda own, name=name: own.patch(path, {"language": name}, headers=headers))
            for name in languages
        ],
    )
    assert statuses(answers) == [200, 412, 412]
    assert_problem(acme.patch(path, {"language": "de"}, headers={"If-Match": '"x"'}), 412)
    current = acme.get(path).headers["ETag"]
    assert acme.get(path, headers={"If-None-Match": current}).status_code == 304


def test_nobody_asks_for_a_second_factor_without_having_one(app: Flask, acme: Company) -> None:
    body = {"require_two_factor": True}
    refused = assert_problem(acme.patch("/settings/", body), 409)
    assert refused["type"] == "urn:todo:problem:no-second-factor"
    for confirmed_at, status in ((None, 409), (datetime.now(UTC), 200)):
        with inside(app, acme.slug):
            user_id = db.session.scalars(sa.select(User.id)).one()
            db.session.execute(sa.delete(TwoFactor))
            db.session.add(TwoFactor(user_id=user_id, secret=b"x", confirmed_at=confirmed_at))
        assert acme.patch("/settings/", body).status_code == status
    # Said once more, it is no change, and off again it goes without any factor.
    assert acme.patch("/settings/", body).status_code == 200
    assert acme.patch("/settings/", {"require_two_factor": False}).status_code == 200


def test_who_may_see_and_change_them(app: Flask, acme: Company, globex: Company) -> None:
    nobody = Person(app.test_client(), acme.slug, "", "", "")
    for path in ("/settings/", "/settings/me"):
        assert_problem(nobody.get(path), 401)
        assert_problem(nobody.patch(path, {}), 401)
        assert_problem(globex.get(path, headers={"tenant": acme.slug}), 403)
    for role in ("admin", "user", "read_only"):
        person = acme.add_person(role)
        assert person.get("/settings/").status_code == 200
        assert_problem(person.patch("/settings/", {"language": "de"}), 403)


def test_the_company_changes_only_after_a_fresh_password(app: Flask, acme: Company) -> None:
    with inside(app, acme.slug):
        db.session.execute(
            sa.update(AccessToken).values(
                authenticated_at=sa.func.now() - sa.text("'1 hour'::interval")
            )
        )
    problem = assert_problem(acme.patch("/settings/", {"language": "de"}), 401)
    assert problem["type"] == "urn:todo:problem:step-up-needed"
    assert acme.patch("/settings/me", {"language": "de"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/settings/", {"language": "xx"}, "language"),
        ("/settings/", {"language": "en"}, "language"),
        ("/settings/", {"language": None}, "language"),
        ("/settings/", {"timezone": "Mars/Olympus"}, "timezone"),
        ("/settings/", {"timezone": "../../etc/passwd"}, "timezone"),
        ("/settings/", {"timezone": 1}, "timezone"),
        ("/settings/", {"require_two_factor": "true"}, "require_two_factor"),
        ("/settings/", {"require_two_factor": None}, "require_two_factor"),
        ("/settings/", {"audit_keep_days": 29}, "audit_keep_days"),
        ("/settings/", {"audit_keep_days": 3651}, "audit_keep_days"),
        ("/settings/", {"audit_keep_days": 30.5}, "audit_keep_days"),
        ("/settings/", {"audit_keep_days": "30"}, "audit_keep_days"),
        ("/settings/", {"audit_keep_days": True}, "audit_keep_days"),
        ("/settings/", {"audit_keep_days": 2**60}, "audit_keep_days"),
        ("/settings/", {"id": 2}, "id"),
        ("/settings/", {"version": 2}, "version"),
        ("/settings/me", {"language": "xx"}, "language"),
        ("/settings/me", {"timezone": "x\x00"}, "timezone"),
        ("/settings/me", {"notification_level": "some"}, "notification_level"),
        ("/settings/me", {"notification_level": None}, "notification_level"),
        ("/settings/me", {"is_active": True}, "is_active"),
        ("/settings/me", {"role_uuid": "x"}, "role_uuid"),
    ],
)
def test_bad_input_is_named(company: Company, path: str, body: Any, field: str) -> None:
    assert set(assert_problem(company.patch(path, body), 422)["errors"]["json"]) == {field}


@pytest.mark.parametrize("path", ["/settings/", "/settings/me"])
@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, path: str, body: bytes, content_type: str, status: int
) -> None:
    assert_problem(send_raw(company, "PATCH", path, body, content_type), status)


def test_people_who_are_added_get_what_the_company_speaks(acme: Company) -> None:
    new = {"language": "pl", "timezone": "Europe/Warsaw"}
    assert acme.patch("/settings/", new).status_code == 200
    person = acme.add_person()
    assert shown(person.get("/settings/me")) == {**OWN, **new}
    assert shown(acme.get("/settings/me")) == OWN


def test_mails_tell_times_in_the_words_of_who_reads_them(app: Flask, acme: Company) -> None:
    with inside(app, acme.slug):
        moment = datetime(2026, 5, 3, 23, 5, tzinfo=UTC)
        address = f"{secrets.token_hex(8)}@example.com"
        values = {"name": "{token}", "company": "Acme", "token": "T", "until": moment}
        mails.send("password_reset", address, "pl", "Europe/Warsaw", **values)
    with app.app_context(), operations():
        (mail,) = db.session.scalars(
            sa.select(OutboxMessage.payload).where(OutboxMessage.payload["to"].astext == address)
        )
    assert mail["subject"] == "Nowe hasło w Acme"
    assert "4 maj 2026, 01:05 (Europe/Warsaw)" in mail["text"]
    assert "Dzień dobry, {token}!" in mail["text"]
