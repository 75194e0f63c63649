"""What tests of calendars share: they are made over the API and read by a library for calendars."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask.testing import FlaskClient
from icalendar import Calendar, Component
from werkzeug.test import TestResponse

from tests.factories import Person

Row = dict[str, Any]


def add_feed(person: Person, list_uuid: str | None = None) -> Row:
    """Make a calendar; the answer as JSON."""
    answer = person.post("/feeds/", {"list_uuid": list_uuid} if list_uuid else {})
    assert answer.status_code == 201, answer.text
    feed: Row = answer.json
    return feed


def path_of(feed: Row, address: str = "url") -> str:
    """Where the client finds a calendar."""
    parts = urlsplit(feed[address])
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def fetch(client: FlaskClient, feed: Row, **headers: str) -> TestResponse:
    """Read a calendar as a program does that knows nothing but its address."""
    return client.get(path_of(feed), headers=headers)


def components(client: FlaskClient, feed: Row, address: str = "url") -> list[Component]:
    """The to-dos or events that a library finds in a calendar."""
    answer = client.get(path_of(feed, address))
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "text/calendar; charset=utf-8"
    parts = Calendar.from_ical(answer.data).subcomponents
    return [part for part in parts if part.name in ("VTODO", "VEVENT")]


def titles(client: FlaskClient, feed: Row, address: str = "url") -> list[str]:
    """What a calendar shows, in its order."""
    return [str(part["summary"]) for part in components(client, feed, address)]
