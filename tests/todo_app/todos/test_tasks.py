"""`/tasks`: what each endpoint does."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, version
from tests.todo_app.todos.shapes import add_list, add_task, path_of

FIELDS = {
    "uuid",
    "symbol",
    "title",
    "description",
    "description_html",
    "status",
    "priority",
    "start_at",
    "due_at",
    "is_all_day",
    "timezone",
    "recurrence",
    "recurs_from",
    "estimate_seconds",
    "tracked_seconds",
    "completed_at",
    "list",
    "section_uuid",
    "parent_uuid",
    "position",
    "subtasks",
    "assignees",
    "tags",
    "fields",
    "created_by",
    "created_at",
    "updated_at",
}


@pytest.fixture(scope="module")
def groceries(company: Company) -> dict[str, Any]:
    """A list that tests put tasks into."""
    return add_list(company)


def ref(person: Person) -> dict[str, str]:
    """How a task shows somebody."""
    name = ("Ada", "Lovelace") if isinstance(person, Company) else ("Grace", "Hopper")
    return {"uuid": person.uuid, "first_name": name[0], "last_name": name[1]}


def test_a_new_task(company: Company, people: dict[str, Person], groceries: dict[str, Any]) -> None:
    body = {
        "list_uuid": groceries["uuid"],
        "title": "  Buy milk ",
        "description": "2 litres",
        "priority": 5,
        "due_at": "2026-03-01T10:00:00+05:30",
        "assignee_uuids": [company.uuid],
    }
    answer = people["user"].post("/tasks/", body)
    assert answer.status_code == 201
    task = answer.json
    assert set(task) == FIELDS
    assert (task["title"], task["description"], task["priority"]) == ("Buy milk", "2 litres", 5)
    assert (task["status"], task["completed_at"]) == ("new", None)
    assert task["due_at"] == "2026-03-01T04:30:00+00:00"
    assert task["list"] == {"uuid": groceries["uuid"], "title": groceries["title"]}
    assert task["assignees"] == [ref(company)]
    assert task["created_by"] == ref(people["user"])
    assert version(answer) == 1
    one = company.get(path_of(task))
    assert (one.status_code, one.json, version(one)) == (200, task, 1)


def test_list_and_title_are_enough(company: Company, groceries: dict[str, Any]) -> None:
    task = add_task(company, groceries["uuid"])
    empty = ("description", "description_html", "start_at", "due_at", "completed_at", "timezone")
    assert {task[field] for field in empty} == {None}
    more = ("recurrence", "recurs_from", "estimate_seconds", "section_uuid", "parent_uuid")
    assert {task[field] for field in more} == {None}
    assert (task["assignees"], task["tags"], task["fields"]) == ([], [], {})
    assert (task["subtasks"], task["tracked_seconds"]) == ({"total": 0, "done": 0}, 0)
    assert (task["status"], task["priority"]) == ("new", 0)


def test_patch_changes_only_what_is_sent(company: Company, groceries: dict[str, Any]) -> None:
    task = add_task(
        company,
        groceries["uuid"],
        description="Kept",
        priority=3,
        due_at="2026-03-01T10:00:00Z",
        assignee_uuids=[company.uuid],
    )
    changed = company.patch(path_of(task), {"title": "Changed"})
    assert changed.status_code == 200
    expected = {**task, "title": "Changed", "updated_at": changed.json["updated_at"]}
    assert changed.json == expected == company.get(path_of(task)).json
    nothing = {"description": None, "due_at": None, "assignee_uuids": []}
    emptied = company.patch(path_of(task), nothing).json
    assert [emptied[field] for field in ("description", "due_at", "assignees")] == [None, None, []]


def test_everything_can_change_in_one_version(company: Company, groceries: dict[str, Any]) -> None:
    task, other, person = (
        add_task(company, groceries["uuid"]),
        add_list(company, "Other"),
        company.add_person(),
    )
    changes = {
        "list_uuid": other["uuid"],
        "title": "All new",
        "description": "All new",
        "status": "done",
        "priority": 1,
        "due_at": "2030-01-01T00:00:00Z",
        "assignee_uuids": [person.uuid],
    }
    answer = company.patch(path_of(task), changes)
    assert version(answer) == 2
    assert answer.json["list"] == {"uuid": other["uuid"], "title": "Other"}
    assert answer.json["assignees"] == [ref(person)]
    assert answer.json["completed_at"] == answer.json["updated_at"]


def test_completed_at_follows_the_status(company: Company, groceries: dict[str, Any]) -> None:
    before = datetime.now(UTC)
    task = add_task(company, groceries["uuid"])
    path = path_of(task)
    done = company.patch(path, {"status": "done"}).json
    assert before <= datetime.fromisoformat(done["completed_at"]) <= datetime.now(UTC)
    still = company.patch(path, {"status": "done", "title": "Later"}).json
    assert still["completed_at"] == done["completed_at"]
    assert company.patch(path, {"title": "Even later"}).json["status"] == "done"
    back = company.patch(path, {"status": "new"}).json
    assert (back["status"], back["completed_at"]) == ("new", None)
    assert company.patch(path, {"status": "done"}).json["completed_at"] > done["completed_at"]


def test_a_task_may_be_done_from_the_start(company: Company, groceries: dict[str, Any]) -> None:
    task = add_task(company, groceries["uuid"], status="done")
    assert task["completed_at"] == task["created_at"]


def test_complete_and_reopen_are_idempotent(company: Company, groceries: dict[str, Any]) -> None:
    path = path_of(add_task(company, groceries["uuid"]))
    untouched = company.post(f"{path}/reopen")
    assert (untouched.status_code, version(untouched)) == (200, 1)
    done = company.post(f"{path}/complete")
    assert (done.status_code, done.json["status"], version(done)) == (200, "done", 2)
    assert done.json["completed_at"] is not None
    again = company.post(f"{path}/complete")
    assert (again.json, version(again)) == (done.json, 2)
    opened = company.post(f"{path}/reopen")
    assert (opened.json["status"], opened.json["completed_at"]) == ("new", None)
    assert company.post(f"{path}/reopen").json == opened.json == company.get(path).json


def test_a_deleted_task_is_gone(company: Company, groceries: dict[str, Any]) -> None:
    path = path_of(add_task(company, groceries["uuid"]))
    answer = company.delete(path)
    assert (answer.status_code, answer.data) == (204, b"")
    assert_problem(company.get(path), 404)
    assert_problem(company.delete(path), 404)
    assert_problem(company.patch(path, {"title": "Back"}), 404)
    assert_problem(company.post(f"{path}/complete"), 404)
    assert_problem(company.post(f"{path}/reopen"), 404)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T00:30:00+14:00", "2026-02-28T10:30:00+00:00"),
        ("2026-12-31T23:00:00-12:00", "2027-01-01T11:00:00+00:00"),
        ("2026-03-01T10:00:00.123456-00:00", "2026-03-01T10:00:00.123456+00:00"),
        ("0002-01-01T00:00:00+14:00", "0001-12-31T10:00:00+00:00"),
        ("9998-12-31T23:59:59-14:00", "9999-01-01T13:59:59+00:00"),
    ],
)
def test_times_come_in_any_zone_and_go_out_in_utc(
    company: Company, groceries: dict[str, Any], given: str, shown: str
) -> None:
    task = add_task(company, groceries["uuid"], due_at=given)
    assert task["due_at"] == shown
    assert company.get(path_of(task)).json["due_at"] == shown


@pytest.mark.parametrize(
    "wrong",
    [
        "2026-03-01T10:00:00",
        "2026-03-01",
        "tomorrow",
        "",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-03-01T10:00:60Z",
        "2026-03-01T10:00:00+99:00",
        "2026-03-01T10:00:00Z\x00",
        "20260301T100000Z",
        "2026-W09-7T10:00:00Z",
        "2026-03-01T10:00Z",
        1_772_359_200,
        True,
        [],
    ],
)
def test_what_is_no_moment_is_refused(
    company: Company, groceries: dict[str, Any], wrong: Any
) -> None:
    body = {"list_uuid": groceries["uuid"], "title": "When?", "due_at": wrong}
    problem = assert_problem(company.post("/tasks/", body), 422)
    assert set(problem["errors"]["json"]) == {"due_at"}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("field", ["list_uuid", "assignee_uuids"])
def test_an_unknown_list_or_person_is_named(
    company: Company,
    stranger: Company,
    groceries: dict[str, Any],
    method: str,
    field: str,
) -> None:
    deleted_person, deleted_list = company.add_person(), add_list(company, "Deleted")
    company.delete(f"/users/{deleted_person.uuid}")
    company.delete(path_of(deleted_list))
    wrong = {
        "list_uuid": [add_list(stranger)["uuid"], deleted_list["uuid"], company.uuid],
        "assignee_uuids": [stranger.uuid, deleted_person.uuid, groceries["uuid"]],
    }
    task = add_task(company, groceries["uuid"])
    whole = {"list_uuid": groceries["uuid"], "title": "Refused"} if method == "POST" else {}
    path = "/tasks/" if method == "POST" else path_of(task)
    texts = {"list_uuid": "There is no such list.", "assignee_uuids": "There is no such user."}
    for value in (str(uuid.uuid4()), *wrong[field]):
        sent = [company.uuid, value] if field == "assignee_uuids" else value
        answer = company.call(method, path, json={**whole, field: sent})
        problem = assert_problem(answer, 422)
        assert problem["errors"] == {"json": {field: [texts[field]]}}
    assert company.get(path_of(task)).json == task
    assert company.get("/tasks/?search=Refused").json["total"] == 0
