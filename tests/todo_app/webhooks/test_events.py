"""What happens in the company's lists is written down for those who want to know, and once."""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa
from flask import Flask
from sqlalchemy import event

import todo_app
from tests.factories import Company
from tests.todo_app.helpers import inside
from tests.todo_app.todos.shapes import add_list, add_task
from tests.todo_app.webhooks.kit import add_webhook, calls_of, events_of, messages_of
from todo_app.activity import service as activity
from todo_app.database import db
from todo_app.todos.models import TodoList
from todo_app.webhooks.kinds import CHOICES, EVENTS

ACTION = re.compile(
    r'(?<!attribute=)"((?:attachment|comment|field|list|relation|section|task|time)\.[a-z_]+(?:ed|d))"'
)


def test_every_action_of_the_timeline_can_be_chosen() -> None:
    root = Path(todo_app.__file__).parent
    found = {
        action
        for path in root.rglob("*.py")
        if "webhooks" not in path.parts
        for action in ACTION.findall(path.read_text())
    }
    assert found <= set(EVENTS)
    assert len(found) > 25
    assert len(set(CHOICES)) == len(CHOICES)


def test_a_message_says_what_who_and_where(app: Flask, acme: Company) -> None:
    add_webhook(acme)
    todo_list = add_list(acme, "Groceries")
    task = add_task(acme, todo_list["uuid"], "Milk")
    assert acme.patch(f"/tasks/{task['uuid']}", {"title": "Oat milk"}).status_code == 200
    added, task_added, changed = messages_of(app, acme)
    assert [added.event, task_added.event, changed.event] == [
        "list.added",
        "task.added",
        "task.changed",
    ]
    assert added.payload["data"]["task"] is None
    payload = changed.payload
    assert payload["type"] == "task.changed"
    assert payload["timestamp"].endswith("+00:00")
    data = payload["data"]
    assert data["list"] == {"uuid": todo_list["uuid"], "title": "Groceries"}
    assert data["task"]["uuid"] == task["uuid"]
    assert data["task"]["title"] == "Oat milk"
    assert data["actor"]["uuid"] == acme.uuid
    assert data["changes"] == {"title": ["Milk", "Oat milk"]}
    assert changed.state == "pending"
    assert calls_of(app, acme) == 3


def test_only_what_was_chosen_is_sent(app: Flask, acme: Company) -> None:
    add_webhook(acme, events=("task.deleted", "section.*"))
    todo_list = add_list(acme, "Groceries")
    task = add_task(acme, todo_list["uuid"], "Milk")
    assert acme.delete(f"/tasks/{task['uuid']}").status_code == 204
    assert acme.post(f"/lists/{todo_list['uuid']}/sections", {"title": "S"}).status_code == 201
    assert events_of(app, acme) == ["task.deleted", "section.added"]


def test_each_webhook_is_told_once_whatever_it_has_chosen(app: Flask, acme: Company) -> None:
    add_webhook(acme, events=("*", "list.*", "list.added"))
    add_webhook(acme, events=("list.added",))
    add_list(acme, "Groceries")
    first, second = messages_of(app, acme)
    assert first.webhook_id != second.webhook_id
    assert calls_of(app, acme) == 1


def test_private_lists_stay_private_even_of_who_made_the_webhook(app: Flask, acme: Company) -> None:
    add_webhook(acme)
    todo_list = add_list(acme, "Mine", visibility="private")
    add_task(acme, todo_list["uuid"], "Secret")
    assert events_of(app, acme) == []
    assert calls_of(app, acme) == 0
    # From the moment on that it is the company's.
    path = f"/lists/{todo_list['uuid']}"
    assert acme.patch(path, {"visibility": "company"}).status_code == 200
    assert events_of(app, acme) == ["list.changed"]
    assert acme.patch(path, {"visibility": "private"}).status_code == 200
    assert acme.patch(path, {"title": "Still mine"}).status_code == 200
    assert events_of(app, acme) == ["list.changed"]


def test_another_companys_webhook_is_told_nothing(
    app: Flask, acme: Company, globex: Company
) -> None:
    add_webhook(globex)
    add_list(acme, "Groceries")
    assert events_of(app, globex) == []
    assert calls_of(app, globex) == calls_of(app, acme) == 0


def test_one_that_is_off_is_told_nothing(app: Flask, acme: Company) -> None:
    webhook = add_webhook(acme)
    assert acme.patch(f"/webhooks/{webhook['uuid']}", {"is_active": False}).status_code == 200
    add_list(acme, "Groceries")
    assert events_of(app, acme) == []


def test_what_is_rolled_back_is_not_told(app: Flask, acme: Company) -> None:
    add_webhook(acme)
    todo_list = add_list(acme, "Groceries")
    operations = [
        {"kind": "create", "values": {"title": "A", "list_uuid": todo_list["uuid"]}},
        {"kind": "delete", "uuid": todo_list["uuid"]},
    ]
    body = {"atomic": True, "operations": operations}
    answer = acme.post("/tasks/bulk", body)
    assert answer.status_code == 404, answer.text
    assert events_of(app, acme) == ["list.added"]
    answer = acme.post("/tasks/bulk", {**body, "atomic": False})
    assert [result["status"] for result in answer.json["results"]] == [201, 404]
    assert events_of(app, acme) == ["list.added", "task.added"]
    assert calls_of(app, acme) == 2


def test_a_savepoint_that_fails_takes_its_call_with_it_and_the_next_one_calls(
    app: Flask, acme: Company
) -> None:
    add_webhook(acme)
    todo_list = add_list(acme, "Groceries")
    before = calls_of(app, acme)
    with inside(app, acme.slug):
        found = sa.select(TodoList.id).where(TodoList.uuid == todo_list["uuid"])
        list_id = db.session.scalars(found).one()
        savepoint = db.session.begin_nested()
        activity.record(None, "list.changed", list_id=list_id)
        savepoint.rollback()
        with db.session.begin_nested():
            activity.record(None, "list.changed", list_id=list_id)
            activity.record(None, "list.changed", list_id=list_id)
    assert calls_of(app, acme) == before + 1
    assert len(events_of(app, acme)) == 3


def test_without_a_webhook_an_entry_costs_one_statement(app: Flask, acme: Company) -> None:
    todo_list = add_list(acme, "Groceries")
    sent: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    for expected in ("nobody", "one", "deaf"):
        with inside(app, acme.slug):
            found = sa.select(TodoList.id).where(TodoList.uuid == todo_list["uuid"])
            list_id = db.session.scalars(found).one()
            engine = db.session.connection().engine
            event.listen(engine, "before_cursor_execute", note)
            try:
                sent.clear()
                activity.record(None, "list.changed", list_id=list_id)
                assert len(sent) == {"nobody": 1, "one": 3, "deaf": 2}[expected], sent
            finally:
                event.remove(engine, "before_cursor_execute", note)
        if expected == "nobody":
            webhook = add_webhook(acme)
        elif expected == "one":
            path = f"/webhooks/{webhook['uuid']}"
            assert acme.patch(path, {"events": ["comment.added"]}).status_code == 200
