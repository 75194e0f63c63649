"""Marks for clients that sync, of all that others than before may see."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import at_once, inside
from tests.todo_app.lists.kit import Row, add_private, mark_of
from tests.todo_app.todos.shapes import add_task, path_of
from todo_app.activity.changes import changed
from todo_app.database import db
from todo_app.groups.models import Group
from todo_app.todos.marks import mark_contents, mark_lists_of_group
from todo_app.todos.models import TodoList

Marks = dict[tuple[str, str], tuple[int, bool]]


def marks_of(app: Flask, company: Company, things: list[tuple[str, str]]) -> Marks:
    return {thing: mark_of(app, company, *thing) for thing in things}


@pytest.fixture
def row(company: Company) -> Row:
    return add_private(company)


@pytest.fixture
def things(app: Flask, company: Company, row: Row) -> list[tuple[str, str]]:
    """A list and one of each kind in it: all are marked, and the last one as gone."""
    task = add_task(company, row["uuid"])["uuid"]
    section = company.post(f"{path_of(row)}/sections", {"title": "S"}).json["uuid"]
    comment, gone = str(uuid.uuid4()), str(uuid.uuid4())
    with inside(app, company.slug):
        key = db.session.scalar(sa.select(TodoList.id).where(TodoList.uuid == row["uuid"]))
        changed("task", uuid.UUID(task), list_id=key)
        changed("comment", uuid.UUID(comment), list_id=key)
        changed("comment", uuid.UUID(gone), list_id=key, deleted=True)
    return [
        ("list", row["uuid"]),
        ("task", task),
        ("section", section),
        ("comment", comment),
        ("comment", gone),
    ]


def test_all_that_is_in_a_list(
    app: Flask, company: Company, row: Row, things: list[tuple[str, str]]
) -> None:
    before = marks_of(app, company, things)
    with inside(app, company.slug):
        key = db.session.scalar(sa.select(TodoList.id).where(TodoList.uuid == row["uuid"]))
        assert key is not None
        mark_contents([key])
    after = marks_of(app, company, things)
    for thing in things:
        assert after[thing][1] == before[thing][1] == (thing == things[-1])
        assert (after[thing][0] > before[thing][0]) == (thing[0] != "list")


def test_all_that_is_shared_with_a_group(
    app: Flask, company: Company, row: Row, things: list[tuple[str, str]]
) -> None:
    group = company.post("/groups/", {"name": uuid.uuid4().hex}).json["uuid"]
    path = f"{path_of(row)}/members/groups/{group}"
    company.call("PUT", path, json={"access": "read"})
    before = marks_of(app, company, things)
    with inside(app, company.slug):
        key = db.session.scalar(sa.select(Group.id).where(Group.uuid == group))
        assert key is not None
        mark_lists_of_group(key)
    after = marks_of(app, company, things)
    for thing in things:
        assert after[thing][0] > before[thing][0]
        assert after[thing][1] == before[thing][1]


def test_who_comes_to_a_group_or_leaves_it_has_its_lists_marked(
    app: Flask, company: Company, row: Row, things: list[tuple[str, str]]
) -> None:
    person = company.add_person()
    group = company.post("/groups/", {"name": uuid.uuid4().hex}).json["uuid"]
    path = f"{path_of(row)}/members/groups/{group}"
    company.call("PUT", path, json={"access": "read"})
    member = f"/groups/{group}/members/{person.uuid}"
    for method, address, is_marked in (
        ("PUT", member, True),
        ("PUT", member, False),
        ("DELETE", member, True),
        ("DELETE", member, False),
        ("DELETE", f"/groups/{group}", True),
    ):
        before = marks_of(app, company, things)
        assert company.call(method, address).status_code == 204
        after = marks_of(app, company, things)
        for thing in things:
            assert (after[thing][0] > before[thing][0]) == is_marked
            assert after[thing][1] == before[thing][1]


def test_sharing_with_a_group_that_is_deleted_at_once(app: Flask, company: Company) -> None:
    for _ in range(5):
        row = add_private(company)
        group = company.post("/groups/", {"name": uuid.uuid4().hex}).json["uuid"]
        path = f"{path_of(row)}/members/groups/{group}"
        company.call("PUT", path, json={"access": "read"})
        shared, deleted = at_once(
            app,
            (company, lambda person, path=path: person.call("PUT", path, json={"access": "write"})),
            (company, lambda person, group=group: person.delete(f"/groups/{group}")),
        )
        assert shared.status_code in (200, 404)
        assert deleted.status_code == 204
