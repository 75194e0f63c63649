"""Webhooks are told of what is imported, in as few statements for many lines as for one."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.factories import Company
from tests.todo_app.lists.kit import add_private
from tests.todo_app.todos.shapes import add_list, add_task
from tests.todo_app.transfer.kit import taken
from tests.todo_app.transfer.test_task_rules import counted
from tests.todo_app.webhooks.kit import add_webhook, calls_of, messages_of


def shape(value: Any) -> Any:
    """The names in a message."""
    return {name: shape(one) for name, one in value.items()} if isinstance(value, dict) else None


@pytest.mark.parametrize("what", ["tasks", "lists"])
def test_many_lines_take_as_few_statements_as_one(app: Flask, acme: Company, what: str) -> None:
    query = {"list_uuid": add_list(acme)["uuid"]} if what == "tasks" else {}
    add_webhook(acme)
    header = ("title", "due") if what == "tasks" else ("title", "icon")
    numbers = []
    for number in (1, 50):
        rows = [(f"{number} {n}", "2026-12-31" if what == "tasks" else "x") for n in range(number)]
        with counted() as statements:
            taken(acme, what, header, *rows, **query)
        numbers.append(len(statements))
    assert numbers[0] == numbers[1]
    told = [message for message in messages_of(app, acme) if message.event == f"{what[:-1]}.added"]
    titles = [message.payload["data"]["changes"]["title"][1] for message in told]
    assert titles == ["1 0", *(f"50 {n}" for n in range(50))]


def test_a_message_is_as_that_of_a_task_that_is_added_alone(app: Flask, acme: Company) -> None:
    home, secret = add_list(acme, symbol="HO"), add_private(acme)
    add_webhook(acme, events=("task.*",))
    taken(acme, "tasks", ("title",), ("Milk",), list_uuid=secret["uuid"])
    assert (messages_of(app, acme), calls_of(app, acme)) == ([], 0)
    add_task(acme, home["uuid"], "Milk")
    taken(acme, "tasks", ("title",), ("Milk",), list_uuid=home["uuid"])
    alone, imported = (message.payload for message in messages_of(app, acme))
    assert shape(imported) == shape(alone)
    assert imported["data"]["actor"] == alone["data"]["actor"]
    assert imported["data"]["list"] == alone["data"]["list"]
    assert imported["data"]["task"]["symbol"] == "HO-2"
    assert calls_of(app, acme) == 2
