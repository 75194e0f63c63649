"""Tasks inside tasks: to any depth, in one list, and never in a circle."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once, statuses
from tests.todo_app.todos.shapes import add_list, add_task, path_of

DEPTH = 60


@pytest.fixture
def home(company: Company) -> str:
    """A list of its own for each test."""
    uuid: str = add_list(company, "Home")["uuid"]
    return uuid


def put(company: Company, task: dict[str, Any], parent: dict[str, Any] | None) -> Any:
    """Put a task into another, or to the top."""
    return company.patch(path_of(task), {"parent_uuid": parent and parent["uuid"]})


def chain(company: Company, home: str, length: int) -> list[dict[str, Any]]:
    """Tasks of which each is inside the one before."""
    found: list[dict[str, Any]] = []
    for number in range(length):
        parent = {"parent_uuid": found[-1]["uuid"]} if found else {}
        found.append(add_task(company, home, f"Level {number}", **parent))
    return found


def read(company: Company, task: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = company.get(path_of(task)).json
    return shown


def test_a_task_shows_its_parent_and_counts_what_is_inside(company: Company, home: str) -> None:
    parent = add_task(company, home)
    children = [add_task(company, home, parent_uuid=parent["uuid"]) for _ in range(3)]
    assert {child["parent_uuid"] for child in children} == {parent["uuid"]}
    company.post(f"{path_of(children[0])}/complete")
    company.delete(path_of(children[1]))
    add_task(company, home, "Deeper", parent_uuid=children[2]["uuid"])
    assert read(company, parent)["subtasks"] == {"total": 2, "done": 1}
    page = company.get(f"/tasks/?parent_uuid={parent['uuid']}").json
    assert {task["uuid"] for task in page["items"]} == {children[0]["uuid"], children[2]["uuid"]}
    assert company.get(f"/tasks/?list_uuid={home}&is_subtask=false").json["total"] == 1


def test_completing_a_parent_leaves_its_children(company: Company, home: str) -> None:
    parent, child = chain(company, home, 2)
    company.post(f"{path_of(parent)}/complete")
    assert read(company, child) == child


def test_no_task_is_inside_itself_however_deep(company: Company, home: str) -> None:
    tasks = chain(company, home, DEPTH)
    for target in (tasks[0], tasks[1], tasks[DEPTH // 2], tasks[-1]):
        problem = assert_problem(put(company, tasks[0], target), 422)
        assert problem["type"] == "urn:todo:problem:cycle"
        assert set(problem["errors"]["json"]) == {"parent_uuid"}
        body = {"parent_uuid": target["uuid"]}
        assert_problem(company.post(f"{path_of(tasks[0])}/move", body), 422)
    assert put(company, tasks[-1], tasks[0]).status_code == 200
    assert put(company, tasks[1], None).json["parent_uuid"] is None
    assert put(company, tasks[0], tasks[-2]).status_code == 200


@pytest.mark.parametrize("attempt", range(3))
def test_no_circle_is_made_at_one_instant(
    app: Flask, company: Company, home: str, attempt: int
) -> None:
    tasks = [add_task(company, home, f"{number}") for number in range(4)]
    pairs = zip(tasks, [*tasks[1:], tasks[0]], strict=True)
    answers = at_once(
        app,
        *[
            (company, lambda own, task=task, into=into: put(own, task, into))
            for task, into in pairs
        ],
    )
    assert statuses(answers) == [200, 200, 200, 422]
    parents = {task["uuid"]: read(company, task)["parent_uuid"] for task in tasks}
    assert list(parents.values()).count(None) == 1


def test_a_parent_is_of_the_same_list(company: Company, stranger: Company, home: str) -> None:
    task = add_task(company, home)
    elsewhere = add_task(company, add_list(company)["uuid"])
    gone = add_task(company, home, "Gone")
    company.delete(path_of(gone))
    theirs = add_task(stranger, add_list(stranger)["uuid"])
    for other in (elsewhere, gone, theirs):
        problem = assert_problem(put(company, task, other), 422)
        assert problem["errors"]["json"] == {"parent_uuid": ["There is no such task in this list."]}
        body = {"list_uuid": home, "title": "New", "parent_uuid": other["uuid"]}
        assert_problem(company.post("/tasks/", body), 422)


def test_a_subtree_goes_to_another_list_as_a_whole(company: Company, home: str) -> None:
    tasks = chain(company, home, 3)
    company.delete(path_of(tasks[2]))
    other = add_list(company, "Other", symbol="SUB")
    first = add_task(company, other["uuid"], "First")
    answer = company.patch(path_of(tasks[1]), {"list_uuid": other["uuid"]})
    assert (answer.status_code, answer.json["parent_uuid"]) == (200, None)
    assert (first["symbol"], answer.json["symbol"]) == ("SUB-1", "SUB-2")
    back = company.post(f"{path_of(tasks[2])}/restore").json
    assert (back["list"]["uuid"], back["symbol"]) == (other["uuid"], "SUB-3")
    assert back["parent_uuid"] == tasks[1]["uuid"]
    assert read(company, tasks[0])["subtasks"]["total"] == 0
    body = {"list_uuid": home, "parent_uuid": tasks[2]["uuid"]}
    assert_problem(company.patch(path_of(tasks[1]), body), 422)
    again = company.patch(path_of(tasks[1]), {"list_uuid": home, "parent_uuid": tasks[0]["uuid"]})
    assert again.json["parent_uuid"] == tasks[0]["uuid"]


def test_what_is_deleted_together_comes_back_together(company: Company, home: str) -> None:
    top, middle, bottom = chain(company, home, 3)
    side = add_task(company, home, "Side", parent_uuid=top["uuid"])
    company.delete(path_of(side))
    company.delete(path_of(middle))
    company.delete(path_of(top))
    for task in (top, middle, bottom, side):
        assert_problem(company.get(path_of(task)), 404)
    assert company.get(f"/tasks/?list_uuid={home}").json["total"] == 0
    assert company.post(f"{path_of(middle)}/restore").json["parent_uuid"] is None
    assert read(company, bottom)["parent_uuid"] == middle["uuid"]
    assert_problem(company.get(path_of(side)), 404)
    assert company.post(f"{path_of(top)}/restore").json["subtasks"] == {"total": 0, "done": 0}
    assert company.post(f"{path_of(side)}/restore").json["parent_uuid"] == top["uuid"]
    untouched = company.post(f"{path_of(side)}/restore")
    assert (untouched.status_code, untouched.json["parent_uuid"]) == (200, top["uuid"])


@pytest.mark.parametrize("attempt", range(3))
def test_no_child_comes_to_a_task_that_is_being_deleted(
    app: Flask, company: Company, home: str, attempt: int
) -> None:
    parent, other = add_task(company, home, "Parent"), add_task(company, home, "Other")
    new = {"list_uuid": home, "title": "New", "parent_uuid": parent["uuid"]}
    deleted, added, moved = at_once(
        app,
        (company, lambda own: own.delete(path_of(parent))),
        (company, lambda own: own.post("/tasks/", new)),
        (company, lambda own: put(own, other, parent)),
    )
    assert deleted.status_code == 204
    assert added.status_code in (201, 422)
    assert moved.status_code in (200, 422)
    left = company.get(f"/tasks/?list_uuid={home}").json["items"]
    assert {task["parent_uuid"] for task in left} <= {None}
    assert len(left) == (moved.status_code == 422)
