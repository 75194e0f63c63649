"""`/reminders`, and the mails that come of them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once, inside, statuses
from tests.todo_app.sync.kit import Replica
from todo_app.database import db, transaction
from todo_app.outbox import MAIL, NOTICES, OutboxMessage
from todo_app.reminders import sending, service
from todo_app.tenancy import operations


def after(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


@pytest.fixture
def home(acme: Company) -> str:
    return str(acme.post("/lists/", {"title": "Home"}).json["uuid"])


def add_task(company: Any, home: str, **values: Any) -> str:
    body = {"title": "Buy milk", "list_uuid": home, **values}
    return str(company.post("/tasks/", body).json["uuid"])


def remind(person: Any, task: str, **when: Any) -> Any:
    return person.post("/reminders/", {"task_uuid": task, **when})


def mails_to(app: Flask, email: str) -> list[dict[str, str]]:
    with app.app_context(), operations(), transaction():
        found = sa.select(OutboxMessage.payload).where(
            OutboxMessage.kind == MAIL, OutboxMessage.payload["to"].astext == email
        )
        return [mail for mail in db.session.scalars(found) if mail["subject"][:9] == "Reminder:"]


def let_time_pass(app: Flask, company: Company) -> int:
    """Let all reminders be due, and send them."""
    with inside(app, company.slug):
        db.session.execute(sa.text("UPDATE reminders SET next_at = now() WHERE next_at > now()"))
        return sending.remind()


def test_a_reminder_at_a_moment_is_mailed_once(app: Flask, acme: Company, home: str) -> None:
    task = add_task(acme, home, title="Buy {milk}")
    at = after(hours=1)
    made = remind(acme, task, at=at)
    assert made.status_code == 201
    assert made.json["next_at"] == made.json["at"]
    with app.app_context(), operations(), transaction():
        calls = sa.select(OutboxMessage.available_at).where(
            OutboxMessage.kind == NOTICES,
            OutboxMessage.payload["schema_name"].astext == acme.schema_name,
        )
        assert datetime.fromisoformat(at) in set(db.session.scalars(calls))
    synced = Replica(acme)
    synced.pull()
    assert synced.things["reminder"][made.json["uuid"]]["sent_at"] is None
    assert let_time_pass(app, acme) == 1
    assert let_time_pass(app, acme) == 0
    synced.pull()
    assert synced.things["reminder"][made.json["uuid"]]["sent_at"] is not None
    [mail] = mails_to(app, acme.email)
    assert mail["subject"] == "Reminder: Buy {milk}"
    shown = acme.get(f"/reminders/{made.json['uuid']}").json
    assert shown["next_at"] is None
    assert shown["sent_at"]


def test_one_before_the_task_is_due_follows_the_due_date(acme: Company, home: str) -> None:
    task = add_task(acme, home)
    made = remind(acme, task, seconds_before=3600).json

    def next_at() -> datetime | None:
        shown = acme.get(f"/reminders/{made['uuid']}").json["next_at"]
        return datetime.fromisoformat(shown) if shown else None

    assert next_at() is None
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    acme.patch(f"/tasks/{task}", {"due_at": due.isoformat()})
    assert next_at() == due - timedelta(hours=1)
    acme.patch(f"/tasks/{task}", {"due_at": after(minutes=30)})
    assert next_at() is None
    acme.patch(f"/tasks/{task}", {"due_at": None})
    assert next_at() is None


def test_a_task_that_recurs_takes_its_reminders_along(acme: Company, home: str) -> None:
    task = add_task(acme, home, due_at=after(days=1), recurrence="FREQ=DAILY")
    remind(acme, task, seconds_before=60)
    acme.post(f"/tasks/{task}/complete")
    tasks = acme.get("/tasks/", query_string={"status": "new"}).json["items"]
    [following] = [one["uuid"] for one in tasks]
    [reminder] = acme.get("/reminders/", query_string={"task_uuid": following}).json["items"]
    assert reminder["seconds_before"] == 60
    assert reminder["next_at"]


@pytest.mark.parametrize("why", ["done", "deleted", "list", "left", "private"])
def test_none_is_sent_that_nobody_needs(app: Flask, acme: Company, home: str, why: str) -> None:
    person = acme.add_person()
    task = add_task(acme, home)
    assert remind(person, task, at=after(hours=1)).status_code == 201
    if why == "done":
        acme.post(f"/tasks/{task}/complete")
    elif why == "deleted":
        acme.delete(f"/tasks/{task}")
    elif why == "list":
        acme.delete(f"/lists/{home}")
    elif why == "left":
        acme.patch(f"/users/{person.uuid}", {"is_active": False})
    else:
        acme.patch(f"/lists/{home}", {"visibility": "private"})
    let_time_pass(app, acme)
    assert mails_to(app, person.email) == []


def test_they_are_ones_own(acme: Company, globex: Company, home: str) -> None:
    task = add_task(acme, home)
    made = remind(acme, task, at=after(hours=1)).json["uuid"]
    for somebody in (acme.add_person("master_admin"), globex):
        assert somebody.get("/reminders/").json["total"] == 0
        assert_problem(somebody.get(f"/reminders/{made}"), 404)
        assert_problem(somebody.delete(f"/reminders/{made}"), 404)
    assert acme.get("/reminders/", query_string={"task_uuid": task}).json["total"] == 1
    assert acme.delete(f"/reminders/{made}").status_code == 204
    assert acme.get("/reminders/").json["total"] == 0


def test_a_task_that_cannot_be_seen_is_not_there(acme: Company, globex: Company, home: str) -> None:
    task = add_task(acme, home)
    person = acme.add_person()
    acme.patch(f"/lists/{home}", {"visibility": "private"})
    for somebody in (person, globex):
        assert_problem(remind(somebody, task, at=after(hours=1)), 422)


def test_there_are_at_most_so_many(
    app: Flask, acme: Company, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_REMINDERS", 2)
    task = add_task(acme, home)
    assert remind(acme, task, seconds_before=1).status_code == 201
    answers = at_once(
        app, *[(acme, lambda me: remind(me, task, seconds_before=2)) for _ in range(3)]
    )
    assert statuses(answers) == [201, 409, 409]


@pytest.mark.parametrize(
    ("when", "where"),
    [
        ({}, "at"),
        ({"at": "tomorrow"}, "at"),
        ({"at": "2020-01-01T00:00:00Z"}, "at"),
        ({"at": "2100-01-01T00:00:00"}, "at"),
        ({"at": "2100-01-01T00:00:00Z", "seconds_before": 1}, "at"),
        ({"seconds_before": -1}, "seconds_before"),
        ({"seconds_before": 10**12}, "seconds_before"),
        ({"seconds_before": "1"}, "seconds_before"),
        ({"seconds_before": 1, "user": str(uuid.UUID(int=1))}, "user"),
    ],
)
def test_bad_bodies_are_422(acme: Company, home: str, when: dict[str, Any], where: str) -> None:
    problem = assert_problem(remind(acme, add_task(acme, home), **when), 422)
    assert where in problem["errors"]["json"]
