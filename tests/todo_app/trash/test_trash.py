"""`/trash`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import Company, Person
from tests.todo_app.helpers import BAD_QUERIES, assert_problem
from tests.todo_app.lists.kit import share
from tests.todo_app.todos.shapes import add_list, add_task, path_of


def trash(person: Person, query: str = "") -> list[tuple[str, str]]:
    page = person.get(f"/trash/?size=100{query}").json
    assert page["total"] == len(page["items"])
    return [(item["kind"], item["title"]) for item in page["items"]]


def test_what_was_deleted_is_in_the_trash_once(acme: Company) -> None:
    home = add_list(acme, "Home")["uuid"]
    top = add_task(acme, home, "Top")
    add_task(acme, home, "Child", parent_uuid=top["uuid"])
    early = add_task(acme, home, "Early", parent_uuid=top["uuid"])
    outer = add_list(acme, "Outer")
    add_list(acme, "Inner", parent_uuid=outer["uuid"])
    inside = add_task(acme, outer["uuid"], "Inside")
    assert trash(acme) == []
    acme.delete(path_of(early))
    acme.delete(path_of(top))
    acme.delete(path_of(inside))
    acme.delete(path_of(outer))
    assert trash(acme) == [("task", "Early"), ("task", "Top"), ("list", "Outer")]
    assert trash(acme, "&field=deleted_at&order=desc")[0] == ("list", "Outer")
    assert trash(acme, "&field=title&kind=task") == [("task", "Early"), ("task", "Top")]
    assert trash(acme, "&search=OUT") == [("list", "Outer")]
    item = acme.get("/trash/?kind=task&search=top").json["items"][0]
    assert (item["uuid"], item["list_uuid"]) == (top["uuid"], home)
    acme.post(f"{path_of(outer)}/restore")
    assert ("task", "Inside") in trash(acme)
    acme.post(f"{path_of(top)}/restore")
    assert trash(acme) == [("task", "Early"), ("task", "Inside")]


def test_the_trash_of_others_is_theirs(acme: Company, globex: Company) -> None:
    person = acme.add_person()
    secret = add_list(acme, "Secret", visibility="private")
    task, gone = add_task(acme, secret["uuid"]), add_list(acme, "Gone", visibility="private")
    acme.delete(path_of(task))
    acme.delete(path_of(gone))
    for stranger in (person, globex):
        assert trash(stranger) == []
        assert_problem(stranger.post(f"{path_of(task)}/restore"), 404)
    share(acme, secret, person, "read")
    assert trash(person) == [("task", task["title"])]
    assert_problem(person.post(f"{path_of(task)}/restore"), 403)


def test_a_task_of_a_list_in_the_trash_waits_for_it(acme: Company) -> None:
    home = add_list(acme, "Home")
    task = add_task(acme, home["uuid"])
    acme.delete(path_of(task))
    acme.delete(path_of(home))
    assert_problem(acme.post(f"{path_of(task)}/restore"), 404)
    acme.post(f"{path_of(home)}/restore")
    assert acme.post(f"{path_of(task)}/restore").json["uuid"] == task["uuid"]


def test_restoring_obeys_if_match(acme: Company) -> None:
    task = add_task(acme, add_list(acme)["uuid"])
    acme.delete(path_of(task))
    path = f"{path_of(task)}/restore"
    assert_problem(acme.post(path, headers={"If-Match": '"1"'}), 412)
    assert acme.post(path, headers={"If-Match": '"2"'}).status_code == 200


@pytest.mark.parametrize("query", [*BAD_QUERIES, "kind=tag", "kind="])
def test_bad_parameters_are_named(company: Company, query: str) -> None:
    problem: dict[str, Any] = assert_problem(company.get(f"/trash/?{query}"), 422)
    assert set(problem["errors"]["query"]) == {query.partition("=")[0]}
