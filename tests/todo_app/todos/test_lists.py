"""`/lists`: what each endpoint does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, version
from tests.todo_app.todos.shapes import add_list, add_task, path_of

FIELDS = {
    "uuid",
    "title",
    "description",
    "kind",
    "visibility",
    "access",
    "parent_uuid",
    "position",
    "color",
    "icon",
    "symbol",
    "is_favourite",
    "archived_at",
    "created_by",
    "created_at",
    "updated_at",
}


def test_a_new_list(people: dict[str, Person]) -> None:
    person = people["user"]
    body = {"title": "  Groceries ", "description": "For the week", "color": "#1E90FF"}
    answer = person.post("/lists/", body)
    assert answer.status_code == 201
    assert set(answer.json) == FIELDS
    assert answer.json["title"] == "Groceries"
    assert answer.json["description"] == "For the week"
    assert answer.json["color"] == "#1e90ff"
    creator = {"uuid": person.uuid, "first_name": "Grace", "last_name": "Hopper"}
    assert answer.json["created_by"] == creator
    assert answer.json["created_at"].endswith("+00:00")
    assert version(answer) == 1
    one = person.get(path_of(answer.json))
    assert (one.status_code, one.json) == (200, answer.json)


def test_a_title_is_enough(company: Company) -> None:
    todo_list = add_list(company, "Bare")
    assert (todo_list["description"], todo_list["color"]) == (None, None)


def test_patch_changes_only_what_is_sent(company: Company) -> None:
    todo_list = add_list(company, "Before", description="Kept", color="#000000")
    path = path_of(todo_list)
    changed = company.patch(path, {"title": "After"})
    assert changed.status_code == 200
    assert version(changed) == 2
    expected = {**todo_list, "title": "After", "updated_at": changed.json["updated_at"]}
    assert changed.json == expected == company.get(path).json
    assert changed.json["updated_at"] > todo_list["updated_at"]
    emptied = company.patch(path, {"description": None, "color": None}).json
    assert (emptied["description"], emptied["color"]) == (None, None)


@pytest.mark.parametrize("body", [{}, {"title": "Same"}, None])
def test_a_patch_that_changes_nothing_keeps_the_version(company: Company, body: Any) -> None:
    todo_list = add_list(company, "Same")
    answer = company.patch(path_of(todo_list), body)
    assert answer.status_code == 200
    assert (answer.json, version(answer)) == (todo_list, 1)


def test_deleting_a_list_deletes_its_tasks(company: Company) -> None:
    gone, kept = add_list(company, "Gone"), add_list(company, "Kept")
    tasks = [add_task(company, gone["uuid"], f"{number}") for number in range(3)]
    other = add_task(company, kept["uuid"])
    answer = company.delete(path_of(gone))
    assert (answer.status_code, answer.data) == (204, b"")
    for row in (gone, *tasks):
        assert_problem(company.get(path_of(row)), 404)
    assert_problem(company.delete(path_of(gone)), 404)
    assert company.get(path_of(other)).json == other
    assert company.get(f"/tasks/?list_uuid={gone['uuid']}").json["total"] == 0


def test_a_page_of_lists(acme: Company) -> None:
    lists = [add_list(acme, title) for title in ("B", "a", "C")]
    page = acme.get("/lists/?size=2&field=created_at").json
    assert page == {"items": lists[:2], "total": 3, "page": 1, "size": 2, "pages": 2}
    last = acme.get("/lists/?size=2&field=created_at&page=2").json
    assert last["items"] == lists[2:]
    beyond = acme.get("/lists/?page=9&size=2").json
    assert beyond == {"items": [], "total": 3, "page": 9, "size": 2, "pages": 2}


@pytest.mark.parametrize("field", ["title", "created_at", "updated_at"])
def test_the_two_orders_mirror_each_other(acme: Company, field: str) -> None:
    for title in ("C", "A", "B"):
        add_list(acme, title)
    up, down = (
        [row["title"] for row in acme.get(f"/lists/?field={field}&order={order}").json["items"]]
        for order in ("asc", "desc")
    )
    assert up == down[::-1] == (["A", "B", "C"] if field == "title" else ["C", "A", "B"])


def test_search_looks_into_title_and_description(acme: Company) -> None:
    first = add_list(acme, "Milk and honey")
    second = add_list(acme, "Shopping", description="MILK")
    add_list(acme, "Other")
    page = acme.get("/lists/?search=milk&field=created_at").json
    assert page["items"] == [first, second]


def test_work_of_a_deleted_person_keeps_its_author(company: Company) -> None:
    person = company.add_person()
    todo_list = add_list(person)
    task = add_task(person, todo_list["uuid"], assignee_uuids=[person.uuid])
    company.delete(f"/users/{person.uuid}")
    assert company.get(path_of(todo_list)).json == todo_list
    assert company.get(path_of(task)).json == task


@pytest.mark.parametrize("title", ["牛乳", "🥛" * 255, "'; DROP TABLE lists; --", "a\tb\nc", "<b>"])
def test_any_title_comes_back_as_it_was(company: Company, title: str) -> None:
    assert add_list(company, title)["title"] == title
