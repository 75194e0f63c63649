"""Pages of tasks: complete, ordered, filtered, and as cheap for 100 rows as for one."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import Company, register
from tests.todo_app.helpers import BAD_QUERIES, assert_problem
from tests.todo_app.todos.shapes import add_list, add_task
from todo_app.database import db

TITLES = ["50%", "5", "a_b", "aXb", "a\\b", "A%B", "%", "_", "\\", "\\%", "%_\\", "ab", "B a"]
FIELDS = (
    "title",
    "status",
    "priority",
    "position",
    "start_at",
    "due_at",
    "completed_at",
    "created_at",
    "updated_at",
)
TASKS = 30


@pytest.fixture(scope="module")
def crowd(app: Flask) -> Company:
    """A company with tasks that are alike in most of what they can be ordered by."""
    company = register(app.test_client(), "Crowd")
    lists = [add_list(company, title)["uuid"] for title in ("One", "Two")]
    for number in range(TASKS):
        add_task(
            company,
            lists[number % 2],
            TITLES[number % len(TITLES)],
            priority=number % 3,
            status="done" if number % 4 == 0 else "new",
            due_at=f"2026-01-0{number % 3}T00:00:00Z" if number % 3 else None,
            assignee_uuids=[company.uuid] if number % 5 == 0 else [],
        )
    return company


def uuids(page: dict[str, Any]) -> list[str]:
    return [task["uuid"] for task in page["items"]]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_all_pages_together_have_each_task_once(crowd: Company, data: st.DataObject) -> None:
    size = data.draw(st.integers(3, 40), "size")
    query = {
        "size": size,
        "field": data.draw(st.sampled_from(FIELDS), "field"),
        "order": data.draw(st.sampled_from(["asc", "desc"]), "order"),
    }
    pages = -(-TASKS // size)
    in_any_order = data.draw(st.permutations(range(1, pages + 1)), "pages")
    seen: list[str] = []
    for number in in_any_order:
        page = crowd.get("/tasks/", query_string={**query, "page": number}).json
        assert (page["total"], page["pages"], page["page"]) == (TASKS, pages, number)
        assert len(page["items"]) <= size
        seen += uuids(page)
    assert len(seen) == len(set(seen)) == TASKS


@settings(max_examples=60, deadline=None)
@given(text=st.text("%_\\aB5 ", min_size=1, max_size=4))
def test_search_is_literal(crowd: Company, text: str) -> None:
    page = crowd.get("/tasks/", query_string={"search": text, "size": 100}).json
    wanted = [
        title
        for title in (TITLES[number % len(TITLES)] for number in range(TASKS))
        if text.strip().lower() in title.lower()
    ]
    assert sorted(task["title"] for task in page["items"]) == sorted(wanted)
    assert page["total"] == len(wanted)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_rows_are_in_order_and_those_without_a_value_last(
    crowd: Company, field: str, order: str
) -> None:
    items = crowd.get(f"/tasks/?size=100&field={field}&order={order}").json["items"]
    values = [task[field] for task in items]
    given = [value for value in values if value is not None]
    assert values == given + [None] * (len(values) - len(given))
    if field != "title":  # its order is the database's collation
        assert given == sorted(given, reverse=order == "desc")


def test_a_page_shows_tasks_as_they_are_shown_alone(crowd: Company) -> None:
    home = add_list(crowd, "Details", symbol="PAGE")["uuid"]
    tag = crowd.post("/tags", {"name": "Paged"}).json["uuid"]
    details = {"assignee_uuids": [crowd.uuid], "tag_uuids": [tag], "description": "*Text*"}
    days = {"start_at": "2026-01-01T00:00:00+02:00", "due_at": "2026-01-01T00:00:00.5Z"}
    task = add_task(crowd, home, "Paged", status="done", **details, **days)
    add_task(crowd, home, parent_uuid=task["uuid"])
    for item in crowd.get(f"/tasks/?list_uuid={home}").json["items"]:
        alone = crowd.get(f"/tasks/{item['uuid']}").json
        del alone["description_html"]
        assert item == alone
    crowd.delete(f"/lists/{home}")


def test_filters_work_alone_and_together(crowd: Company) -> None:
    everything = crowd.get("/tasks/?size=100&field=created_at").json["items"]
    list_uuid = everything[0]["list"]["uuid"]
    tests = {
        f"list_uuid={list_uuid}": lambda task: task["list"]["uuid"] == list_uuid,
        "status=done": lambda task: task["status"] == "done",
        "status=new": lambda task: task["status"] == "new",
        f"assignee_uuid={crowd.uuid}": lambda task: task["assignees"] != [],
        "is_open=true": lambda task: task["status"] == "new",
        "is_subtask=true": lambda task: False,
        "due_from=2026-01-02T00:00:00Z": lambda task: (task["due_at"] or "") >= "2026-01-02",
        "due_before=2026-01-02T00:00:00Z": lambda task: "" < (task["due_at"] or "") < "2026-01-02",
        "search=a": lambda task: "a" in task["title"].lower(),
    }
    for first, is_first in tests.items():
        for second, is_second in tests.items():
            if first.partition("=")[0] == second.partition("=")[0] and first != second:
                continue
            query = first if first == second else f"{first}&{second}"
            page = crowd.get(f"/tasks/?size=100&{query}").json
            wanted = [task for task in everything if is_first(task) and is_second(task)]
            assert page["items"] == wanted, query
            assert page["total"] == len(wanted)


@pytest.mark.parametrize(
    "field", ["list_uuid", "section_uuid", "parent_uuid", "assignee_uuid", "tag_uuid"]
)
def test_a_filter_by_what_does_not_exist_finds_nothing(crowd: Company, field: str) -> None:
    page = crowd.get(f"/tasks/?{field}={uuid.uuid4()}").json
    assert (page["items"], page["total"], page["pages"]) == ([], 0, 0)


def test_a_page_beyond_the_last_still_has_the_total(crowd: Company) -> None:
    page = crowd.get("/tasks/?page=1000000&size=100&status=done").json
    done = crowd.get("/tasks/?status=done").json["total"]
    assert (page["items"], page["total"], page["pages"]) == ([], done, 1)


@pytest.mark.parametrize("path", ["/lists/", "/tasks/"])
@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_page_parameters_are_named(crowd: Company, path: str, query: str) -> None:
    problem = assert_problem(crowd.get(f"{path}?{query}"), 422)
    assert set(problem["errors"]["query"]) == {query.partition("=")[0]}


@pytest.mark.parametrize(
    "query",
    ["status=DONE", "status=", "status=new,done", "list_uuid=1", "assignee_uuid=null", "color=1"],
)
def test_bad_filters_are_named(crowd: Company, query: str) -> None:
    problem = assert_problem(crowd.get(f"/tasks/?{query}"), 422)
    assert set(problem["errors"]["query"]) == {query.partition("=")[0]}


@pytest.mark.parametrize("path", ["/lists/", "/tasks/"])
def test_null_bytes_in_the_query_are_400(crowd: Company, path: str) -> None:
    assert_problem(crowd.get(f"{path}?search=%00"), 400)


@contextmanager
def counted_statements(app: Flask) -> Iterator[list[str]]:
    """The SQL that the API sends meanwhile."""
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", ["/lists/", "/tasks/"])
def test_the_number_of_statements_does_not_grow_with_the_page(
    app: Flask, crowd: Company, path: str
) -> None:
    numbers = []
    for size in (1, 2, 100):
        with counted_statements(app) as statements:
            crowd.get(f"{path}?size={size}")
        numbers.append(len(statements))
    # Enter the tenant and find the user, then read the page.
    assert numbers == [2, 2, 2]
