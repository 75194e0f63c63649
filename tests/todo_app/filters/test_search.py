"""Full-text search in filters."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, inside
from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.filters.compiler import compile
from todo_app.filters.context import Context
from todo_app.filters.nodes import Node, Not, Search
from todo_app.filters.tasks import TASK_FIELDS
from todo_app.todos.models import Task, TodoList

CONTEXT = Context(1, datetime(2026, 11, 22, tzinfo=UTC), ZoneInfo("UTC"))
TEXTS = {
    "milk": ("Buy milk", "two bottles, semi-skimmed"),
    "bread": ("Buy bread", None),
    "report": ("Quarterly report", "Send the report to Ada@example.com"),
    "reporter": ("Call the reporter", ""),
    "zolw": ("Nakarmić żółwia", "STRASSE 5"),
    "empty": ("", None),
}


@pytest.fixture(scope="module")
def tasks(app: Flask, company: Company) -> str:
    """A company with TEXTS as its tasks."""
    with inside(app, company.slug):
        user_id = db.session.scalar(sa.select(User.id).where(User.uuid == uuid.UUID(company.uuid)))
        todo_list = TodoList(title="Search", created_by_id=user_id)
        db.session.add(todo_list)
        db.session.flush()
        for name, (title, description) in TEXTS.items():
            db.session.add(
                Task(
                    title=title,
                    description=description,
                    list_id=todo_list.id,
                    created_by_id=user_id,
                    uuid=uuid.uuid5(uuid.NAMESPACE_DNS, name),
                )
            )
    return company.slug


def found(node: Node) -> set[str]:
    statement = sa.select(Task.uuid).where(compile(node, TASK_FIELDS, CONTEXT))
    names = {uuid.uuid5(uuid.NAMESPACE_DNS, name): name for name in TEXTS}
    return {names[each] for each in db.session.scalars(statement) if each in names}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("buy", "milk bread"),
        ("BUY Milk", "milk"),
        ("milk buy", "milk"),
        ('"buy milk"', "milk"),
        ('"milk buy"', ""),
        ('"semi-skimmed"', "milk"),
        ("report", "report"),
        ("rep*", "report reporter"),
        ("report*", "report reporter"),
        ("port*", ""),
        ("buy -milk", "bread"),
        ('buy -"buy milk"', "bread"),
        ("-buy", "report reporter zolw empty"),
        ("milk or bread", "milk bread"),
        ("milk OR quarterly report", "milk report"),
        ("or milk or", "milk"),
        ("ada@example.com", "report"),
        ("zolwia", "zolw"),
        ("ŻÓŁW*", "zolw"),
        ("straße", "zolw"),
        ("nothing*", ""),
        ("*milk", "milk"),
        ('"buy milk', "milk"),
        ("milk & | ! :*", "milk"),
        ("'milk'", "milk"),
        ("mi%", ""),
        ("+ milk", "milk"),
    ],
)
def test_searches(app: Flask, tasks: str, text: str, names: str) -> None:
    with inside(app, tasks):
        assert found(Search(text)) == set(names.split())
        assert found(Not(Search(text))) == set(TEXTS) - set(names.split())


@pytest.mark.parametrize("text", ["or", "or OR"])
def test_a_search_for_nothing_but_or_is_refused(acme: Company, text: str) -> None:
    answer = acme.get("/tasks/", query_string={"filter": f'search("{text}")'})
    assert_problem(answer, 422)
