"""`/statistics`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.dialects.postgresql import ARRAY

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, inside
from todo_app.accounts.schemas import _time_zones
from todo_app.database import db
from todo_app.statistics import service

NOTHING = {"p50": None, "p85": None, "p95": None}


def get(person: Person, path: str, **query: Any) -> Any:
    answer = person.get(f"/statistics/{path}", query_string=query)
    assert answer.status_code == 200, answer.json
    return answer.json


@pytest.fixture
def home(acme: Company) -> str:
    return str(acme.post("/lists/", {"title": "Home"}).json["uuid"])


def add(company: Person, todo_list: str, **values: Any) -> str:
    answer = company.post("/tasks/", {"title": "Task", "list_uuid": todo_list, **values})
    assert answer.status_code == 201, answer.json
    return str(answer.json["uuid"])


def after(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


def test_counters(acme: Company, home: str) -> None:
    add(acme, home)
    add(acme, home, due_at=after(days=-2), assignee_uuids=[acme.uuid])
    add(acme, home, due_at=after(days=3), assignee_uuids=[acme.uuid])
    add(acme, home, due_at=after(days=30))
    add(acme, home, status="done", due_at=after(days=-2))
    acme.delete(f"/tasks/{add(acme, home)}")
    assert get(acme, "counters") == {
        "open": 4,
        "overdue": 1,
        "due_today": 0,
        "due_this_week": 1,
        "without_due": 1,
        "mine": 2,
        "mine_overdue": 1,
        "done_today": 1,
        "done": 1,
    }


def test_today_is_the_day_of_the_user(app: Flask, acme: Company, home: str) -> None:
    """Noon at the other end of the world is another day there, or the same."""
    for zone in ("Pacific/Kiritimati", "Pacific/Niue"):
        with inside(app, acme.slug):
            statement = "UPDATE users SET timezone = :zone WHERE uuid = :uuid"
            db.session.execute(sa.text(statement), {"zone": zone, "uuid": acme.uuid})
            noon = db.session.scalar(
                sa.text("SELECT date_trunc('day', now(), :zone) + interval '12 hours'"),
                {"zone": zone},
            )
        before = get(acme, "counters")["due_today"]
        task = add(acme, home, due_at=noon.isoformat())
        assert get(acme, "counters")["due_today"] == before + 1
        acme.delete(f"/tasks/{task}")


def test_groups(acme: Company, home: str) -> None:
    person = acme.add_person()
    other = acme.post("/lists/", {"title": "Other"}).json["uuid"]
    add(acme, home, status="in_progress", priority=5, assignee_uuids=[acme.uuid, person.uuid])
    add(acme, home, status="done", assignee_uuids=[person.uuid])
    add(acme, other, due_at=after(days=-1))

    def counted(by: str, **query: Any) -> dict[str | None, tuple[int, ...]]:
        names = ("total", "open", "done", "overdue")
        items = get(acme, "tasks", by=by, **query)["items"]
        return {item["key"]: tuple(item[name] for name in names) for item in items}

    assert counted("status") == {
        "in_progress": (1, 1, 0, 0),
        "done": (1, 0, 1, 0),
        "new": (1, 1, 0, 1),
    }
    assert counted("priority") == {"5": (1, 1, 0, 0), "0": (2, 1, 1, 1)}
    assert counted("list") == {home: (2, 1, 1, 0), other: (1, 1, 0, 1)}
    assert counted("user") == {
        person.uuid: (2, 1, 1, 0),
        acme.uuid: (1, 1, 0, 0),
        None: (1, 1, 0, 1),
    }
    assert counted("status", list_uuid=other) == {"new": (1, 1, 0, 1)}
    assert counted("status", before=after(hours=-1)) == {}
    assert len(counted("status", since=after(hours=-1))) == 3


def test_times_and_flow(app: Flask, acme: Company, home: str) -> None:
    first, second, third = (add(acme, home) for _ in range(3))
    acme.patch(f"/tasks/{second}", {"status": "in_progress"})
    for task in (first, second):
        acme.post(f"/tasks/{task}/complete")
    moments = {
        first: ("2026-03-01T08:00:00Z", "2026-03-01T09:00:00Z"),
        second: ("2026-03-01T08:30:00Z", "2026-03-03T08:30:00Z"),
        third: ("2026-03-02T23:30:00Z", None),
    }
    with inside(app, acme.slug):
        db.session.execute(sa.text("UPDATE users SET timezone = 'UTC'"))
        for uuid, (created, completed) in moments.items():
            db.session.execute(
                sa.text("UPDATE tasks SET created_at = :a, completed_at = :b WHERE uuid = :uuid"),
                {"a": created, "b": completed, "uuid": uuid},
            )
        db.session.execute(
            sa.text(
                "UPDATE activity SET at = '2026-03-03T08:00:00Z'"
                " WHERE changes->'status'->>1 = 'in_progress'"
            )
        )
    march = {"since": "2026-03-01T00:00:00Z", "before": "2026-03-05T00:00:00Z"}
    assert get(acme, "times", **march)["items"] == [
        {"key": "2026-03-01", "created": 2, "done": 1},
        {"key": "2026-03-02", "created": 1, "done": 0},
        {"key": "2026-03-03", "created": 0, "done": 1},
    ]
    assert get(acme, "times", by="hour", **march)["items"] == [
        {"key": "08", "created": 2, "done": 1},
        {"key": "09", "created": 0, "done": 1},
        {"key": "23", "created": 1, "done": 0},
    ]
    flow = get(acme, "flow", **march)
    assert (flow["done"], flow["done_per_day"]) == (2, 0.5)
    assert flow["lead_seconds"]["p50"] == pytest.approx((3600 + 172_800) / 2)
    assert flow["cycle_seconds"] == {"p50": 1800, "p85": 1800, "p95": 1800}
    nothing = get(acme, "flow")
    assert nothing == {
        "done": 0,
        "done_per_day": 0,
        "lead_seconds": NOTHING,
        "cycle_seconds": NOTHING,
    }


def test_first_steps(acme: Company) -> None:
    steps = dict.fromkeys(("added_list", "added_task", "completed_task", "invited_somebody"), False)
    assert get(acme, "first_steps") == steps
    home = acme.post("/lists/", {"title": "Home"}).json["uuid"]
    task = add(acme, home)
    assert get(acme, "first_steps") == {**steps, "added_list": True, "added_task": True}
    acme.post(f"/tasks/{task}/complete")
    assert get(acme, "first_steps")["completed_task"]
    assert get(acme.add_person(), "first_steps") == steps


def test_others_count_nothing_of_a_private_list(acme: Company, globex: Company, home: str) -> None:
    acme.patch(f"/lists/{home}", {"visibility": "private"})
    add(acme, home, due_at=after(days=-1))
    for somebody in (acme.add_person(), globex):
        assert not any(get(somebody, "counters").values())
        for path in ("tasks", "times"):
            assert get(somebody, path)["items"] == []
            assert get(somebody, path, list_uuid=home)["items"] == []
        assert get(somebody, "flow", list_uuid=home)["done"] == 0
    assert get(acme, "counters")["overdue"] == 1


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("tasks", {"by": "day"}),
        ("tasks", {"since": "x"}),
        ("times", {"by": "status"}),
        ("times", {"since": "2026-03-02T00:00:00Z", "before": "2026-03-01T00:00:00Z"}),
        ("times", {"since": "2025-01-01T00:00:00Z", "before": "2026-03-01T00:00:00Z"}),
        ("flow", {"before": "0001-01-01T00:00:00Z"}),
        ("flow", {"list_uuid": "x"}),
    ],
)
def test_bad_parameters_are_422(acme: Company, path: str, query: dict[str, Any]) -> None:
    assert_problem(acme.get(f"/statistics/{path}", query_string=query), 422)


@pytest.mark.parametrize(
    ("day", "due", "number"),
    [("2026-10-25", "2026-10-25T22:30:00Z", 1), ("2026-03-29", "2026-03-29T22:00:00Z", 0)],
)
def test_a_day_ends_at_midnight_when_the_clocks_change(
    acme: Company, home: str, monkeypatch: pytest.MonkeyPatch, day: str, due: str, number: int
) -> None:
    acme.patch("/users/me", {"timezone": "Europe/Warsaw"})
    add(acme, home, due_at=due)
    noon = sa.literal(datetime.fromisoformat(f"{day}T11:00:00Z"), sa.DateTime(timezone=True))
    monkeypatch.setattr(service, "_NOW", noon)
    found = acme.get("/tasks/", query_string={"filter": f"due = {day}"}).json["total"]
    assert (found, get(acme, "counters")["due_today"]) == (number, number)


def test_every_time_zone_that_is_taken_is_known_to_the_database(app: Flask, acme: Company) -> None:
    names = sorted(_time_zones())
    with inside(app, acme.slug):
        zones = sa.func.unnest(sa.literal(names, ARRAY(sa.Text))).column_valued("zone")
        found = sa.select(sa.func.count(sa.func.timezone(zones, sa.func.now())))
        assert db.session.scalar(found) == len(names)
