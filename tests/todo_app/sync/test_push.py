"""`POST /sync`: what a client did while it was away."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once
from tests.todo_app.sync.kit import Replica


def push(company: Company, *operations: dict[str, Any], **more: Any) -> Any:
    headers = more.pop("headers", {})
    return company.post("/sync", {"operations": list(operations), **more}, headers=headers)


def temp() -> str:
    return str(uuid.uuid4())


def test_what_is_made_first_comes_in_the_order_of_the_client(acme: Company) -> None:
    home, section, tag, task, part = (temp() for _ in range(5))
    values = {"list_uuid": home, "section_uuid": section, "tag_uuids": [tag]}
    answer = push(
        acme,
        {"kind": "create_list", "temp_uuid": home, "values": {"title": "Home"}},
        {"kind": "create", "temp_uuid": task, "values": {"title": "Buy milk", **values}},
        {
            "kind": "create",
            "temp_uuid": part,
            "values": {"title": "Find a shop", "list_uuid": home, "parent_uuid": task},
        },
        {"kind": "move", "uuid": part, "values": {"before_uuid": task}},
        {"kind": "complete", "uuid": part},
        {"kind": "create_tag", "temp_uuid": tag, "values": {"name": "food"}},
        {
            "kind": "create_section",
            "temp_uuid": section,
            "values": {"title": "Today", "list_uuid": home},
        },
    )
    assert answer.status_code == 200, answer.json
    results = answer.json["results"]
    assert [result["status"] for result in results] == [201, 201, 201, 200, 200, 201, 201]
    assert [result["temp_uuid"] for result in results] == [
        home,
        task,
        part,
        None,
        None,
        tag,
        section,
    ]
    real = {result["temp_uuid"]: result["uuid"] for result in results if result["temp_uuid"]}
    made = acme.get(f"/tasks/{real[task]}").json
    assert made["list"]["uuid"] == real[home]
    assert made["section_uuid"] == real[section]
    assert [one["uuid"] for one in made["tags"]] == [real[tag]]
    assert made["subtasks"] == {"total": 1, "done": 1}
    replica = Replica(acme)
    replica.pull()
    assert {one["uuid"]: one["version"] for one in replica.things["task"].values()} == {
        real[task]: results[1]["version"],
        real[part]: results[4]["version"],
    }


def test_what_cannot_be_done_fails_alone(acme: Company) -> None:
    home, folder = temp(), temp()
    answer = push(
        acme,
        {"kind": "create_list", "temp_uuid": home, "values": {"title": "Home"}},
        {"kind": "create_list", "temp_uuid": folder, "values": {"title": ""}},
        {"kind": "create", "values": {"title": "A", "list_uuid": home}},
        {"kind": "create", "values": {"title": "B", "list_uuid": folder}},
        {"kind": "delete", "uuid": temp()},
        {"kind": "nonsense"},
    )
    results = answer.json["results"]
    assert [result["status"] for result in results] == [201, 422, 201, 422, 404, 422]
    assert [bool(result["error"]) for result in results] == [False, True, False, True, True, True]
    assert acme.get("/tasks/").json["total"] == 1


@pytest.mark.parametrize(
    "operation",
    [
        {"kind": "create_tag", "values": {"name": ""}},
        {"kind": "create_tag", "values": {"name": "taken"}},
        {"kind": "create", "values": {"title": "A", "list_uuid": str(uuid.UUID(int=1))}},
    ],
    ids=["unreadable", "taken", "no ground"],
)
def test_atomic_is_all_or_nothing(acme: Company, operation: dict[str, Any]) -> None:
    acme.post("/tags/", {"name": "taken"})
    made = {"kind": "create_list", "values": {"title": "Home"}}
    answer = push(acme, made, operation, atomic=True)
    assert "1" in str(assert_problem(answer, answer.status_code)["errors"]["json"]["operations"])
    assert acme.get("/lists/").json["total"] == 0


def test_an_operation_that_names_what_another_company_has_fails(
    acme: Company, globex: Company
) -> None:
    theirs = globex.post("/lists/", {"title": "Theirs"}).json["uuid"]
    answer = push(acme, {"kind": "create", "values": {"title": "A", "list_uuid": theirs}})
    assert answer.json["results"][0]["status"] == 422
    assert globex.get("/tasks/").json["total"] == 0


def test_a_request_that_is_sent_again_is_done_once(app: Flask, acme: Company) -> None:
    made = {"kind": "create_list", "temp_uuid": temp(), "values": {"title": "Home"}}
    headers = {"Idempotency-Key": temp()}
    answers = at_once(app, *[(acme, lambda me: push(me, made, headers=headers)) for _ in range(3)])
    answers.append(push(acme, made, headers=headers))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert answers[-1].status_code == 200
    assert acme.get("/lists/").json["total"] == 1


@pytest.mark.parametrize(
    "operations",
    [
        [],
        [{"kind": "create_list", "values": {"title": "A"}}] * 501,
        [{"kind": "create_list", "temp_uuid": str(uuid.UUID(int=5)), "values": {"title": "A"}}] * 2,
    ],
    ids=["none", "too many", "the same temporary id twice"],
)
def test_bad_requests_are_422_and_do_nothing(
    acme: Company, operations: list[dict[str, Any]]
) -> None:
    assert_problem(push(acme, *operations), 422)
    assert acme.get("/lists/").json["total"] == 0


def test_temporary_ids_are_for_what_is_created(acme: Company) -> None:
    answer = push(acme, {"kind": "delete", "uuid": temp(), "temp_uuid": temp()})
    assert answer.json["results"][0]["status"] == 422
