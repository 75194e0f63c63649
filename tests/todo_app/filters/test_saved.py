"""`/filters`: kept filters, of one person or for all."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once, statuses
from todo_app.filters import saved


def add(person: Any, title: str = "Urgent", text: str = "priority >= 4", **more: Any) -> str:
    answer = person.post("/filters/", {"title": title, "filter": text, **more})
    assert answer.status_code == 201, answer.json
    return str(answer.json["uuid"])


@pytest.fixture
def tasks(acme: Company) -> str:
    """A list with an urgent task of acme's and one that can wait."""
    home = str(acme.post("/lists/", {"title": "Home"}).json["uuid"])
    for title, priority in (("Urgent", 5), ("Later", 1)):
        body = {"title": title, "priority": priority, "list_uuid": home}
        acme.post("/tasks/", {**body, "assignee_uuids": [acme.uuid]})
    return home


def found(person: Any, **query: str) -> list[str]:
    answer = person.get("/tasks/", query_string=query)
    assert answer.status_code == 200, answer.json
    return sorted(task["title"] for task in answer.json["items"])


def test_a_kept_filter_finds_what_its_text_says(acme: Company, tasks: str) -> None:
    kept = add(acme)
    assert found(acme, filter_uuid=kept) == ["Urgent"]
    assert found(acme, filter_uuid=kept, filter="priority < 4") == []
    acme.patch(f"/filters/{kept}", {"filter": "priority < 4"})
    assert found(acme, filter_uuid=kept) == ["Later"]
    acme.delete(f"/filters/{kept}")
    assert_problem(acme.get("/tasks/", query_string={"filter_uuid": kept}), 422)


def test_a_shared_one_asks_for_whoever_asks(acme: Company, tasks: str) -> None:
    person = acme.add_person()
    kept = add(acme, text="assignee = me", is_shared=True)
    assert found(acme, filter_uuid=kept) == ["Later", "Urgent"]
    assert found(person, filter_uuid=kept) == []
    acme.patch(f"/lists/{tasks}", {"visibility": "private"})
    everything = add(acme, text="priority >= 0", is_shared=True)
    assert found(person, filter_uuid=everything) == []


def test_others_neither_see_nor_change_ones_own(acme: Company, globex: Company) -> None:
    kept = add(acme)
    for somebody in (acme.add_person("master_admin"), globex):
        assert somebody.get("/filters/").json["total"] == 0
        assert_problem(somebody.get(f"/filters/{kept}"), 404)
        assert_problem(somebody.get("/tasks/", query_string={"filter_uuid": kept}), 422)
        assert_problem(somebody.patch(f"/filters/{kept}", {"title": "Mine"}), 404)
        assert_problem(somebody.delete(f"/filters/{kept}"), 404)
        assert_problem(somebody.post(f"/filters/{kept}/move", {}), 404)


def test_a_shared_one_is_seen_by_all_and_changed_by_its_owner(acme: Company) -> None:
    person = acme.add_person()
    kept = add(acme, is_shared=True)
    shown = person.get(f"/filters/{kept}").json
    assert shown["owner"]["uuid"] == acme.uuid
    assert person.get("/filters/").json["total"] == 1
    for answer in (
        person.patch(f"/filters/{kept}", {"title": "Mine"}),
        person.delete(f"/filters/{kept}"),
        person.post(f"/filters/{kept}/move", {}),
    ):
        assert_problem(answer, 403)


def test_they_keep_the_order_that_their_owner_gives_them(acme: Company) -> None:
    a, b, c = (add(acme, title) for title in "ABC")

    def titles() -> str:
        return "".join(one["title"] for one in acme.get("/filters/").json["items"])

    assert titles() == "ABC"
    assert acme.post(f"/filters/{c}/move", {"before_uuid": a}).status_code == 200
    assert titles() == "CAB"
    acme.post(f"/filters/{c}/move", {"after_uuid": b})
    assert titles() == "ABC"
    acme.post(f"/filters/{a}/move", {})
    assert titles() == "BCA"
    theirs = add(acme.add_person(), is_shared=True)
    assert_problem(acme.post(f"/filters/{a}/move", {"before_uuid": theirs}), 422)


def test_search_looks_into_titles(acme: Company) -> None:
    add(acme, "100 % mine")
    add(acme, "Other")
    answer = acme.get("/filters/", query_string={"search": "0 % M"})
    assert [one["title"] for one in answer.json["items"]] == ["100 % mine"]


def test_writes_are_safe(app: Flask, acme: Company) -> None:
    kept = add(acme)
    tag = acme.get(f"/filters/{kept}").headers["ETag"]
    answers = at_once(
        app,
        *[
            (
                acme,
                lambda me: me.patch(f"/filters/{kept}", {"title": "B"}, headers={"If-Match": tag}),
            )
            for _ in range(4)
        ],
    )
    assert statuses(answers) == [200, 412, 412, 412]
    assert acme.patch(f"/filters/{kept}", {}).json["title"] == "B"
    assert_problem(acme.delete(f"/filters/{kept}", headers={"If-Match": tag}), 412)


def test_there_are_at_most_so_many(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved, "MAX_FILTERS", 2)
    add(acme)
    body = {"title": "A", "filter": "priority = 1"}
    answers = at_once(app, *[(acme, lambda me: me.post("/filters/", body)) for _ in range(3)])
    assert statuses(answers) == [201, 409, 409]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"filter": "priority = 1"}, "title"),
        ({"title": "A"}, "filter"),
        ({"title": "", "filter": "priority = 1"}, "title"),
        ({"title": "A" * 10_000, "filter": "priority = 1"}, "title"),
        ({"title": "A", "filter": "priority = 1", "is_shared": "yes"}, "is_shared"),
        ({"title": "A", "filter": "priority = 1", "owner": str(uuid.UUID(int=1))}, "owner"),
    ],
)
def test_bad_bodies_are_422(acme: Company, body: dict[str, Any], where: str) -> None:
    assert where in assert_problem(acme.post("/filters/", body), 422)["errors"]["json"]


@pytest.mark.parametrize("text", ["nonsense", "priority >=", "priority = x", "(" * 900])
def test_what_is_no_filter_is_not_kept(acme: Company, text: str) -> None:
    kept = add(acme)
    problem = assert_problem(acme.post("/filters/", {"title": "A", "filter": text}), 422)
    assert "column" in str(problem).lower()
    assert_problem(acme.patch(f"/filters/{kept}", {"filter": text}), 422)
    assert acme.get(f"/filters/{kept}").json["filter"] == "priority >= 4"
