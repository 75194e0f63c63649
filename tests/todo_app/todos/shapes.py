"""Lists and tasks made over the API."""

from __future__ import annotations

from typing import Any

from tests.factories import Person


def add_list(person: Person, title: str = "Groceries", **more: Any) -> dict[str, Any]:
    """Add a list; the answer as JSON."""
    answer = person.post("/lists/", {"title": title, **more})
    assert answer.status_code == 201, answer.text
    todo_list: dict[str, Any] = answer.json
    return todo_list


def add_task(
    person: Person, list_uuid: str, title: str = "Buy milk", **more: Any
) -> dict[str, Any]:
    """Add a task; the answer as JSON."""
    answer = person.post("/tasks/", {"list_uuid": list_uuid, "title": title, **more})
    assert answer.status_code == 201, answer.text
    task: dict[str, Any] = answer.json
    return task


def path_of(row: dict[str, Any]) -> str:
    """The address of a list or task."""
    return f"/{'tasks' if 'list' in row else 'lists'}/{row['uuid']}"
