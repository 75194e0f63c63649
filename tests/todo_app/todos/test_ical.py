"""Calendars of tasks: another program reads what was meant, and titles inject nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from icalendar import Calendar, Component

from todo_app.todos.ical import EVENTS, TODOS, Entry, render
from todo_app.todos.rrule import parse
from todo_app.todos.workflow import DONE, IN_PROGRESS, NEW, PAUSED, REJECTED, STATUSES

WARSAW = ZoneInfo("Europe/Warsaw")
CHANGED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
DUE = datetime(2026, 3, 2, 8, tzinfo=UTC)
CALENDAR_NAMES = {
    *("VERSION", "PRODID", "CALSCALE", "NAME", "X-WR-CALNAME", "REFRESH-INTERVAL"),
    "X-PUBLISHED-TTL",
}
TODO_NAMES = {
    *("UID", "SUMMARY", "DTSTAMP", "LAST-MODIFIED", "SEQUENCE", "PRIORITY", "CREATED"),
    *("DESCRIPTION", "CATEGORIES", "RRULE", "URL", "STATUS", "DTSTART", "DUE", "COMPLETED"),
}


def entry(**more: Any) -> Entry:
    values: dict[str, Any] = {
        "uid": "0b9d6a52-52cb-4a08-8a4e-2f6f5d8b1c77",
        "title": "Buy milk",
        "status": NEW,
        "last_modified": CHANGED,
    }
    return Entry(**values | more)


def read(*entries: Entry, kind: str = TODOS, name: str = "Groceries") -> list[Component]:
    """The to-dos or events that a library finds in a calendar."""
    calendar = Calendar.from_ical(render(name, entries, kind))
    wanted = "VTODO" if kind == TODOS else "VEVENT"
    assert {part.name for part in calendar.subcomponents} <= {wanted, "VTIMEZONE"}
    return [part for part in calendar.subcomponents if part.name == wanted]


def only(**more: Any) -> Component:
    (found,) = read(entry(**more))
    return found


def only_event(**more: Any) -> Component:
    (found,) = read(entry(**more), kind=EVENTS)
    return found


def test_a_calendar_says_what_it_is() -> None:
    written = render("Groceries, weekly", [])
    calendar = Calendar.from_ical(written)
    assert calendar["version"] == "2.0"
    assert calendar["name"] == calendar["x-wr-calname"] == "Groceries, weekly"
    assert b"PRODID:-//todo-backend//Tasks//EN\r\n" in written
    assert b"REFRESH-INTERVAL;VALUE=DURATION:PT1H\r\n" in written
    assert b"X-PUBLISHED-TTL:PT1H\r\n" in written


def test_a_task_is_read_back() -> None:
    found = only(
        sequence=7,
        description="2 litres,\nfresh; not \\ frozen",
        start=DUE - timedelta(hours=2),
        due=DUE,
        zone=WARSAW,
        priority=4,
        created=CHANGED - timedelta(days=1),
        completed=CHANGED,
        status=DONE,
        categories=("shop", "home, garden"),
        url="https://acme.example.com/tasks/1?a=b,c;d",
    )
    assert found["uid"] == "0b9d6a52-52cb-4a08-8a4e-2f6f5d8b1c77"
    assert found["summary"] == "Buy milk"
    assert found["description"] == "2 litres,\nfresh; not \\ frozen"
    assert found["sequence"] == 7
    assert found["priority"] == 3
    assert found["status"] == "COMPLETED"
    assert found["url"] == "https://acme.example.com/tasks/1?a=b,c;d"
    assert found.decoded("dtstart") == DUE - timedelta(hours=2)
    assert found.decoded("due") == DUE
    assert found.decoded("completed") == CHANGED
    assert found.decoded("created") == CHANGED - timedelta(days=1)
    assert found.decoded("dtstamp") == found.decoded("last-modified") == CHANGED
    assert found.categories == ["shop", "home, garden"]


def test_what_a_task_has_not_is_not_there() -> None:
    names = {"UID", "SUMMARY", "STATUS", "DTSTAMP", "LAST-MODIFIED", "SEQUENCE", "PRIORITY"}
    assert set(only()) == names


@pytest.mark.parametrize(("ours", "theirs"), list(enumerate([0, 9, 7, 5, 3, 1])))
def test_the_highest_priority_is_one(ours: int, theirs: int) -> None:
    assert only(priority=ours)["priority"] == theirs


def test_each_status_is_one_of_theirs() -> None:
    allowed = {"NEEDS-ACTION", "IN-PROCESS", "COMPLETED", "CANCELLED"}
    assert {only(status=status)["status"] for status in STATUSES} == allowed
    assert only(status=PAUSED)["status"] == only(status=IN_PROGRESS)["status"] == "IN-PROCESS"
    assert {only_event(status=status, due=DUE)["status"] for status in STATUSES} == {
        "CONFIRMED",
        "CANCELLED",
    }
    assert only_event(status=REJECTED, due=DUE)["status"] == "CANCELLED"
    assert only_event(status=DONE, due=DUE)["summary"] == "\u2713 Buy milk"


def test_a_day_is_a_date() -> None:
    written = render("", [entry(start=date(2026, 3, 2), due=date(2026, 3, 4))])
    assert b"DTSTART;VALUE=DATE:20260302\r\n" in written
    assert b"DUE;VALUE=DATE:20260304\r\n" in written
    event = only_event(start=date(2026, 3, 2), due=date(2026, 3, 4))
    assert event.decoded("dtstart") == date(2026, 3, 2)
    assert event.decoded("dtend") == date(2026, 3, 5)
    event = only_event(due=date(2026, 3, 4))
    assert event.decoded("dtstart") == date(2026, 3, 4)
    assert "dtend" not in event


def test_an_event_lasts_from_start_to_due() -> None:
    event = only_event(start=DUE - timedelta(hours=1), due=DUE)
    assert event.decoded("dtstart") == DUE - timedelta(hours=1)
    assert event.decoded("dtend") == DUE
    assert event["transp"] == "TRANSPARENT"
    event = only_event(due=DUE)
    assert event.decoded("dtstart") == DUE
    assert "dtend" not in event
    assert only_event(start=DUE).decoded("dtstart") == DUE


def test_what_has_no_date_is_no_event() -> None:
    assert read(entry(), entry(due=DUE, title="dated"), kind=EVENTS)[0]["summary"] == "dated"
    assert read(entry(), kind=EVENTS) == []


@pytest.mark.parametrize("start", [DUE, DUE + timedelta(days=1), date(2026, 3, 1)])
def test_a_start_that_does_not_fit_is_left_out(start: Any) -> None:
    assert "dtstart" not in only(start=start, due=DUE)
    assert only_event(start=start, due=DUE).decoded("dtstart") == DUE


def test_a_series_keeps_the_time_of_its_zone() -> None:
    rule = parse("FREQ=WEEKLY;BYDAY=MO;UNTIL=20261231T230000Z")
    for component in (
        only(due=DUE, start=DUE - timedelta(days=1), zone=WARSAW, rule=rule),
        only_event(due=DUE, start=DUE - timedelta(days=1), zone=WARSAW, rule=rule),
    ):
        start = component.decoded("dtstart")
        assert start == DUE
        assert str(start.tzinfo) == "Europe/Warsaw"
        assert start.hour == 9
        assert component["rrule"].to_ical().decode() == str(rule)
    written = render("", [entry(due=DUE, zone=WARSAW, rule=rule)])
    assert b"DTSTART;TZID=Europe/Warsaw:20260302T090000\r\n" in written
    assert written.count(b"BEGIN:VTIMEZONE") == 1


def test_a_series_of_days_has_no_zone() -> None:
    rule = parse("FREQ=WEEKLY;UNTIL=20261231")
    written = render("", [entry(due=date(2026, 3, 2), zone=WARSAW, rule=rule)])
    assert b"DTSTART;VALUE=DATE:20260302\r\n" in written
    assert b"RRULE:FREQ=WEEKLY;UNTIL=20261231\r\n" in written
    assert b"VTIMEZONE" not in written


def test_a_series_in_utc_needs_no_zone() -> None:
    written = render("", [entry(due=DUE, rule=parse("FREQ=DAILY;COUNT=3"))])
    assert b"DTSTART:20260302T080000Z\r\n" in written
    assert b"VTIMEZONE" not in written


ZONES = [
    "Europe/Warsaw",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Pacific/Apia",
]


@pytest.mark.parametrize("name", ZONES)
def test_a_clock_changes_by_the_time_that_it_showed_before(name: str) -> None:
    zone = ZoneInfo(name)
    due = datetime(2010, 3, 1, 8, tzinfo=UTC)
    written = render("", [entry(due=due, zone=zone, rule=parse("FREQ=DAILY"))])
    (found,) = Calendar.from_ical(written).walk("VTIMEZONE")
    for observance in found.subcomponents:
        before, after = observance.decoded("tzoffsetfrom"), observance.decoded("tzoffsetto")
        later = observance["rdate"].dts if "rdate" in observance else []
        for local in [observance.decoded("dtstart"), *(each.dt for each in later)]:
            moment = (local - before).replace(tzinfo=UTC)
            assert moment.astimezone(zone).utcoffset() == after
            a_second_before = (moment - timedelta(seconds=1)).astimezone(zone)
            assert a_second_before.utcoffset() == before


@pytest.mark.parametrize("name", ZONES)
def test_the_clocks_of_a_zone_are_written_as_they_go(name: str) -> None:
    zone = ZoneInfo(name)
    due = datetime(2010, 3, 1, 8, tzinfo=UTC)
    rule = parse("FREQ=DAILY")
    written = render("", [entry(due=due, zone=zone, rule=rule)])
    # Under another name, so that the library reads what is written instead of what it knows.
    renamed = written.replace(name.encode(), name.replace("/", "-at-").encode())
    parts = Calendar.from_ical(renamed).subcomponents
    (theirs,) = [part.to_tz() for part in parts if part.name == "VTIMEZONE"]
    moment = datetime(2010, 1, 2, tzinfo=UTC)
    while moment.year < 2025:
        at = moment.astimezone(zone).replace(tzinfo=None)
        offset = at.replace(tzinfo=zone).utcoffset()
        is_certain = offset == at.replace(tzinfo=zone, fold=1).utcoffset()
        assert not is_certain or at.replace(tzinfo=theirs).utcoffset() == offset, at
        moment += timedelta(hours=5)


@pytest.mark.parametrize("year", [2, 1800, 1950, 2090, 9998])
def test_any_year_has_a_calendar(year: int) -> None:
    due = datetime(year, 6, 1, 12, tzinfo=UTC)
    rule = parse("FREQ=DAILY")
    near = entry(due=DUE, zone=WARSAW, rule=rule)
    assert read(entry(due=due, zone=WARSAW, rule=rule), near)
    assert len(render("", [entry(due=due, zone=WARSAW, rule=rule), near])) < 10_000


HOSTILE = [
    "x\r\nATTENDEE:mailto:eve@example.com",
    "x\nEND:VTODO\nBEGIN:VALARM\nACTION:AUDIO",
    "x\rEND:VCALENDAR",
    "x\x0bURL:y",
    "x\x0cURL:y",
    "x\x85URL:y",
    "x\u2028URL:y",
    "x\u2029URL:y",
    "x\\nURL:y",
    "x\\",
    "x\\\\n;,:\"'",
    'x";ALTREP="https://evil.example',
    "x\x00\x01\x07\x1b\x7f",
    "=SUM(A1)",
    "x" * 10_000,
    "\U0001f9c1" * 500,
    "a\u0301" * 300,
    "\u202egnp.exe",
    "",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.sampled_from(HOSTILE)


@settings(max_examples=200, deadline=None)
@given(name=TEXTS, title=TEXTS, description=TEXTS, category=TEXTS, url=TEXTS, uid=TEXTS)
@example(*["x\r\nATTACH:https://evil.example"] * 6)
@example(*["https://a.example/\r\nATTACH:x"] * 6)
@example(*["https://a.example/ x"] * 6)
@example(*["\x1c\x1d\x1e"] * 6)
def test_no_text_becomes_a_property(
    name: str, title: str, description: str, category: str, url: str, uid: str
) -> None:
    task = entry(
        title=title, description=description, categories=(category,), url=url, uid=uid, due=DUE
    )
    written = render(name, [task])
    calendar = Calendar.from_ical(written)
    (todo,) = calendar.subcomponents
    assert set(calendar) <= CALENDAR_NAMES
    assert set(todo) <= TODO_NAMES
    assert not todo.subcomponents
    assert not calendar.errors
    assert not todo.errors
    for line in written.split(b"\r\n"):
        assert len(line) <= 75
        assert not {0, 7, 10, 11, 12, 13, 27, 127} & set(line)
    for line in written.replace(b"\r\n ", b"").decode().split("\r\n"):
        assert line == "" or line.partition(":")[0].partition(";")[0] in {
            *("BEGIN", "END"),
            *CALENDAR_NAMES,
            *TODO_NAMES,
        }


@pytest.mark.parametrize(
    "title",
    ["Zażółć gęślą jaźń; \\n, ok", "\U0001f9c1" * 60, "a,b;c:d\"e'f\\g", "=1+1", "日本語" * 40],
)
def test_a_plain_title_is_read_back_as_it_was(title: str) -> None:
    found = only(title=title, description=f"{title}\n{title}", categories=(title, "second"))
    assert found["summary"] == title
    assert found["description"] == f"{title}\n{title}"
    assert found.categories == [title, "second"]
    assert read(name=title) == []


def test_lines_of_a_description_stay_lines() -> None:
    assert only(description="a\r\nb\rc\u2028d")["description"] == "a\nb\nc\nd"
    assert only(title="a\r\nb\nc")["summary"] == "a b c"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://a b", "https://a\nX:y", "", "ftp://a", "https://\x00"]
)
def test_an_address_that_is_none_is_left_out(url: str) -> None:
    assert "url" not in only(url=url)
