"""`GET /tasks/?filter=`: the filter language over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from tests.factories import Company, register
from tests.todo_app.helpers import assert_problem


@pytest.fixture(scope="module")
def filled(app: Flask) -> Company:
    """A company with a few tasks of all kinds."""
    company = register(app.test_client(), "Filtered")
    home = company.post("/lists/", {"title": "Home"}).json["uuid"]
    work = company.post("/lists/", {"title": "Work"}).json["uuid"]
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    late = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    for body in (
        {"title": "Buy milk", "list_uuid": home, "priority": 1},
        {"title": "Żółta łódź", "list_uuid": home, "priority": 4, "due_at": soon},
        {"title": "Report", "list_uuid": work, "priority": 5, "due_at": late},
        {"title": "Call Ada", "list_uuid": work, "assignee_uuids": [company.uuid]},
    ):
        assert company.post("/tasks/", body).status_code == 201
    return company


def titles(company: Company, text: str) -> list[str]:
    answer = company.get("/tasks/", query_string={"filter": text, "field": "title"})
    assert answer.status_code == 200, answer.json
    assert answer.json["total"] == len(answer.json["items"])
    return sorted(task["title"] for task in answer.json["items"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("priority >= 4", ["Report", "Żółta łódź"]),
        ("due < now+7d and due > now", ["Żółta łódź"]),
        ("due < today", ["Report"]),
        ("assignee = me", ["Call Ada"]),
        ("list = work and not assignee = me", ["Report"]),
        ("title ~ lodz", ["Żółta łódź"]),
        ('search("mil*")', ["Buy milk"]),
        ("list in (Home, Nowhere) and due is empty", ["Buy milk"]),
        (r"title = 'x\' OR 1=1 --'", []),
    ],
)
def test_a_filter_finds_what_it_says(filled: Company, text: str, found: list[str]) -> None:
    assert titles(filled, text) == found


def test_it_goes_together_with_pages_and_other_filters(filled: Company) -> None:
    query = {"filter": "priority >= 1", "size": 1, "field": "priority", "order": "desc"}
    page = filled.get("/tasks/", query_string=query).json
    assert (page["total"], page["pages"], page["items"][0]["title"]) == (3, 3, "Report")
    query = {"filter": "priority >= 1", "search": "milk"}
    assert filled.get("/tasks/", query_string=query).json["total"] == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("priority >= ", "Column 13: "),
        (" due < 3", "Column 8: "),
        ("colour = red", "Column 1: "),
        ("status = perhaps", "Column 10: "),
        ("(" * 1000 + "priority = 1" + ")" * 1000, "Column "),
    ],
)
def test_what_is_no_filter_is_told_by_its_column(filled: Company, text: str, problem: str) -> None:
    answer = filled.get("/tasks/", query_string={"filter": text})
    body = assert_problem(answer, 422)
    assert body["type"] == "urn:todo:problem:bad-filter"
    assert body["errors"]["query"]["filter"][0].startswith(problem)


@pytest.mark.parametrize("text", ["", "x" * 4_001])
def test_an_empty_or_too_long_one_is_refused(filled: Company, text: str) -> None:
    answer = filled.get("/tasks/", query_string={"filter": text})
    assert "filter" in assert_problem(answer, 422)["errors"]["query"]


def test_it_sees_no_other_company(filled: Company, acme: Company) -> None:
    assert titles(acme, "priority >= 0") == []
    assert titles(acme, f'creator = "{filled.email}"') == []
