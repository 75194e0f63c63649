"""The order of tasks, their numbers, and moving them."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once, statuses, version
from tests.todo_app.todos.shapes import add_list, add_task, path_of


@pytest.fixture
def home(company: Company) -> str:
    """A list of its own for each test."""
    uuid: str = add_list(company, "Home")["uuid"]
    return uuid


def fill(company: Company, home: str, titles: str) -> dict[str, dict[str, Any]]:
    return {title: add_task(company, home, title) for title in titles}


def order(company: Company, home: str) -> str:
    query = f"/tasks/?list_uuid={home}&field=position&size=100"
    return "".join(task["title"] for task in company.get(query).json["items"])


def move(company: Company, task: dict[str, Any], **body: Any) -> Any:
    return company.post(f"{path_of(task)}/move", body)


def test_a_task_goes_after_before_and_to_the_end(company: Company, home: str) -> None:
    tasks = fill(company, home, "abcd")
    assert order(company, home) == "abcd"
    answer = move(company, tasks["d"], before_uuid=tasks["a"]["uuid"])
    assert (answer.status_code, version(answer)) == (200, 2)
    assert order(company, home) == "dabc"
    move(company, tasks["b"], after_uuid=tasks["d"]["uuid"])
    assert order(company, home) == "dbac"
    move(company, tasks["d"])
    assert order(company, home) == "bacd"
    add_task(company, home, "e")
    assert order(company, home) == "bacde"
    old = {"If-Match": '"1"'}
    assert_problem(company.post(f"{path_of(tasks['d'])}/move", {}, headers=old), 412)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_moves_give_the_order_that_they_say(company: Company, data: st.DataObject) -> None:
    home = add_list(company, "Random")["uuid"]
    tasks = fill(company, home, "abcdef")
    expected = list("abcdef")
    for _ in range(12):
        moved, anchor = data.draw(st.permutations("abcdef"))[:2]
        side = data.draw(st.sampled_from(["after_uuid", "before_uuid", None]))
        expected.remove(moved)
        if side is None:
            expected.append(moved)
            move(company, tasks[moved])
        else:
            expected.insert(expected.index(anchor) + (side == "after_uuid"), moved)
            move(company, tasks[moved], **{side: tasks[anchor]["uuid"]})
    assert order(company, home) == "".join(expected)


def test_a_task_goes_into_lists_sections_and_tasks(company: Company, home: str) -> None:
    section = company.post(f"/lists/{home}/sections", {"title": "Later"}).json["uuid"]
    other = add_list(company, "Other", symbol="OTH")["uuid"]
    tasks = fill(company, home, "abc")
    there = fill(company, other, "xy")
    placed = move(company, tasks["a"], section_uuid=section).json
    assert (placed["section_uuid"], order(company, home)) == (section, "bca")
    inner = move(company, tasks["b"], parent_uuid=tasks["a"]["uuid"]).json
    assert inner["parent_uuid"] == tasks["a"]["uuid"]
    gone = move(company, tasks["a"], list_uuid=other, before_uuid=there["y"]["uuid"]).json
    assert (gone["section_uuid"], gone["symbol"]) == (None, "OTH-3")
    assert company.get(path_of(tasks["b"])).json["list"]["uuid"] == other
    assert order(company, other).replace("b", "") == "xay"
    out = move(company, tasks["b"], parent_uuid=None).json
    assert out["parent_uuid"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"list_uuid": "theirs"},
        {"section_uuid": "elsewhere"},
        {"parent_uuid": "itself"},
        {"after_uuid": "elsewhere"},
        {"before_uuid": "theirs"},
        {"after_uuid": "itself"},
        {"position": "a0"},
        {"list_uuid": None},
        {"after_uuid": 1},
    ],
)
def test_places_that_are_none(
    company: Company, stranger: Company, home: str, body: dict[str, Any]
) -> None:
    task = add_task(company, home)
    names = {
        "itself": task["uuid"],
        "theirs": add_list(stranger)["uuid"],
        "elsewhere": add_task(company, add_list(company)["uuid"])["uuid"],
    }
    sent = {name: names.get(str(value), value) for name, value in body.items()}
    problem = assert_problem(move(company, task, **sent), 422)
    assert set(problem["errors"]["json"]) == set(body)
    both = {"after_uuid": task["uuid"], "before_uuid": task["uuid"]}
    assert_problem(move(company, task, **both), 422)
    assert company.get(path_of(task)).json == task


def test_nothing_goes_into_folders_and_archived_lists(company: Company, home: str) -> None:
    task = add_task(company, home)
    folder = add_list(company, "Folder", kind="folder")["uuid"]
    old = add_list(company, "Old")["uuid"]
    inside = add_task(company, old)
    company.post(f"/lists/{old}/archive")
    for target in (folder, old):
        assert_problem(move(company, task, list_uuid=target), 409)
        assert_problem(company.post("/tasks/", {"list_uuid": target, "title": "New"}), 409)
    assert_problem(company.patch(path_of(inside), {"title": "Late"}), 409)
    assert_problem(company.delete(path_of(inside)), 409)
    assert company.get(path_of(inside)).json == inside


@pytest.mark.parametrize("attempt", range(3))
def test_moved_at_once_tasks_keep_one_order(
    app: Flask, company: Company, home: str, attempt: int
) -> None:
    tasks = fill(company, home, "abcdef")
    body = {"after_uuid": tasks["a"]["uuid"]}
    answers = at_once(
        app,
        *[(company, lambda own, task=tasks[title]: move(own, task, **body)) for title in "bcdef"],
    )
    assert statuses(answers) == [200] * 5
    found = order(company, home)
    assert (found[0], sorted(found)) == ("a", list("abcdef"))
    query = f"/tasks/?list_uuid={home}&field=position&size=100"
    positions = [task["position"] for task in company.get(query).json["items"]]
    assert len(set(positions)) == 6


@pytest.mark.parametrize("attempt", range(3))
def test_lists_that_exchange_tasks_at_once_do_not_wait_for_ever(
    app: Flask, company: Company, attempt: int
) -> None:
    lists = [add_list(company, f"{number}")["uuid"] for number in range(2)]
    tasks = [add_task(company, lists[number % 2]) for number in range(6)]
    answers = at_once(
        app,
        *[
            (
                company,
                lambda own, task=task, n=number: move(own, task, list_uuid=lists[(n + 1) % 2]),
            )
            for number, task in enumerate(tasks)
        ],
    )
    assert statuses(answers) == [200] * 6
    totals = [company.get(f"/tasks/?list_uuid={one}").json["total"] for one in lists]
    assert totals == [3, 3]


def test_numbers_are_given_once_and_without_gaps(app: Flask, company: Company) -> None:
    home = add_list(company, "Numbers", symbol="NUM")["uuid"]
    body = {"list_uuid": home, "title": "New"}
    answers = at_once(app, *[(company, lambda own: own.post("/tasks/", body))] * 12)
    assert statuses(answers) == [201] * 12
    symbols = {answer.get_json()["symbol"] for answer in answers}
    assert symbols == {f"NUM-{number}" for number in range(1, 13)}
    first = next(answer.get_json() for answer in answers)
    company.delete(path_of(first))
    assert add_task(company, home)["symbol"] == "NUM-13"
    refused = company.post("/tasks/", {**body, "parent_uuid": first["uuid"]})
    assert refused.status_code == 422
    assert add_task(company, home)["symbol"] == "NUM-14"


def test_a_list_that_gets_a_symbol_gives_it_to_its_tasks(company: Company, home: str) -> None:
    task = add_task(company, home)
    before = company.get(f"/lists/{home}").headers["ETag"]
    add_task(company, home)
    assert company.get(f"/lists/{home}").headers["ETag"] == before
    assert task["symbol"] is None
    company.patch(f"/lists/{home}", {"symbol": "LATE"})
    assert company.get(path_of(task)).json["symbol"] == "LATE-1"
