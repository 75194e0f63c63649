"""`/tasks/{uuid}/relations`."""

from __future__ import annotations

import uuid
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, at_once, statuses
from tests.todo_app.todos.shapes import add_list, add_task, path_of

INVERSES = [
    ("blocks", "blocked_by"),
    ("blocked_by", "blocks"),
    ("duplicates", "duplicated_by"),
    ("duplicated_by", "duplicates"),
    ("relates", "relates"),
]


@pytest.fixture(scope="module")
def home(company: Company) -> str:
    uuid: str = add_list(company, "Home", symbol="REL")["uuid"]
    return uuid


def relate(person: Person, task: dict[str, Any], kind: str, other: dict[str, Any]) -> Any:
    return person.post(f"{path_of(task)}/relations", {"kind": kind, "other_uuid": other["uuid"]})


def relations(person: Person, task: dict[str, Any]) -> list[tuple[str, str]]:
    items = person.get(f"{path_of(task)}/relations").json["items"]
    return [(item["kind"], item["task"]["uuid"]) for item in items]


@pytest.mark.parametrize(("kind", "inverse"), INVERSES)
def test_both_tasks_show_a_relation(company: Company, home: str, kind: str, inverse: str) -> None:
    one, other = (add_task(company, home) for _ in range(2))
    for first, second in ((one, other), (other, one)):
        answer = relate(company, first, kind, second)
        assert answer.status_code == 201
        assert (answer.json["kind"], answer.json["task"]["uuid"]) == (kind, second["uuid"])
        assert answer.json["task"]["symbol"] == second["symbol"]
        assert relations(company, first) == [(kind, second["uuid"])]
        assert relations(company, second) == [(inverse, first["uuid"])]
        again = relate(company, first, kind, second)
        assert assert_problem(again, 409)["type"] == "urn:todo:problem:relation-exists"
        assert_problem(relate(company, second, inverse, first), 409)
        gone = company.delete(f"{path_of(second)}/relations/{answer.json['uuid']}")
        assert gone.status_code == 204
        assert relations(company, first) == relations(company, second) == []
        assert_problem(company.delete(f"{path_of(first)}/relations/{answer.json['uuid']}"), 404)


@pytest.mark.parametrize("kind", ["blocks", "duplicates"])
def test_nothing_leads_back_to_itself(company: Company, home: str, kind: str) -> None:
    tasks = [add_task(company, home) for _ in range(6)]
    for one, other in pairwise(tasks):
        assert relate(company, one, kind, other).status_code == 201
    for target in tasks[:-1]:
        problem = assert_problem(relate(company, tasks[-1], kind, target), 422)
        assert problem["type"] == "urn:todo:problem:cycle"
    inverse = dict(INVERSES)[kind]
    assert_problem(relate(company, tasks[0], inverse, tasks[-1]), 422)
    assert relate(company, tasks[-1], "relates", tasks[0]).status_code == 201
    assert relate(company, tasks[0], kind, tasks[-1]).status_code == 201


@pytest.mark.parametrize("attempt", range(3))
def test_no_circle_of_blocks_is_made_at_one_instant(
    app: Flask, company: Company, home: str, attempt: int
) -> None:
    tasks = [add_task(company, home) for _ in range(4)]
    pairs = zip(tasks, [*tasks[1:], tasks[0]], strict=True)
    answers = at_once(
        app,
        *[
            (company, lambda own, one=one, other=other: relate(own, one, "blocks", other))
            for one, other in pairs
        ],
    )
    assert statuses(answers) == [201, 201, 201, 422]


def test_the_same_relation_at_once_is_made_once(app: Flask, company: Company, home: str) -> None:
    one, other = (add_task(company, home) for _ in range(2))
    answers = at_once(
        app,
        (company, lambda own: relate(own, one, "relates", other)),
        (company, lambda own: relate(own, other, "relates", one)),
        (company, lambda own: relate(own, one, "relates", other)),
    )
    assert statuses(answers) == [201, 409, 409]


def test_what_cannot_be_seen_cannot_be_related(
    company: Company, stranger: Company, people: dict[str, Person], home: str
) -> None:
    secret = add_list(company, "Secret", visibility="private")["uuid"]
    hidden, task = add_task(company, secret), add_task(company, home)
    theirs = add_task(stranger, add_list(stranger)["uuid"])
    gone = add_task(company, home)
    company.delete(path_of(gone))
    user = people["user"]
    for other in (hidden, theirs, gone, {"uuid": str(uuid.uuid4())}):
        problem = assert_problem(relate(user, task, "blocks", other), 422)
        assert problem["errors"]["json"] == {"other_uuid": ["There is no such task."]}
    assert_problem(relate(user, task, "blocks", task), 422)
    made = relate(company, hidden, "blocks", task)
    assert made.status_code == 201
    assert relations(user, task) == []
    assert relations(company, task) == [("blocked_by", hidden["uuid"])]
    assert_problem(user.get(f"{path_of(hidden)}/relations"), 404)
    assert_problem(user.delete(f"{path_of(task)}/relations/{made.json['uuid']}"), 404)
    assert_problem(people["read_only"].get(f"{path_of(hidden)}/relations"), 404)
    assert_problem(relate(people["read_only"], task, "blocks", task), 403)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "hates"}, "kind"),
        ({"kind": None}, "kind"),
        ({"other_uuid": "x"}, "other_uuid"),
        ({"other_uuid": None}, "other_uuid"),
        ({"task_uuid": "x"}, "task_uuid"),
    ],
)
def test_bad_relations_are_named(
    company: Company, home: str, body: dict[str, Any], field: str
) -> None:
    one, other = (add_task(company, home) for _ in range(2))
    whole = {"kind": "blocks", "other_uuid": other["uuid"]} | body
    problem = assert_problem(company.post(f"{path_of(one)}/relations", whole), 422)
    assert set(problem["errors"]["json"]) == {field}


def test_a_task_has_only_so_many(company: Company, home: str) -> None:
    task = add_task(company, home)
    body = {"atomic": True, "operations": []}
    body["operations"] = [{"kind": "create", "values": {"list_uuid": home, "title": "Other"}}] * 101
    results = company.post("/tasks/bulk", body).json["results"]
    *others, last = (result["task"] for result in results)
    for other in others:
        assert relate(company, task, "relates", other).status_code == 201
    problem = assert_problem(relate(company, last, "relates", task), 409)
    assert problem["type"] == "urn:todo:problem:too-many-relations"
