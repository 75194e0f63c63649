"""Pages of tasks are read in the order of an index, however many tasks there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, register
from tests.todo_app.helpers import inside
from tests.todo_app.todos.shapes import add_list
from todo_app.database import db

TASKS = 20_000
LISTS = 20


@pytest.fixture(scope="module")
def full(app: Flask) -> tuple[Company, str]:
    """A company with many tasks that have a tag and an assignee, and one of its lists."""
    company = register(app.test_client(), "Full")
    lists = [add_list(company, f"List {number}")["uuid"] for number in range(LISTS)]
    company.post("/tags", {"name": "one"})
    with app.app_context(), db.engines["ops"].begin() as connection:
        for statement in (
            f"SET LOCAL search_path TO {company.schema_name}",
            "INSERT INTO tasks (list_id, title, created_by_id, created_at, position, number)"
            f" SELECT lists.id, 'Task ' || n, users.id, now() - {LISTS} * n * interval '1 second',"
            " 'a' || n, n"
            f" FROM lists, users, generate_series(1, {TASKS // LISTS}) n",
            "INSERT INTO task_tags (task_id, tag_id) SELECT tasks.id, tags.id FROM tasks, tags",
            "INSERT INTO task_assignees (task_id, user_id)"
            " SELECT tasks.id, users.id FROM tasks, users",
            "ANALYZE tasks, lists, task_tags, task_assignees",
        ):
            connection.execute(sa.text(statement))
    return company, lists[0]


def plan_of(app: Flask, company: Company, path: str) -> list[dict[str, Any]]:
    """How PostgreSQL reads a page, without what it looks up for each row or counts."""
    sent: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        assert len(company.get(path).json["items"]) == 50
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    statement, parameters = sent[-1]
    with inside(app, company.slug):
        explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
        rows = db.session.connection().exec_driver_sql(explained, parameters)
        (plan,) = rows.scalar_one()
    return list(_nodes(plan["Plan"]))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        if child["Parent Relationship"] not in ("InitPlan", "SubPlan"):
            yield from _nodes(child)


def assert_in_order_of(index: str, plan: list[dict[str, Any]]) -> None:
    (scan,) = (node for node in plan if node.get("Index Name") == index)
    assert scan["Actual Rows"] < 100
    assert not [node for node in plan if "Sort" in node["Node Type"]]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_default_order(app: Flask, full: tuple[Company, str], order: str) -> None:
    company, _ = full
    plan = plan_of(app, company, f"/tasks/?size=50&order={order}")
    assert_in_order_of("ix_tasks_created_at_id", plan)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_order_of_a_list(app: Flask, full: tuple[Company, str], order: str) -> None:
    company, list_uuid = full
    plan = plan_of(
        app, company, f"/tasks/?size=50&list_uuid={list_uuid}&field=position&order={order}"
    )
    assert_in_order_of("ix_tasks_list_id_position_id", plan)
