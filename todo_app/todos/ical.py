"""Tasks as an iCalendar feed (RFC 5545): as to-dos, or as events for calendars that have none.

Plain values come in and bytes go out; the tables and the request are the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Calendar, Component, Event, Todo, vDuration, vRecur, vUri

from todo_app.todos import workflow
from todo_app.todos.ical_zones import add_zone
from todo_app.todos.rrule import Moment, Rule

MEDIA_TYPE = "text/calendar; charset=utf-8"
PRODUCT = "-//todo-backend//Tasks//EN"
REFRESH_EVERY = timedelta(hours=1)

TODOS = "todos"
EVENTS = "events"

PRIORITIES = (0, 9, 7, 5, 3, 1)
"""By our priority, 0 for none and 5 for the highest, that of iCalendar: 1 is its highest."""

STATUSES = {
    workflow.NEW: "NEEDS-ACTION",
    workflow.ACCEPTED: "NEEDS-ACTION",
    workflow.ASSIGNED: "NEEDS-ACTION",
    workflow.IN_PROGRESS: "IN-PROCESS",
    workflow.PAUSED: "IN-PROCESS",
    workflow.DONE: "COMPLETED",
    workflow.REJECTED: "CANCELLED",
}
DONE_MARK = "\N{CHECK MARK} "
"""Begins the title of what is done, where a calendar knows only events."""

_ONE_DAY = timedelta(days=1)
_NO_ZONE = ZoneInfo("UTC")
_LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_URL = re.compile("https?://[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A task, as far as a calendar shows it."""

    uid: str
    title: str
    status: str
    last_modified: datetime
    sequence: int = 0
    """How often it was changed."""
    description: str | None = None
    start: Moment | None = None
    due: Moment | None = None
    """Dates for what lasts all day, else aware times; `start` is of the same type."""
    zone: ZoneInfo = _NO_ZONE
    """On whose clocks a series keeps its time."""
    rule: Rule | None = None
    """Of a series that is counted from the due date; of others nobody knows the dates yet."""
    priority: int = 0
    created: datetime | None = None
    completed: datetime | None = None
    categories: tuple[str, ...] = ()
    url: str | None = None


def render(name: str, entries: Iterable[Entry], kind: str = TODOS) -> bytes:
    """A calendar with tasks.

    Args:
        name: what it is called where somebody subscribes to it.
        entries: the tasks. As events, those without a date are left out.
        kind: TODOS or EVENTS.
    """
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("name", _line(name))
    calendar.add("x-wr-calname", _line(name))
    calendar.add("refresh-interval", REFRESH_EVERY, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(REFRESH_EVERY))
    # Only a series needs to know what a zone's clocks show; any other moment is in UTC.
    years: dict[ZoneInfo, set[int]] = {}
    components = []
    for entry in entries:
        component = _todo(entry) if kind == TODOS else _event(entry)
        if component is not None:
            components.append(component)
            if entry.rule and isinstance(entry.due, datetime):
                years.setdefault(entry.zone, set()).add(entry.due.year)
    for zone, its_years in years.items():
        add_zone(calendar, zone, min(its_years), max(its_years))
    for component in components:
        calendar.add_component(component)
    written: bytes = calendar.to_ical()
    return written


def _todo(entry: Entry) -> Todo:
    todo = Todo()
    _describe(todo, entry, entry.title)
    todo.add("status", STATUSES[entry.status])
    start, due = _span(entry)
    if start is not None:
        todo.add("dtstart", start)
    if due is not None:
        todo.add("due", due)
    if entry.completed:
        todo.add("completed", entry.completed.astimezone(UTC))
    return todo


def _event(entry: Entry) -> Event | None:
    start, due = _span(entry)
    first = due if start is None else start
    if first is None:
        return None
    event = Event()
    is_done = entry.status == workflow.DONE
    _describe(event, entry, DONE_MARK + entry.title if is_done else entry.title)
    event.add("status", "CANCELLED" if entry.status == workflow.REJECTED else "CONFIRMED")
    # What is to be done takes no time that others could not ask for.
    event.add("transp", "TRANSPARENT")
    event.add("dtstart", first)
    if due is not None and first < due:
        # The end of an event is not part of it.
        event.add("dtend", due if isinstance(due, datetime) else due + _ONE_DAY)
    return event


def _describe(component: Component, entry: Entry, title: str) -> None:
    """What to-dos and events have in common."""
    component.add("uid", _line(entry.uid))
    component.add("summary", _line(title))
    component.add("dtstamp", entry.last_modified.astimezone(UTC))
    component.add("last-modified", entry.last_modified.astimezone(UTC))
    component.add("sequence", entry.sequence)
    component.add("priority", PRIORITIES[entry.priority])
    if entry.created:
        component.add("created", entry.created.astimezone(UTC))
    if entry.description:
        component.add("description", _text(entry.description))
    if entry.categories:
        component.add("categories", [_line(category) for category in entry.categories])
    if entry.rule and entry.due is not None:
        component.add("rrule", vRecur.from_ical(str(entry.rule)))
    if entry.url and _URL.fullmatch(entry.url):
        component.add("url", vUri(entry.url))


def _span(entry: Entry) -> tuple[Moment | None, Moment | None]:
    """Start and due date as a calendar may have them: the start earlier, both of one type.

    A series begins with its first due date. RFC 5545 wants DTSTART there, and later than that DUE;
    programs write both alike where a task has no duration, and read that well.
    """
    start, due = entry.start, entry.due
    if due is None:
        return _moment(start, entry), None
    shown = _moment(due, entry)
    if entry.rule:
        return shown, shown
    if start is None or isinstance(start, datetime) != isinstance(due, datetime) or start >= due:
        return None, shown
    return _moment(start, entry), shown


def _moment(moment: date | None, entry: Entry) -> Moment | None:
    if not isinstance(moment, datetime):
        return moment
    return moment.astimezone(entry.zone if entry.rule and entry.due else UTC)


def _text(text: str) -> str:
    """Without the characters that a calendar must not have; lines end with a line feed."""
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text))


def _line(text: str) -> str:
    return _text(text).replace("\n", " ")
