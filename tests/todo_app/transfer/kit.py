"""Files of lists and tasks, sent and fetched."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from werkzeug.test import TestResponse

from tests.factories import Person
from tests.todo_app.helpers import assert_problem


def a_file(*rows: Sequence[str]) -> bytes:
    """A file of lines, the header first."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def send(who: Person, what: str, *rows: Sequence[str], **query: str) -> TestResponse:
    """Import lines, the header first, into `lists` or `tasks`."""
    path = f"/{what}/import"
    body = a_file(*rows)
    return who.call("POST", path, data=body, content_type="text/csv", query_string=query)


def taken(who: Person, what: str, *rows: Sequence[str], **query: str) -> int:
    """The same, where all lines are good; how many there are now."""
    answer = send(who, what, *rows, **query)
    assert answer.status_code == 201, answer.text
    number: int = answer.json["imported"]
    return number


def problems(answer: TestResponse) -> dict[str, Any]:
    """What is wrong, by line and column."""
    errors: dict[str, Any] = assert_problem(answer, 422)["errors"]["csv"]
    return errors


def exported(who: Person, what: str, **query: str) -> list[dict[str, str]]:
    """The lines of an export."""
    answer = who.get(f"/{what}/export", query_string=query)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def tasks_of(who: Person, **query: str) -> dict[str, dict[str, Any]]:
    """Tasks by their titles."""
    items = who.get("/tasks/", query_string={"size": "100", **query}).json["items"]
    return {task["title"]: task for task in items}
