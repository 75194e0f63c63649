"""`GET /activity/` and `GET /tasks/{uuid}/activity`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import Company
from tests.todo_app.helpers import assert_problem


def entries(company: Any, **query: Any) -> list[dict[str, Any]]:
    answer = company.get("/activity/", query_string=query)
    assert answer.status_code == 200, answer.json
    items: list[dict[str, Any]] = answer.json["items"]
    return items


@pytest.fixture
def home(acme: Company) -> str:
    return str(acme.post("/lists/", {"title": "Home"}).json["uuid"])


@pytest.fixture
def task(acme: Company, home: str) -> str:
    return str(acme.post("/tasks/", {"title": "Buy milk", "list_uuid": home}).json["uuid"])


def test_it_tells_who_did_what_and_what_it_was(acme: Company, home: str, task: str) -> None:
    person = acme.add_person()
    person.patch(f"/tasks/{task}", {"title": "Buy cheese", "priority": 3})
    last = entries(acme)[0]
    assert last["action"] == "task.changed"
    assert last["changes"] == {"title": ["Buy milk", "Buy cheese"], "priority": [0, 3]}
    assert last["actor"]["uuid"] == person.uuid
    assert last["list"] == {"uuid": home, "title": "Home"}
    assert last["task"] == {"uuid": task, "title": "Buy cheese"}
    assert [entry["action"] for entry in entries(acme, order="asc")] == [
        "list.added",
        "task.added",
        "task.changed",
    ]


def test_filters(acme: Company, home: str, task: str) -> None:
    person = acme.add_person()
    other = acme.post("/lists/", {"title": "Other"}).json["uuid"]
    person.post(f"/tasks/{task}/complete")
    begun = entries(acme, order="asc")[0]["at"]
    assert {entry["list"]["uuid"] for entry in entries(acme, list_uuid=other)} == {other}
    assert [entry["action"] for entry in entries(acme, task_uuid=task)] == [
        "task.changed",
        "task.added",
    ]
    assert [entry["action"] for entry in entries(acme, actor_uuid=person.uuid)] == ["task.changed"]
    assert len(entries(acme, action="list.added")) == 2
    assert len(entries(acme, search="task.")) == 2
    assert entries(acme, at_before=begun) == []
    assert len(entries(acme, at_from=begun)) == 4


def test_private_lists_and_other_companies_are_not_told_of(
    acme: Company, globex: Company, home: str, task: str
) -> None:
    person = acme.add_person()
    acme.patch(f"/lists/{home}", {"visibility": "private"})
    for somebody in (person, globex):
        assert entries(somebody) == []
        assert entries(somebody, task_uuid=task) == []
        assert entries(somebody, list_uuid=home) == []
    assert len(entries(acme)) == 3


def test_a_list_in_the_trash_is_not_told_of(acme: Company, home: str, task: str) -> None:
    acme.delete(f"/lists/{home}")
    assert entries(acme) == []


@pytest.mark.parametrize(
    "query",
    [{"list_uuid": "x"}, {"at_from": "yesterday"}, {"action": ""}, {"field": "action"}, {"x": 1}],
)
def test_bad_parameters_are_422(acme: Company, query: dict[str, Any]) -> None:
    assert_problem(acme.get("/activity/", query_string=query), 422)


def test_one_task(acme: Company, home: str, task: str) -> None:
    acme.post("/tasks/", {"title": "Other", "list_uuid": home})
    acme.patch(f"/tasks/{task}", {"priority": 3})
    path = f"/tasks/{task}/activity"
    page = acme.get(path).json
    assert [entry["action"] for entry in page["items"]] == ["task.changed", "task.added"]
    assert acme.get(path, query_string={"action": "task.added"}).json["total"] == 1
    assert acme.get(path, query_string={"order": "asc", "size": 1}).json["pages"] == 2
    for query in ({"task_uuid": task}, {"size": 0}, {"at_from": "x"}):
        assert_problem(acme.get(path, query_string=query), 422)


def test_one_task_that_is_not_there(acme: Company, globex: Company, home: str, task: str) -> None:
    path, person = f"/tasks/{task}/activity", acme.add_person()
    assert person.get(path).json["total"] == 1
    acme.patch(f"/lists/{home}", {"visibility": "private"})
    for somebody in (person, globex):
        assert_problem(somebody.get(path), 404)
    acme.delete(f"/tasks/{task}")
    assert_problem(acme.get(path), 404)
    assert entries(acme)[0]["task"]["uuid"] == task


def test_a_task_that_went_into_a_private_list_is_not_told_of(
    acme: Company, home: str, task: str
) -> None:
    """Nor what it was there, once it is back."""
    person = acme.add_person()
    secret = acme.post("/lists/", {"title": "Mine", "visibility": "private"}).json["uuid"]
    acme.patch(f"/tasks/{task}", {"list_uuid": secret})
    acme.patch(f"/tasks/{task}", {"title": "Secret"})
    seen = entries(person, list_uuid=home)
    assert seen
    assert all(entry["task"] is None for entry in seen)
    assert "Secret" not in str(entries(person))
    acme.patch(f"/tasks/{task}", {"title": "Public"})
    acme.patch(f"/tasks/{task}", {"list_uuid": home})
    told = person.get(f"/tasks/{task}/activity").json["items"]
    assert "Secret" not in str(told)
    assert "Secret" in str(acme.get(f"/tasks/{task}/activity").json["items"])
