"""The trash of a tenant empties itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from ops.upkeep import tidy, trash
from tests.factories import Company
from tests.todo_app.helpers import inside
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from todo_app.activity.models import Activity
from todo_app.database import db, own_connection
from todo_app.todos.models import Task, TaskTag, TimeEntry, TodoList

KEEP = 30


def age(app: Flask, company: Company, *rows: dict[str, Any], days: int = KEEP + 1) -> None:
    """What was deleted together with these was deleted so many days earlier."""
    with inside(app, company.slug):
        for model in (Task, TodoList):
            named = sa.select(model.deleted_at).where(model.uuid.in_([row["uuid"] for row in rows]))
            for moment in filter(None, db.session.scalars(named.distinct()).all()):
                for other in (Task, TodoList):
                    db.session.execute(
                        sa.update(other)
                        .where(other.deleted_at == moment)
                        .values(deleted_at=moment - timedelta(days=days))
                    )


def empty(app: Flask, company: Company) -> tuple[int, int]:
    with app.app_context(), own_connection() as connection:
        found = tidy.tidy(connection, company.schema_name, app.config["SETTINGS"]).result
    return found["trashed_tasks"], found["trashed_lists"]


def in_trash(company: Company) -> set[str]:
    return {item["title"] for item in company.get("/trash/?size=100").json["items"]}


def test_what_is_too_old_goes_with_all_that_belongs_to_it(app: Flask, acme: Company) -> None:
    home = add_list(acme, "Home")["uuid"]
    tag = acme.post("/tags", {"name": "tag"}).json["uuid"]
    old = add_task(acme, home, "Old", tag_uuids=[tag], assignee_uuids=[acme.uuid])
    child = add_task(acme, home, "Child", parent_uuid=old["uuid"])
    young, kept = add_task(acme, home, "Young"), add_task(acme, home, "Kept", tag_uuids=[tag])
    started = acme.post(f"{path_of(child)}/time-entries/start", {})
    assert started.status_code == 200, started.text
    for task in (old, young):
        assert acme.delete(path_of(task)).status_code == 204
    assert empty(app, acme) == (0, 0)
    age(app, acme, old)
    age(app, acme, young, days=KEEP - 1)
    tasks, lists = empty(app, acme)
    assert (tasks in (1, 2), lists) == (True, 0)  # the child goes along, or by itself
    assert in_trash(acme) == {"Young"}
    for task in (old, child):
        assert acme.post(f"{path_of(task)}/restore").status_code == 404
    assert acme.get(path_of(kept)).json["tags"][0]["uuid"] == tag
    with inside(app, acme.slug):
        left = {
            key: db.session.scalar(sa.select(sa.func.count(key)))
            for key in (TaskTag.task_id, TimeEntry.id)
        }
        assert list(left.values()) == [1, 0]
        titles = set(db.session.scalars(sa.select(Task.title)))
        known = set(db.session.scalars(sa.select(Activity.task_id))) - {None}
        assert known == set(db.session.scalars(sa.select(Task.id)))
    assert titles == {"Young", "Kept"}
    assert empty(app, acme) == (0, 0)


def test_lists_go_from_the_inside_out(app: Flask, acme: Company) -> None:
    outer = add_list(acme, "Outer", kind="folder")
    inner = add_list(acme, "Inner", parent_uuid=outer["uuid"], symbol="GONE")
    other = add_list(acme, "Other")
    for number in range(3):
        add_task(acme, inner["uuid"], f"Task {number}")
    stays = add_task(acme, other["uuid"])
    acme.delete(path_of(outer))
    acme.delete(path_of(other))
    age(app, acme, outer)
    assert empty(app, acme) == (3, 2)
    assert in_trash(acme) == {"Other"}
    # The symbol can be had again.
    add_list(acme, "Next", symbol="GONE")
    assert acme.post(f"{path_of(other)}/restore").status_code == 200
    assert acme.get(path_of(stays)).status_code == 200


def test_the_company_next_door_keeps_its_trash(app: Flask, acme: Company, globex: Company) -> None:
    for company in (acme, globex):
        row = add_list(company, "Old")
        company.delete(path_of(row))
        age(app, company, row)
    assert empty(app, acme) == (0, 1)
    assert (in_trash(acme), in_trash(globex)) == (set(), {"Old"})


def test_much_goes_in_many_short_transactions(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "ROWS_AT_ONCE", 2)
    row = add_list(acme, "Old")
    for number in range(5):
        add_task(acme, row["uuid"], f"Task {number}")
    acme.delete(path_of(row))
    age(app, acme, row)
    assert empty(app, acme) == (5, 1)


@pytest.mark.parametrize("what", ["tasks", "lists"])
def test_what_somebody_is_bringing_back_is_left(app: Flask, acme: Company, what: str) -> None:
    row = add_list(acme, "Old")
    task = add_task(acme, row["uuid"], "Task")
    acme.delete(path_of(task if what == "tasks" else row))
    age(app, acme, task, row)
    with app.app_context(), db.engines["ops"].begin() as connection:
        connection.exec_driver_sql(f"SELECT FROM {acme.schema_name}.{what} FOR UPDATE")
        assert empty(app, acme) == (0, 0)
    assert sum(empty(app, acme)) == (1 if what == "tasks" else 2)
