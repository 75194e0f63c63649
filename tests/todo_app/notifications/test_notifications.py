"""Who is told by mail of what others do."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from ops.delivery import notices
from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, inside
from todo_app.database import db, transaction
from todo_app.notifications import service
from todo_app.outbox import MAIL, NOTICES, OutboxMessage
from todo_app.tenancy import operations


def tell(app: Flask, company: Company) -> None:
    with inside(app, company.slug):
        service.tell()


def mails_to(app: Flask, person: Person) -> list[OutboxMessage]:
    with app.app_context(), operations(), transaction():
        found = sa.select(OutboxMessage).where(
            OutboxMessage.kind == MAIL,
            OutboxMessage.payload["to"].astext == person.email,
            OutboxMessage.payload["subject"].astext.like("%from%"),
        )
        rows = list(db.session.scalars(found.order_by(OutboxMessage.id)))
        db.session.expunge_all()
        return rows


def text_to(app: Flask, person: Person) -> str:
    [mail] = mails_to(app, person)
    return str(mail.payload["text"])


@pytest.fixture
def home(acme: Company) -> str:
    return str(acme.post("/lists/", {"title": "Home", "symbol": "HOME"}).json["uuid"])


def add_task(person: Person, home: str, **values: Any) -> str:
    answer = person.post("/tasks/", {"title": "Buy milk", "list_uuid": home, **values})
    assert answer.status_code == 201, answer.json
    return str(answer.json["uuid"])


def test_what_happens_within_a_minute_is_one_mail(app: Flask, acme: Company, home: str) -> None:
    person = acme.add_person()
    task = add_task(acme, home)
    acme.patch(f"/tasks/{task}", {"priority": 4})
    acme.post("/comments/", {"task_uuid": task, "text": "Which {shop}?\nThis one?"})
    acme.patch(f"/tasks/{task}", {"due_at": "2100-03-01T09:30:00+00:00"})
    acme.post(f"/tasks/{task}/complete")
    acme.delete(f"/tasks/{task}")
    tell(app, acme)
    tell(app, acme)
    lines = text_to(app, person).splitlines()
    me = acme.get("/users/me").json
    who = f"{me['first_name']} {me['last_name']}"
    assert lines[2:8] == [
        f"{who} added HOME-1 Buy milk.",
        f"{who} changed HOME-1 Buy milk: priority = 4.",
        f"{who} on HOME-1 Buy milk: Which {{shop}}? This one?",
        f"{who} changed HOME-1 Buy milk: due_at = Mar 1, 2100, 9:30 AM (UTC).",
        f"{who} changed HOME-1 Buy milk: status = done.",
        f"{who} deleted HOME-1 Buy milk.",
    ]
    assert mails_to(app, acme) == []


def test_levels(app: Flask, acme: Company, home: str) -> None:
    everything, mine, nothing = (acme.add_person() for _ in range(3))
    mine.patch("/settings/me", {"notification_level": "mine"})
    nothing.patch("/settings/me", {"notification_level": "none"})
    add_task(acme, home, title="Somebody's")
    add_task(acme, home, title="Theirs", assignee_uuids=[mine.uuid, nothing.uuid])
    tell(app, acme)
    assert "Somebody's" in text_to(app, everything)
    assert "Theirs" in text_to(app, mine)
    assert "Somebody's" not in text_to(app, mine)
    assert mails_to(app, nothing) == []


def test_whoever_is_mentioned_is_told(app: Flask, acme: Company, home: str) -> None:
    person = acme.add_person()
    person.patch("/settings/me", {"notification_level": "mine"})
    task = add_task(acme, home)
    tell(app, acme)
    acme.post("/comments/", {"task_uuid": task, "text": f"Look, @{person.email}"})
    tell(app, acme)
    assert "Look" in text_to(app, person)


def test_nobody_is_told_of_what_they_may_not_see(
    app: Flask, acme: Company, globex: Company
) -> None:
    person, gone = acme.add_person(), acme.add_person()
    secret = acme.post("/lists/", {"title": "Secret", "visibility": "private"}).json["uuid"]
    add_task(acme, secret)
    acme.patch(f"/users/{gone.uuid}", {"is_active": False})
    tell(app, acme)
    for somebody in (person, gone, globex):
        assert mails_to(app, somebody) == []


def test_mails_wait_for_the_end_of_quiet_hours(app: Flask, acme: Company, home: str) -> None:
    person = acme.add_person()
    hour = datetime.now(UTC).hour
    quiet = {"quiet_from": f"{hour:02}:00", "quiet_until": f"{(hour + 2) % 24:02}:00"}
    answer = person.patch("/settings/me", {"timezone": "UTC", **quiet})
    assert answer.status_code == 200, answer.json
    assert {name: answer.json[name] for name in quiet} == quiet
    task = add_task(acme, home)
    comment = acme.post("/comments/", {"task_uuid": task, "text": "Never mind"}).json["uuid"]
    tell(app, acme)
    tell_held(app, acme)
    assert mails_to(app, person) == []
    with inside(app, acme.slug):
        until = service.next_held()
        assert until is not None
        assert until > datetime.now(UTC)
        assert until.hour == (hour + 2) % 24
    assert acme.delete(f"/comments/{comment}").status_code == 204
    person.patch("/settings/me", {"quiet_from": None, "quiet_until": None})
    end_quiet_hours(app, acme)
    assert tell_held(app, acme) == 2
    assert tell_held(app, acme) == 0
    text = text_to(app, person)
    assert "added HOME-1 Buy milk." in text
    assert "Never mind" not in text


def test_what_is_no_more_to_be_seen_when_quiet_hours_end_is_not_mailed(
    app: Flask, acme: Company, home: str
) -> None:
    person = acme.add_person()
    hour = datetime.now(UTC).hour
    quiet = {"quiet_from": f"{hour:02}:00", "quiet_until": f"{(hour + 2) % 24:02}:00"}
    assert person.patch("/settings/me", {"timezone": "UTC", **quiet}).status_code == 200
    add_task(acme, home)
    tell(app, acme)
    assert acme.patch(f"/lists/{home}", {"visibility": "private"}).status_code == 200
    person.patch("/settings/me", {"quiet_from": None, "quiet_until": None})
    end_quiet_hours(app, acme)
    assert tell_held(app, acme) == 1
    assert mails_to(app, person) == []


def test_quiet_hours_that_go_on_hold_notices_again(app: Flask, acme: Company, home: str) -> None:
    person = acme.add_person()
    hour = datetime.now(UTC).hour
    quiet = {"quiet_from": f"{hour:02}:00", "quiet_until": f"{(hour + 2) % 24:02}:00"}
    assert person.patch("/settings/me", {"timezone": "UTC", **quiet}).status_code == 200
    add_task(acme, home)
    tell(app, acme)
    end_quiet_hours(app, acme)
    assert tell_held(app, acme) == 1
    assert mails_to(app, person) == []
    end_quiet_hours(app, acme)
    assert tell_held(app, acme) == 1


def test_a_title_of_another_list_is_not_mailed(app: Flask, acme: Company, home: str) -> None:
    person = acme.add_person()
    task = add_task(acme, home)
    secret = acme.post("/lists/", {"title": "Mine", "visibility": "private"}).json["uuid"]
    moved = acme.patch(f"/tasks/{task}", {"list_uuid": secret, "title": "Fire Grace"})
    assert moved.status_code == 200
    tell(app, acme)
    assert mails_to(app, person) == []


def tell_held(app: Flask, company: Company) -> int:
    with inside(app, company.slug):
        return service.tell_held()


def end_quiet_hours(app: Flask, company: Company) -> None:
    with inside(app, company.slug):
        db.session.execute(sa.text("UPDATE held_notices SET until = now()"))


@pytest.mark.parametrize(
    ("now", "zone", "begins", "ends", "over"),
    [
        ("2026-03-01T12:00Z", "UTC", None, None, None),
        ("2026-03-01T12:00Z", "UTC", "13:00", "14:00", None),
        ("2026-03-01T12:00Z", "UTC", "12:00", "14:00", "2026-03-01T14:00Z"),
        ("2026-03-01T14:00Z", "UTC", "12:00", "14:00", None),
        ("2026-03-01T23:00Z", "UTC", "22:00", "07:00", "2026-03-02T07:00Z"),
        ("2026-03-01T05:00Z", "UTC", "22:00", "07:00", "2026-03-01T07:00Z"),
        ("2026-03-01T12:00Z", "UTC", "12:00", "12:00", None),
        ("2026-03-01T23:00Z", "Europe/Warsaw", "22:00", "07:00", "2026-03-02T06:00Z"),
        ("2026-03-28T22:00Z", "Europe/Warsaw", "22:00", "07:00", "2026-03-29T05:00Z"),
    ],
)
def test_the_end_of_quiet_hours(
    now: str, zone: str, begins: str | None, ends: str | None, over: str | None
) -> None:
    found = service.end_of_quiet(
        datetime.fromisoformat(now),
        zone,
        time.fromisoformat(begins) if begins else None,
        time.fromisoformat(ends) if ends else None,
    )
    assert found == (datetime.fromisoformat(over) if over else None)


@pytest.mark.parametrize(
    "body",
    [
        {"quiet_from": "22:00"},
        {"quiet_from": "22:00", "quiet_until": None},
        {"quiet_from": "24:00", "quiet_until": "07:00"},
        {"quiet_from": "22:00:00", "quiet_until": "07:00"},
        {"quiet_from": 22, "quiet_until": 7},
    ],
)
def test_bad_quiet_hours_are_422(acme: Company, body: dict[str, Any]) -> None:
    assert_problem(acme.patch("/settings/me", body), 422)


def test_quiet_hours_can_be_taken_away(acme: Company) -> None:
    acme.patch("/settings/me", {"quiet_from": "22:00", "quiet_until": "07:00"})
    answer = acme.patch("/settings/me", {"quiet_from": None, "quiet_until": None})
    assert (answer.json["quiet_from"], answer.json["quiet_until"]) == (None, None)


def test_a_long_list_of_news_is_cut(
    app: Flask, acme: Company, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_LINES", 2)
    person = acme.add_person()
    for _ in range(5):
        add_task(acme, home)
    tell(app, acme)
    lines = text_to(app, person).splitlines()
    assert lines[4:6] == ["And 3 more.", ""]


def test_a_transaction_calls_once_and_the_workers_answer(
    app: Flask, acme: Company, home: str
) -> None:
    person = acme.add_person()

    def calls() -> int:
        with app.app_context(), operations(), transaction():
            of_acme = OutboxMessage.payload["schema_name"].astext == acme.schema_name
            counted = sa.select(sa.func.count()).where(OutboxMessage.kind == NOTICES, of_acme)
            return db.session.scalar(counted) or 0

    before = calls()
    many = [
        {"kind": "create", "values": {"title": f"Task {n}", "list_uuid": home}} for n in range(5)
    ]
    # Each operation has a savepoint of its own, which could be rolled back alone.
    assert acme.post("/tasks/bulk", {"operations": many}).status_code == 200
    assert before < calls() <= before + 5
    with app.app_context(), operations(), transaction():
        db.session.execute(
            sa.update(OutboxMessage)
            .where(OutboxMessage.kind == NOTICES)
            .values(available_at=sa.func.now())
        )
    with app.app_context():
        assert notices.send(30) >= 1
    assert calls() == 0
    assert text_to(app, person).count("added") == 5
