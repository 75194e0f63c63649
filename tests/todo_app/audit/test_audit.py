"""/audit: who did what, which nobody can change."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person, register
from tests.todo_app.helpers import BAD_QUERIES, assert_problem, inside
from todo_app.audit.models import AuditEntry
from todo_app.audit.service import NOBODY, record
from todo_app.database import db, transaction
from todo_app.tenancy import control_plane

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def recorded(app: Flask) -> Company:
    """A company with a record of its own: an entry an hour, from NOON on."""
    company = register(app.test_client(), "Recorded")
    with inside(app, company.slug):
        for action in ("user.deleted", "user.added", "userless.act", "list.deleted", "user.added"):
            record(None, action, ("user", uuid.UUID(int=1)), why="Łódź")
    with app.app_context():
        engine = db.engines["ops"]
        with engine.begin() as connection:
            # As the owner: nobody else can.
            connection.exec_driver_sql(
                f"DELETE FROM {company.schema_name}.audit_log WHERE NOT details ? 'why'"
            )
            connection.exec_driver_sql(
                f"UPDATE {company.schema_name}.audit_log AS a SET at = t.at FROM"
                " (SELECT id, %(noon)s::timestamptz + interval '1 hour' *"
                " (row_number() OVER (ORDER BY id) - 1) AS at"
                f" FROM {company.schema_name}.audit_log) AS t WHERE t.id = a.id",
                {"noon": NOON},
            )
    return company


def actions(company: Person, **query: str) -> list[str]:
    answer = company.get("/audit/", query_string=query)
    assert answer.status_code == 200, answer.json
    assert answer.json["total"] == len(answer.json["items"])
    return [entry["action"] for entry in answer.json["items"]]


def test_what_people_do_is_told_with_its_place(app: Flask, acme: Company) -> None:
    headers = {"User-Agent": "tests/1"}
    answer = acme.patch("/settings/", {"language": "de"}, headers=headers)
    (entry,) = acme.get("/audit/?action=settings.changed").json["items"]
    assert abs(datetime.fromisoformat(entry.pop("at")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert entry == {
        "actor_uuid": acme.uuid,
        "actor_name": "Ada Lovelace",
        "action": "settings.changed",
        "target_kind": "company",
        "target_uuid": None,
        "details": {"changes": {"language": {"old": "en-US", "new": "de"}}},
        "address": "127.0.0.1",
        "user_agent": "tests/1",
        "request_id": answer.headers["X-Request-ID"],
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["user.added", "list.deleted", "userless.act", "user.added", "user.deleted"]),
        ({"order": "asc", "size": "1", "page": "1"}, ["user.deleted"]),
        ({"action": "user.added"}, ["user.added", "user.added"]),
        ({"action": "user."}, ["user.added", "user.added", "user.deleted"]),
        ({"action": "user"}, []),
        ({"action": "%."}, []),
        ({"action": "u_er."}, []),
        ({"target_kind": "user", "action": "list."}, ["list.deleted"]),
        ({"target_kind": "list"}, []),
        ({"target_uuid": str(uuid.UUID(int=2))}, []),
        ({"target_uuid": str(uuid.UUID(int=1)), "action": "list."}, ["list.deleted"]),
        ({"actor_uuid": str(uuid.UUID(int=1))}, []),
        ({"since": "2026-01-02T15:00:00Z"}, ["user.added", "list.deleted"]),
        ({"until": "2026-01-02T13:00:00Z"}, ["user.deleted"]),
        (
            {"since": "2026-01-02T14:00:00+01:00", "until": "2026-01-02T15:00:00Z"},
            ["userless.act", "user.added"],
        ),
        ({"since": "2026-01-03T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, []),
        ({"search": "DELETED"}, ["list.deleted", "user.deleted"]),
        ({"search": "nobody", "action": "list.deleted"}, ["list.deleted"]),
        ({"search": "%"}, []),
    ],
)
def test_filters(recorded: Company, query: dict[str, str], expected: list[str]) -> None:
    with_own = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-03T00:00:00Z", **query}
    answer = recorded.get("/audit/", query_string=with_own)
    assert [entry["action"] for entry in answer.json["items"]] == expected


def test_filter_by_who_did_it(acme: Company) -> None:
    admin = acme.add_person("admin")
    assert admin.patch("/settings/me", {"language": "de"}).status_code == 200
    assert "settings.changed" in actions(admin, actor_uuid=admin.uuid)
    assert "settings.changed" not in actions(acme, actor_uuid=acme.uuid)
    assert "user.added" in actions(acme, actor_uuid=acme.uuid, target_uuid=admin.uuid)
    assert actions(acme, search="grace", action="settings.") == ["settings.changed"]


def test_the_last_comes_first_even_within_one_transaction(app: Flask, acme: Company) -> None:
    with inside(app, acme.slug):
        for number in range(5):
            record(None, f"number.{number}")
    assert actions(acme, action="number.") == [f"number.{n}" for n in range(4, -1, -1)]
    assert actions(acme, action="number.", order="asc") == [f"number.{n}" for n in range(5)]


@pytest.mark.parametrize(
    "query",
    [
        *BAD_QUERIES,
        "action=",
        "action=" + "a" * 101,
        "actor_uuid=1",
        "target_uuid=",
        "since=yesterday",
        "since=2026-01-02",
        "until=2026-01-02T00:00:00",
        "until=99999-01-01T00:00:00Z",
    ],
)
def test_queries_that_it_does_not_take(company: Company, query: str) -> None:
    assert_problem(company.get(f"/audit/?{query}"), 422)


def test_who_may_read_it(app: Flask, acme: Company, globex: Company) -> None:
    assert_problem(Person(app.test_client(), acme.slug, "", "", "").get("/audit/"), 401)
    for role in ("user", "read_only"):
        assert_problem(acme.add_person(role).get("/audit/"), 403)
    assert_problem(globex.get("/audit/", headers={"tenant": acme.slug}), 403)
    assert acme.add_person("admin").get("/audit/").status_code == 200
    assert not {acme.uuid, acme.slug} & {
        entry["actor_uuid"] for entry in globex.get("/audit/").json["items"]
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_there_is_no_way_to_write_it(company: Company, method: str) -> None:
    assert_problem(company.call(method, "/audit/", json={}), 405)


FORBIDDEN = [
    "UPDATE audit_log SET actor_name = 'somebody else'",
    "UPDATE audit_log SET at = now() WHERE false",
    "DELETE FROM audit_log",
    "DELETE FROM audit_log WHERE id = 0",
    "TRUNCATE audit_log",
    "SELECT * FROM audit_log FOR UPDATE",
    "INSERT INTO audit_log (actor_name, action) VALUES ('a', 'b')"
    " ON CONFLICT (id) DO UPDATE SET actor_name = 'c'",
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "DROP TABLE audit_log",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_database_lets_nobody_change_the_record(
    app: Flask, acme: Company, statement: str
) -> None:
    with inside(app, acme.slug):
        assert db.session.scalar(sa.text("SELECT current_user")) == acme.schema_name
        with pytest.raises(sa.exc.ProgrammingError) as raised:
            db.session.execute(sa.text(statement))
        db.session.rollback()
    error: Any = raised.value.orig
    assert error.pgcode == "42501", "insufficient_privilege"


def test_the_api_role_itself_cannot_even_read_it(app: Flask, acme: Company) -> None:
    for statement in ("SELECT 1 FROM", "DELETE FROM"):
        with (
            app.app_context(),
            control_plane(),
            pytest.raises(sa.exc.ProgrammingError),
            transaction(),
        ):
            db.session.execute(sa.text(f"{statement} {acme.schema_name}.audit_log"))


def test_entries_can_be_added_and_read(app: Flask, acme: Company) -> None:
    with inside(app, acme.slug):
        record(None, "test.added")
    with inside(app, acme.slug):
        found = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "test.added"))
        assert found.one().actor_name == NOBODY
