"""`/tasks/bulk`: all or nothing, or each for itself."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import RAW_BODIES, assert_problem, at_once, send_raw, statuses, version
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from todo_app.bulk.service import MAX_SERIES

PATH = "/tasks/bulk"


@pytest.fixture
def home(company: Company) -> str:
    """A list of its own for each test."""
    uuid: str = add_list(company, "Home")["uuid"]
    return uuid


def create(home: str, title: str = "New", **more: Any) -> dict[str, Any]:
    return {"kind": "create", "values": {"list_uuid": home, "title": title, **more}}


def send(person: Person, *operations: Any, atomic: bool = True, **kwargs: Any) -> Any:
    return person.post(PATH, {"atomic": atomic, "operations": list(operations)}, **kwargs)


def total(company: Company, home: str) -> int:
    number: int = company.get(f"/tasks/?list_uuid={home}").json["total"]
    return number


def test_all_kinds_in_one_request(company: Company, home: str) -> None:
    tasks = [add_task(company, home, f"{number}") for number in range(4)]
    names = [task["uuid"] for task in tasks]
    answer = send(
        company,
        create(home, "Made", parent_uuid=names[0], assignee_uuids=[company.uuid]),
        {"kind": "update", "uuid": names[0], "version": 1, "values": {"priority": 5}},
        {"kind": "complete", "uuid": names[1]},
        {"kind": "move", "uuid": names[2], "values": {"before_uuid": names[0]}},
        {"kind": "delete", "uuid": names[3]},
        {"kind": "update", "uuid": names[0], "version": 2, "values": {"title": "Twice"}},
    )
    assert answer.status_code == 200, answer.text
    results = answer.json["results"]
    assert [result["status"] for result in results] == [201, 200, 200, 200, 204, 200]
    assert {str(result["error"]) for result in results} == {"None"}
    assert results[4]["task"] is None
    for result in results:
        if result["task"]:
            shown = company.get(path_of(result["task"]))
            assert (shown.json, version(shown)) == (result["task"], result["version"])
    assert (results[1]["task"]["title"], results[1]["version"]) == ("Twice", 3)
    assert results[0]["task"]["parent_uuid"] == names[0]
    assert_problem(company.get(path_of(tasks[3])), 404)


FAILURES: list[tuple[dict[str, Any], int]] = [
    ({"kind": "complete", "uuid": str(uuid.uuid4())}, 404),
    ({"kind": "update", "uuid": "TASK", "version": 9, "values": {"title": "Stale"}}, 412),
    ({"kind": "update", "uuid": "TASK", "values": {"title": ""}}, 422),
    ({"kind": "update", "uuid": "TASK", "values": {"parent_uuid": "TASK"}}, 422),
    ({"kind": "update", "uuid": "TASK", "values": {"unknown": 1}}, 422),
    ({"kind": "complete", "uuid": "REJECTED"}, 409),
    ({"kind": "create", "values": {"title": "No list"}}, 422),
    ({"kind": "create", "uuid": "TASK", "values": {"title": "x", "list_uuid": "HOME"}}, 422),
    ({"kind": "create", "values": {"title": "x" * 10_000, "list_uuid": "HOME"}}, 422),
    ({"kind": "move", "uuid": "TASK", "values": {"list_uuid": str(uuid.uuid4())}}, 422),
    ({"kind": "delete", "uuid": "TASK", "values": {"title": "x"}}, 422),
    ({"kind": "destroy", "uuid": "TASK"}, 422),
    ({"kind": "delete"}, 422),
    ({"uuid": "TASK"}, 422),
    ({}, 422),
]


@pytest.mark.parametrize(("failing", "status"), FAILURES)
@pytest.mark.parametrize("atomic", [True, False])
def test_one_that_is_not_possible(
    company: Company, home: str, failing: dict[str, Any], status: int, atomic: bool
) -> None:
    task, rejected = add_task(company, home), add_task(company, home, status="rejected")
    known = {"TASK": task["uuid"], "REJECTED": rejected["uuid"], "HOME": home}

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: named(one) for name, one in value.items()}
        return known.get(str(value), value)

    answer = send(company, create(home, "A"), named(failing), create(home, "B"), atomic=atomic)
    if atomic:
        problem = assert_problem(answer, status)
        assert problem["detail"].startswith("Operation 1: ")
        assert set(problem["errors"]["json"]["operations"]) == {"1"}
        assert total(company, home) == 2
    else:
        results = answer.json["results"]
        assert [result["status"] for result in results] == [201, status, 201]
        error = results[1]["error"]
        assert (error["status"], results[1]["task"]) == (status, None)
        assert error["type"].startswith("urn:todo:problem:")
        assert total(company, home) == 4
    assert company.get(path_of(task)).json == task


@pytest.mark.parametrize("operation", [None, 1, "create", [], [[]]])
def test_what_is_no_operation_at_all(company: Company, home: str, operation: Any) -> None:
    answer = send(company, operation, create(home), atomic=False)
    if operation is None:
        assert_problem(answer, 422)
    else:
        assert [result["status"] for result in answer.json["results"]] == [422, 201]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"operations": []},
        {"operations": {}},
        {"operations": None},
        {"operations": [], "atomic": "yes"},
        {"operations": [], "more": 1},
    ],
)
def test_what_is_no_bulk_request(company: Company, body: dict[str, Any]) -> None:
    assert_problem(company.post(PATH, body), 422)


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, body: bytes, content_type: str, status: int
) -> None:
    # Ten megabytes would fit, if they were JSON.
    assert_problem(
        send_raw(company, "POST", PATH, body, content_type), 400 if status == 413 else status
    )


def test_five_hundred_are_done_and_no_more(company: Company, home: str) -> None:
    answer = send(company, *[create(home, f"{number}") for number in range(500)])
    titles = [result["task"]["title"] for result in answer.json["results"]]
    assert titles == [str(number) for number in range(500)]
    assert total(company, home) == 500
    assert_problem(send(company, *[create(home)] * 501), 422)
    assert total(company, home) == 500


@pytest.mark.parametrize("is_atomic", [True, False])
def test_only_so_many_set_a_recurrence(company: Company, home: str, is_atomic: bool) -> None:
    due = {"due_at": "2026-01-01T09:00:00Z", "recurrence": "FREQ=DAILY"}
    operations = [create(home, **due)] * (MAX_SERIES + 1)
    problem = assert_problem(send(company, *operations, atomic=is_atomic), 422)
    assert problem["errors"]["json"]["operations"] == ["At most 50 of them set a recurrence."]
    assert send(company, *operations[1:], atomic=is_atomic).status_code == 200


def test_others_tasks_are_not_there(company: Company, stranger: Company, home: str) -> None:
    task = add_task(company, home)
    secret = add_task(company, add_list(company, "Secret", visibility="private")["uuid"])
    person = company.add_person()
    for other, victim in ((stranger, task), (person, secret)):
        answer = send(
            other,
            {"kind": "delete", "uuid": victim["uuid"]},
            {"kind": "update", "uuid": victim["uuid"], "values": {"title": "Seen"}},
            create(victim["list"]["uuid"]),
            atomic=False,
        )
        assert [result["status"] for result in answer.json["results"]] == [404, 404, 422]
        assert company.get(path_of(victim)).json == victim


def test_a_key_repeats_the_first_answer(company: Company, home: str) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = send(company, create(home), headers=headers)
    assert send(company, create(home), headers=headers).json == first.json
    assert total(company, home) == 1


@pytest.mark.parametrize("attempt", range(3))
def test_requests_that_cross_each_other_all_get_through(
    app: Flask, company: Company, home: str, attempt: int
) -> None:
    other = add_list(company, "Other")["uuid"]
    tasks = [add_task(company, list_uuid) for list_uuid in (home, other) * 3]
    changes = [
        {"kind": "update", "uuid": task["uuid"], "values": {"priority": 1}} for task in tasks
    ]
    orders = [changes, changes[::-1], changes[3:] + changes[:3], changes[1::2] + changes[::2]]
    answers = at_once(
        app, *[(company, lambda own, order=order: send(own, *order)) for order in orders]
    )
    assert statuses(answers) == [200] * 4


def test_one_of_stale_bulk_requests_is_done(app: Flask, company: Company, home: str) -> None:
    tasks = [add_task(company, home) for _ in range(5)]
    operations = [
        {"kind": "update", "uuid": task["uuid"], "version": 1, "values": {"estimate_seconds": 1}}
        for task in tasks
    ]
    answers = at_once(app, *[(company, lambda own: send(own, *operations))] * 4)
    assert statuses(answers) == [200, 412, 412, 412]
    assert {version(company.get(path_of(task))) for task in tasks} == {2}
