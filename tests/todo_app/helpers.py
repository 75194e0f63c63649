"""What tests of features share: hostile input, requests at one instant, looks into the data."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import Person
from todo_app.database import transaction
from todo_app.tenancy import tenant_scope

LEAKS = re.compile(r"psycopg|sqlalchemy|Traceback|SELECT|INSERT|UPDATE|\bt_[a-z]+_|/work|\.py\b")
"""What no error answer may have in it."""

RAW_BODIES = [
    pytest.param(b'{"title": ', "application/json", 400, id="malformed"),
    pytest.param(b"\xff\xfe{}", "application/json", 400, id="not UTF-8"),
    pytest.param(b"[" * 100_000, "application/json", 400, id="100,000 brackets"),
    pytest.param(b'{"a": ' + b"9" * 5_000 + b"}", "application/json", 400, id="5,000 digits"),
    pytest.param(b'{"a": NaN}', "application/json", 400, id="NaN"),
    pytest.param(b'{"\\ud800": 1}', "application/json", 400, id="surrogate as name"),
    pytest.param(b'{"a\\u0000": 1}', "application/json", 422, id="null byte as name"),
    pytest.param(b"[]", "application/json", 422, id="array"),
    pytest.param(b'"text"', "application/json", 422, id="string"),
    pytest.param(b"null", "application/json", 422, id="null"),
    pytest.param(b'{"title": "A"}', "text/plain", 415, id="text/plain"),
    pytest.param(b"title=A", "application/x-www-form-urlencoded", 415, id="form"),
    pytest.param(b"x" * 10_000_000, "application/json", 413, id="10 MB"),
]
"""Body, content type and status of bodies that no endpoint can take."""

BAD_TEXTS = [
    pytest.param("A\x00B", id="null byte"),
    pytest.param("A" * 100_000, id="too long"),
    pytest.param("  \t ", id="blank"),
    pytest.param(7, id="number"),
    pytest.param(True, id="boolean"),
    pytest.param(["A"], id="array"),
    pytest.param({"A": "B"}, id="object"),
    pytest.param(None, id="null"),
]
"""Values that a text which must not be empty cannot have."""

LONE_SURROGATE = "A\ud800B and more"
"""A text that no Unicode encoding has."""

BAD_QUERIES = [
    "page=0",
    "page=-1",
    "page=1000000000",
    "page=" + "9" * 5_000,
    "page=one",
    "size=0",
    "size=101",
    "size=1.5",
    "field=password_hash",
    "field=uuid;DROP TABLE users",
    "field=(select 1)",
    "order=desc;DROP TABLE users",
    "order=desc, (SELECT pg_sleep(9))",
    "order=",
    "search=" + "a" * 101,
    "unknown=1",
]
"""Query strings that no page takes."""


def assert_problem(answer: TestResponse, status: int) -> dict[str, Any]:
    """The answer is a problem document with this status that gives nothing away."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.content_type == "application/problem+json"
    problem: dict[str, Any] = answer.get_json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:todo:problem:")
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert not LEAKS.search(answer.text)
    return problem


def assert_unreadable(answer: TestResponse) -> None:
    """A lone surrogate is refused; whether the form or the value is blamed is all one."""
    assert answer.status_code in (400, 422), answer.text[:500]
    assert_problem(answer, answer.status_code)


def send_raw(
    person: Person, method: str, path: str, body: Any, content_type: str = "application/json"
) -> TestResponse:
    """Send bytes as they are, anything else as JSON that escapes all that is not ASCII."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return person.call(method, path, data=data, content_type=content_type)


def at_once(
    app: Flask, *calls: tuple[Person, Callable[[Person], TestResponse]]
) -> list[TestResponse]:
    """Make all calls at the same instant, each in a thread and with a client of its own."""
    barrier = threading.Barrier(len(calls))

    def run(call: tuple[Person, Callable[[Person], TestResponse]]) -> TestResponse:
        person, send = call
        own = replace(person, client=app.test_client())
        barrier.wait(timeout=10)
        return send(own)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def statuses(answers: list[TestResponse]) -> list[int]:
    """Their status codes, in ascending order."""
    return sorted(answer.status_code for answer in answers)


@contextmanager
def inside(app: Flask, slug: str) -> Iterator[None]:
    """Work on a tenant's rows, past the API."""
    with app.app_context(), tenant_scope(slug), transaction():
        yield


def version(answer: TestResponse) -> int:
    """The version that an answer's ETag carries."""
    return int(answer.headers["ETag"].strip('"').partition("-")[0])
