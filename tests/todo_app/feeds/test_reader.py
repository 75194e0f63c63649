"""Another library than the one that writes calendars subscribes to one over HTTP and reads it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import pytest
import vobject
from flask import Flask

from tests.factories import Company, register
from tests.live import gunicorn
from tests.todo_app.feeds.kit import add_feed
from tests.todo_app.todos.shapes import add_list, add_task

TITLE = 'Buy milk, bread; \\ and — "cheese" 🧀 ' + "x" * 150
BERLIN = {"timezone": "Europe/Berlin"}


@pytest.fixture(scope="module")
def url(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the API answers."""
    with gunicorn(environment, tmp_path_factory.mktemp("api")) as url:
        yield url


@pytest.fixture(scope="module")
def calendars(app: Flask, url: str) -> dict[str, Any]:
    """What the library makes of both addresses of one calendar."""
    company: Company = register(app.test_client(), "Calendar")
    row = add_list(company, "Wocheneinkäufe")
    add_task(company, row["uuid"], TITLE, description="Two\nlines", priority=5)
    meeting = {"start_at": "2026-03-02T07:00:00Z", "due_at": "2026-03-02T08:00:00Z"}
    add_task(company, row["uuid"], "Meeting", **meeting)
    day = {"is_all_day": True, "due_at": "2026-03-04T23:00:00Z", **BERLIN}
    add_task(company, row["uuid"], "A day", **day)
    series = {"recurrence": "FREQ=WEEKLY;BYDAY=SU", "due_at": "2026-03-22T08:00:00Z", **BERLIN}
    add_task(company, row["uuid"], "Weekly", **series)
    add_task(company, row["uuid"], "Done", status="done", due_at="2026-03-02T08:00:00Z")
    feed = add_feed(company, row["uuid"])
    read = {}
    for name in ("url", "events_url"):
        path = feed[name].partition("/feeds/")[2]
        answer = httpx.get(f"{url}/feeds/{path}", trust_env=False)
        assert answer.status_code == 200
        again = httpx.get(
            str(answer.url), headers={"If-None-Match": answer.headers["ETag"]}, trust_env=False
        )
        assert (again.status_code, again.content) == (304, b"")
        read[name] = vobject.readOne(answer.text)
    return read


def by_title(components: list[Any]) -> dict[str, Any]:
    return {component.summary.value: component for component in components}


def test_to_dos(calendars: dict[str, Any]) -> None:
    calendar = calendars["url"]
    assert calendar.x_wr_calname.value == "Wocheneinkäufe"
    todos = by_title(calendar.vtodo_list)
    assert set(todos) == {TITLE, "Meeting", "A day", "Weekly", "Done"}
    assert todos[TITLE].description.value == "Two\nlines"
    assert todos[TITLE].priority.value == "1"
    meeting = todos["Meeting"]
    assert meeting.due.value == datetime.fromisoformat("2026-03-02T08:00:00+00:00")
    assert meeting.due.value - meeting.dtstart.value == timedelta(hours=1)
    assert todos["A day"].due.value == date(2026, 3, 5)
    assert todos["Done"].status.value == "COMPLETED"


def test_events(calendars: dict[str, Any]) -> None:
    events = by_title(calendars["events_url"].vevent_list)
    assert set(events) == {"Meeting", "A day", "Weekly", "\N{CHECK MARK} Done"}
    meeting = events["Meeting"]
    assert meeting.dtend.value - meeting.dtstart.value == timedelta(hours=1)
    assert events["A day"].dtstart.value == date(2026, 3, 5)


def test_a_series_keeps_its_time_when_the_clocks_change(calendars: dict[str, Any]) -> None:
    weekly = by_title(calendars["events_url"].vevent_list)["Weekly"]
    dates = list(weekly.getrruleset()[:3])
    assert [str(moment)[:16] for moment in dates] == [
        "2026-03-22 09:00",
        "2026-03-29 09:00",
        "2026-04-05 09:00",
    ]
    assert [moment.utcoffset() // timedelta(hours=1) for moment in dates] == [1, 2, 2]
