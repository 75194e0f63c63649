"""The requests of the guides for client developers are sent, and answered as the guides say.

A block of HTTP is a request (a line, headers, an empty line and a body), and after another empty
line its answer (a status, headers, a body). `<name>` keeps a value for what follows, and `…` stands
for anything: for a value, for further members of an object, for the rest of an array.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.factories import Company, mailed_token, register
from tests.todo_app.todos.shapes import add_list

GUIDES = Path(__file__).parent.parent / "docs"

BLOCK = re.compile(r"^```http\n(.*?)^```$", re.M | re.S)
HEADER = re.compile(r"([\w-]+): (.+)")
NAME = re.compile(r"<(\w+)>")
ANYTHING = "…"

Values = dict[str, str]


class Example(NamedTuple):
    """A request and its answer, as a guide shows them."""

    method: str
    address: str
    headers: dict[str, str]
    body: str
    status: int
    answer_headers: dict[str, str]
    answer: Any


def examples_of(guide: str) -> list[Example]:
    return [_parse(block) for block in BLOCK.findall((GUIDES / guide).read_text())]


def _parse(block: str) -> Example:
    request, status, answer = re.split(r"^(\d{3})$", block, maxsplit=1, flags=re.M)
    first, *lines = request.strip().splitlines()
    method, address = first.split(" ", 1)
    headers, body = _headers_and_body(lines)
    answer_headers, shown = _headers_and_body(answer.strip().splitlines())
    return Example(
        method, address, headers, body, int(status), answer_headers, json.loads(shown or "null")
    )


def _headers_and_body(lines: list[str]) -> tuple[dict[str, str], str]:
    headers = {}
    while lines and (header := HEADER.fullmatch(lines[0])):
        headers[header[1]] = header[2]
        lines = lines[1:]
    return headers, "\n".join(lines).strip()


def send(client: FlaskClient, example: Example, values: Values) -> TestResponse:
    parts = urlsplit(filled(example.address, values))
    headers = {name: filled(value, values) for name, value in example.headers.items()}
    body = {"data": filled(example.body, values), "content_type": "application/json"}
    return client.open(
        parts.path,
        method=example.method,
        query_string=dict(parse_qsl(parts.query.replace("+", "%2B"))),
        headers=headers,
        **(body if example.body else {}),
    )


def filled(text: str, values: Values) -> str:
    return NAME.sub(lambda match: values[match[1]], text)


def compare(shown: Any, real: Any, values: Values, place: str = "answer") -> None:
    """Check that an answer is as shown, and keep what it names."""
    if shown == ANYTHING:
        return
    if isinstance(shown, dict):
        assert isinstance(real, dict), place
        named = {name for name in shown if name != ANYTHING}
        assert named <= set(real), place
        assert ANYTHING in shown or named == set(real), place
        for name in named:
            compare(shown[name], real[name], values, f"{place}.{name}")
    elif isinstance(shown, list):
        assert isinstance(real, list), place
        is_cut = bool(shown) and shown[-1] == ANYTHING
        shown = shown[:-1] if is_cut else shown
        assert len(shown) <= len(real) if is_cut else len(shown) == len(real), place
        for number, one in enumerate(shown):
            compare(one, real[number], values, f"{place}[{number}]")
    elif isinstance(shown, str) and (name := NAME.fullmatch(shown)):
        assert values.setdefault(name[1], real) == real, place
    else:
        assert shown == real, place


def follow(client: FlaskClient, guide: str, values: Values) -> int:
    """Send all requests of a guide in their order; how many there were."""
    examples = examples_of(guide)
    for number, example in enumerate(examples, start=1):
        place = f"{guide}, request {number}: {example.method} {example.address}"
        if "<code>" in example.body:
            values["code"] = mailed_token(client.application, "ada@acme.com")
        answer = send(client, example, values)
        assert answer.status_code == example.status, (place, answer.text)
        for name, shown in example.answer_headers.items():
            compare(shown, answer.headers[name], values, f"{place} {name}")
        if example.answer is not None:
            compare(example.answer, answer.json, values, place)
    return len(examples)


@pytest.mark.usefixtures("dropped_again")
def test_the_guide_for_clients(client: FlaskClient) -> None:
    assert follow(client, "api.md", {}) > 15


def test_the_guide_to_calendars(client: FlaskClient) -> None:
    company: Company = register(client)
    row = add_list(company, "Errands")
    values = {"token": company.token, "list": row["uuid"]}
    assert follow(client, "calendar.md", values) > 5


def test_what_the_guides_refer_to_exists() -> None:
    texts = [(GUIDES / guide).read_text() for guide in ("api.md", "calendar.md")]
    linked = re.findall(r"\]\((\w[\w.-]*\.\w+)(?:#[\w-]+)?\)", "".join(texts))
    assert linked
    assert [name for name in linked if not (GUIDES / name).is_file()] == []


def test_a_guide_that_is_wrong_is_found_out() -> None:
    values = {"known": "1"}
    for shown, real in [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "…": "…"}, {"b": 2}),
        ([1], [1, 2]),
        ([1, 2, "…"], [1]),
        ({"a": "<known>"}, {"a": "2"}),
        (None, 1),
        ("x", "y"),
    ]:
        with pytest.raises(AssertionError):
            compare(shown, real, values)
