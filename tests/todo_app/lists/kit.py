"""What tests of lists share: lists inside each other, private ones, and what is put beside what."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import select

from tests.factories import Company, Person
from tests.todo_app.helpers import inside
from tests.todo_app.todos.shapes import add_list
from todo_app.activity.models import Activity, Change
from todo_app.database import db
from todo_app.todos.models import TodoList

Row = dict[str, Any]


def add_folder(person: Person, title: str = "Folder", **more: Any) -> Row:
    """Add a folder; the answer as JSON."""
    return add_list(person, title, kind="folder", **more)


def add_private(person: Person, title: str = "Private", **more: Any) -> Row:
    """Add a list that only this person sees; the answer as JSON."""
    return add_list(person, title, visibility="private", **more)


def chain(person: Person, length: int) -> list[Row]:
    """So many lists, each inside the one before."""
    rows: list[Row] = []
    for number in range(length):
        around = {"parent_uuid": rows[-1]["uuid"]} if rows else {}
        rows.append(add_list(person, f"Level {number + 1}", **around))
    return rows


def share(admin: Person, row: Row, person: Person, access: str) -> None:
    """Share a list with a user."""
    path = f"/lists/{row['uuid']}/members/users/{person.uuid}"
    answer = admin.call("PUT", path, json={"access": access})
    assert answer.status_code == 200, answer.text


def titles(person: Person, query: str = "") -> list[str]:
    """The titles of a page of lists, in its order."""
    return [row["title"] for row in person.get(f"/lists/?size=100&{query}").json["items"]]


def move(person: Person, row: Row, **where: Any) -> Any:
    """Move a list; the answer."""
    return person.post(f"/lists/{row['uuid']}/move", where)


def told_of(app: Flask, company: Company, list_uuid: str) -> list[str]:
    """What the timeline of a list has, the first one first."""
    with inside(app, company.slug):
        found = (
            select(Activity.action)
            .join(TodoList, TodoList.id == Activity.list_id)
            .where(TodoList.uuid == list_uuid)
            .order_by(Activity.id)
        )
        return list(db.session.scalars(found))


def mark_of(app: Flask, company: Company, kind: str, uuid: str) -> tuple[int, bool]:
    """The transaction that changed a thing last, and whether it is marked as gone."""
    with inside(app, company.slug):
        found = select(Change.transaction, Change.is_deleted).where(
            Change.kind == kind, Change.uuid == uuid
        )
        transaction, is_deleted = db.session.execute(found).one()
        return transaction, is_deleted
