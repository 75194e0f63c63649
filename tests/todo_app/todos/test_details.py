"""Assignees, tags, and values of a list's own fields."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, at_once, statuses, version
from tests.todo_app.lists.kit import share
from tests.todo_app.todos.shapes import add_list, add_task, path_of


@pytest.fixture(scope="module")
def home(company: Company) -> str:
    uuid: str = add_list(company, "Home")["uuid"]
    return uuid


@pytest.fixture(scope="module")
def tags(company: Company) -> list[dict[str, Any]]:
    found = []
    for name in ("beta", "Alpha", "gamma"):
        answer = company.post("/tags", {"name": f"{name} {uuid.uuid4().hex[:8]}"})
        assert answer.status_code == 201, answer.text
        found.append(answer.json)
    return found


@pytest.fixture
def fields(company: Company) -> str:
    """A list with a field of each kind."""
    list_uuid: str = add_list(company, "Fields")["uuid"]
    kinds = {"Note": "text", "Cost": "number", "Day": "date", "Paid": "boolean", "Risk": "choice"}
    for name, kind in kinds.items():
        options = {"options": ["low", "high"]} if kind == "choice" else {}
        body = {"name": name, "kind": kind, **options}
        answer = company.post(f"/lists/{list_uuid}/fields", body)
        assert answer.status_code == 201, answer.text
    return list_uuid


def names(task: dict[str, Any]) -> list[str]:
    return [person["uuid"] for person in task["assignees"]]


def test_a_task_has_many_assignees(company: Company, people: dict[str, Person], home: str) -> None:
    both = [people["user"].uuid, people["admin"].uuid]
    answer = company.post(
        "/tasks/", {"list_uuid": home, "title": "Both", "assignee_uuids": [*both, both[0]]}
    )
    assert sorted(names(answer.json)) == sorted(both)
    path = path_of(answer.json)
    changed = company.patch(path, {"assignee_uuids": [company.uuid, both[0]]})
    assert sorted(names(changed.json)) == sorted([company.uuid, both[0]])
    assert version(changed) == 2
    same = company.patch(path, {"assignee_uuids": [both[0], company.uuid]})
    assert version(same) == 2
    assert names(company.patch(path, {"assignee_uuids": []}).json) == []
    found = company.get(f"/tasks/?assignee_uuid={both[1]}&list_uuid={home}").json
    assert found["total"] == 0


def test_assignees_of_a_private_list_can_see_it(
    company: Company, people: dict[str, Person]
) -> None:
    secret = add_list(company, "Secret", visibility="private")
    outside, member = people["user"], people["admin"]
    body = {"list_uuid": secret["uuid"], "title": "Hush"}
    problem = assert_problem(
        company.post("/tasks/", {**body, "assignee_uuids": [outside.uuid]}), 422
    )
    assert problem["errors"]["json"] == {"assignee_uuids": ["This user cannot see the list."]}
    task = add_task(company, secret["uuid"], assignee_uuids=[company.uuid])
    for person in (outside, member):
        assert_problem(person.get(path_of(task)), 404)
        assert_problem(person.patch(path_of(task), {"title": "Seen"}), 404)
        assert_problem(person.post("/tasks/", body), 422)
        assert person.get(f"/tasks/?list_uuid={secret['uuid']}").json["total"] == 0
    share(company, secret, member, "read")
    assert member.get(path_of(task)).json == task
    assert_problem(member.patch(path_of(task), {"title": "Seen"}), 403)
    assert_problem(member.delete(path_of(task)), 403)
    assert_problem(member.post("/tasks/", body), 403)
    changed = company.patch(path_of(task), {"assignee_uuids": [member.uuid]})
    assert names(changed.json) == [member.uuid]


def test_who_cannot_see_the_new_list_is_assignee_no_more(
    company: Company, people: dict[str, Person], home: str
) -> None:
    secret = add_list(company, "Secret", visibility="private")["uuid"]
    both = [company.uuid, people["user"].uuid]
    task = add_task(company, home, assignee_uuids=both)
    child = add_task(company, home, assignee_uuids=both, parent_uuid=task["uuid"])
    moved = company.patch(path_of(task), {"list_uuid": secret})
    assert names(moved.json) == [company.uuid]
    assert names(company.get(path_of(child)).json) == [company.uuid]


def test_tags_are_in_the_order_of_their_names(
    company: Company, home: str, tags: list[dict[str, Any]]
) -> None:
    wanted = [tag["uuid"] for tag in tags]
    task = add_task(company, home, tag_uuids=[wanted[2], wanted[0], wanted[1]])
    shown = [tag["name"] for tag in task["tags"]]
    assert shown == sorted((tag["name"] for tag in tags), key=str.lower)
    answer = company.patch(path_of(task), {"tag_uuids": wanted[:1]})
    assert [tag["uuid"] for tag in answer.json["tags"]] == wanted[:1]
    assert version(answer) == 2
    found = company.get(f"/tasks/?tag_uuid={wanted[0]}").json["items"]
    assert task["uuid"] in [one["uuid"] for one in found]
    assert company.get(f"/tasks/?tag_uuid={wanted[1]}&list_uuid={home}").json["total"] == 0


def test_another_companys_tag_is_none(company: Company, stranger: Company, home: str) -> None:
    tag = stranger.post("/tags", {"name": uuid.uuid4().hex}).json["uuid"]
    task = add_task(company, home)
    problem = assert_problem(company.patch(path_of(task), {"tag_uuids": [tag]}), 422)
    assert problem["errors"]["json"] == {"tag_uuids": ["There is no such tag."]}


@pytest.mark.parametrize("attempt", range(3))
def test_a_tag_is_deleted_while_tasks_get_it(
    app: Flask, company: Company, home: str, attempt: int
) -> None:
    tag = company.post("/tags", {"name": uuid.uuid4().hex}).json["uuid"]
    tasks = [add_task(company, home) for _ in range(3)]
    company.patch(path_of(tasks[0]), {"tag_uuids": [tag]})
    answers = at_once(
        app,
        (company, lambda own: own.delete(f"/tags/{tag}")),
        *[
            (company, lambda own, task=task: own.patch(path_of(task), {"tag_uuids": [tag]}))
            for task in tasks
        ],
    )
    assert answers[0].status_code == 204
    assert {answer.status_code for answer in answers[1:]} <= {200, 422}
    assert all(company.get(path_of(task)).json["tags"] == [] for task in tasks)


VALUES = {"Note": "Text", "Cost": 9.5, "Day": "2026-02-28", "Paid": False, "Risk": "low"}


def test_values_of_a_lists_own_fields(company: Company, fields: str) -> None:
    task = add_task(company, fields, fields=VALUES)
    assert task["fields"] == VALUES
    answer = company.patch(path_of(task), {"fields": {"Cost": 10, "Note": None}})
    expected = {**VALUES, "Cost": 10}
    del expected["Note"]
    assert answer.json["fields"] == expected
    assert version(answer) == 2
    assert version(company.patch(path_of(task), {"fields": {"Cost": 10}})) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Note", 1),
        ("Note", "x" * 1001),
        ("Note", "\x00"),
        ("Note", ["x"]),
        ("Cost", "9"),
        ("Cost", True),
        ("Cost", 10**16),
        ("Day", "2026-02-30"),
        ("Day", "20260228"),
        ("Day", "2026-02-28T00:00:00Z"),
        ("Day", 20260228),
        ("Paid", "true"),
        ("Paid", 0),
        ("Risk", "medium"),
        ("Risk", 0),
        ("Risk", ["low"]),
        ("risk", "low"),
        ("Nothing", None),
    ],
)
def test_values_that_a_field_cannot_have(
    company: Company, fields: str, name: str, value: Any
) -> None:
    task = add_task(company, fields, fields=VALUES)
    answer = company.patch(path_of(task), {"title": "Changed", "fields": {name: value}})
    problem = assert_problem(answer, 422)
    assert set(problem["errors"]["json"]["fields"]) == {name}
    assert company.get(path_of(task)).json == task


def test_values_go_along_to_fields_of_the_same_name_and_kind(company: Company, fields: str) -> None:
    other = add_list(company, "Other")["uuid"]
    bodies = (
        {"name": "note", "kind": "text"},
        {"name": "Cost", "kind": "text"},
        {"name": "Risk", "kind": "choice", "options": ["low"]},
    )
    for body in bodies:
        assert company.post(f"/lists/{other}/fields", body).status_code == 201
    low = add_task(company, fields, fields=VALUES)
    high = add_task(company, fields, fields={"Risk": "high"})
    assert company.patch(path_of(low), {"list_uuid": other}).json["fields"] == {
        "note": "Text",
        "Risk": "low",
    }
    assert company.patch(path_of(high), {"list_uuid": other}).json["fields"] == {}


@pytest.mark.parametrize("attempt", range(3))
def test_assignees_and_values_written_at_once_are_all_kept(
    app: Flask, company: Company, people: dict[str, Person], fields: str, attempt: int
) -> None:
    task = add_task(company, fields)
    changes = [{"fields": {name: value}} for name, value in VALUES.items()]
    changes.append({"assignee_uuids": [company.uuid]})
    answers = at_once(
        app,
        *[
            (company, lambda own, change=change: own.patch(path_of(task), change))
            for change in changes
        ],
    )
    assert statuses(answers) == [200] * 6
    shown = company.get(path_of(task))
    assert (shown.json["fields"], names(shown.json)) == (VALUES, [company.uuid])
    assert version(shown) == 7


def test_markdown_is_shown_as_safe_html(company: Company, home: str) -> None:
    text = "2 *litres*\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))"
    task = add_task(company, home, description=text)
    html = task["description_html"]
    assert task["description"] == text
    assert "<em>litres</em>" in html
    assert "<script" not in html
    assert "javascript:" not in html.replace("(javascript:", "")
    items = company.get(f"/tasks/?list_uuid={home}").json["items"]
    assert all("description_html" not in item for item in items)


def test_a_description_that_becomes_huge_is_refused(company: Company, home: str) -> None:
    link = "[a]: http://example.com/" + "x" * 9_000 + "\n\n"
    bomb = link + "[a] " * 2_500
    body = {"list_uuid": home, "title": "Bomb", "description": bomb}
    problem = assert_problem(company.post("/tasks/", body), 422)
    assert set(problem["errors"]["json"]) == {"description"}
