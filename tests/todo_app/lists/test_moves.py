"""The order of lists, and of a person's favourites."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import (
    LONE_SURROGATE,
    RAW_BODIES,
    assert_problem,
    assert_unreadable,
    at_once,
    inside,
    send_raw,
    statuses,
    version,
)
from tests.todo_app.lists.kit import Row, add_folder, add_private, move, titles
from tests.todo_app.todos.shapes import add_list, path_of
from todo_app.database import db
from todo_app.todos.models import TodoList


def made(company: Company, letters: str) -> dict[str, Row]:
    return {letter: add_list(company, letter) for letter in letters}


def test_lists_are_in_the_order_in_which_people_put_them(acme: Company) -> None:
    rows = made(acme, "ABCD")
    assert titles(acme) == list("ABCD")
    moves: list[tuple[str, dict[str, Any], str]] = [
        ("D", {"before_uuid": rows["A"]["uuid"]}, "DABC"),
        ("A", {"after_uuid": rows["C"]["uuid"]}, "DBCA"),
        ("B", {"after_uuid": rows["D"]["uuid"]}, "DBCA"),
        ("D", {}, "BCAD"),
        ("D", {"after_uuid": None, "before_uuid": None}, "BCAD"),
        ("A", {"before_uuid": rows["C"]["uuid"]}, "BACD"),
    ]
    for letter, where, expected in moves:
        answer = move(acme, rows[letter], **where)
        assert answer.status_code == 200
        assert titles(acme) == list(expected), (letter, where)
        assert answer.json["position"] == acme.get(path_of(rows[letter])).json["position"]
    assert titles(acme, "order=desc") == list("DCAB")


def test_many_moves_keep_the_order(acme: Company) -> None:
    rows = made(acme, "ABCDE")
    order, chance = list("ABCDE"), random.Random(5)
    for _ in range(40):
        moved, beside = chance.sample(order, 2)
        where = chance.choice(["after_uuid", "before_uuid"])
        assert move(acme, rows[moved], **{where: rows[beside]["uuid"]}).status_code == 200
        order.remove(moved)
        order.insert(order.index(beside) + (where == "after_uuid"), moved)
    assert titles(acme) == order


def test_there_is_room_between_lists_with_one_position(app: Flask, acme: Company) -> None:
    rows = made(acme, "ABCD")
    with inside(app, acme.slug):
        db.session.execute(sa.update(TodoList).values(position="a0"))
    answer = move(acme, rows["D"], after_uuid=rows["A"]["uuid"])
    assert answer.status_code == 200
    assert titles(acme) == list("ADBC")
    positions = [row["position"] for row in acme.get("/lists/").json["items"]]
    assert positions == sorted(set(positions))
    changed = [acme.get(path_of(rows[letter])) for letter in "AB"]
    assert max(map(version, changed)) == 2


@pytest.mark.parametrize("attempt", range(3))
def test_two_put_into_one_gap_at_once_have_an_order(
    app: Flask, acme: Company, attempt: int
) -> None:
    rows = made(acme, "ABCD")
    answers = at_once(
        app,
        *[
            (acme, lambda own, x=letter: move(own, rows[x], after_uuid=rows["A"]["uuid"]))
            for letter in "CD"
        ],
    )
    assert statuses(answers) == [200, 200]
    order = titles(acme)
    assert order in (list("ACDB"), list("ADCB"))
    assert len({answer.get_json()["position"] for answer in answers}) == 2


def test_lists_made_at_once_have_an_order(app: Flask, acme: Company) -> None:
    add = (acme, lambda own: own.post("/lists/", {"title": "New"}))
    answers = at_once(app, *[add] * 4)
    assert statuses(answers) == [201] * 4
    assert len({answer.get_json()["position"] for answer in answers}) == 4


def test_neighbours_are_those_of_the_same_place(company: Company, stranger: Company) -> None:
    folder = add_folder(company)
    inner, outer = add_list(company, parent_uuid=folder["uuid"]), add_list(company)
    beside = {"after_uuid": inner["uuid"]}
    answer = move(company, outer, **beside)
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"after_uuid"}
    assert move(company, outer, **beside, parent_uuid=folder["uuid"]).status_code == 200
    for neighbour in (str(uuid.uuid4()), add_list(stranger)["uuid"], outer["uuid"]):
        answer = move(company, outer, before_uuid=neighbour)
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"before_uuid"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"after_uuid": "x"}, "after_uuid"),
        ({"before_uuid": 1}, "before_uuid"),
        ({"parent_uuid": "x"}, "parent_uuid"),
        ({"position": "a1"}, "position"),
        ({"after_uuid": str(uuid.uuid4()), "before_uuid": str(uuid.uuid4())}, "before_uuid"),
    ],
)
def test_bad_places_are_named(company: Company, body: dict[str, Any], field: str) -> None:
    row = add_list(company)
    problem = assert_problem(move(company, row, **body), 422)
    assert set(problem["errors"]["json"]) == {field}
    assert company.get(path_of(row)).json == row


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, body: bytes, content_type: str, status: int
) -> None:
    path = path_of(add_list(company))
    for method, what in (("POST", "move"), ("PUT", "favourite")):
        answer = send_raw(company, method, f"{path}/{what}", body, content_type)
        assert_problem(answer, status)


def test_lone_surrogates_are_refused(company: Company) -> None:
    path = f"{path_of(add_list(company))}/move"
    assert_unreadable(send_raw(company, "POST", path, {"after_uuid": LONE_SURROGATE}))


def test_if_match_holds_for_moves(company: Company) -> None:
    row = add_list(company)
    path = f"{path_of(row)}/move"
    assert_problem(company.post(path, {}, headers={"If-Match": '"9"'}), 412)
    assert company.post(path, {}, headers={"If-Match": '"1"'}).status_code == 200


def favourites(person: Any) -> list[str]:
    return titles(person, "is_favourite=true&field=favourite")


def test_favourites_are_each_persons_own(acme: Company) -> None:
    rows, person = made(acme, "ABC"), acme.add_person()
    for letter in "CAB":
        answer = acme.call("PUT", f"{path_of(rows[letter])}/favourite", json={})
        assert (answer.status_code, answer.json["is_favourite"]) == (200, True)
    assert favourites(acme) == list("CAB")
    assert favourites(person) == []
    path = f"{path_of(rows['C'])}/favourite"
    assert acme.call("PUT", path).status_code == 200
    assert favourites(acme) == list("CAB")
    acme.call("PUT", path, json={"after_uuid": rows["A"]["uuid"]})
    assert favourites(acme) == list("ACB")
    assert person.get(path_of(rows["A"])).json["is_favourite"] is False
    assert acme.get(path_of(rows["A"])).json["is_favourite"] is True
    assert titles(acme, "is_favourite=false") == []
    for _ in range(2):
        assert acme.delete(path).status_code == 204
    assert favourites(acme) == list("AB")
    assert titles(acme, "is_favourite=false") == ["C"]
    assert acme.get(path_of(rows["A"])).headers["ETag"].startswith('"1-')


def test_favourites_that_cannot_be(company: Company, stranger: Company) -> None:
    person, row = company.add_person(), add_list(company)
    for hidden in (add_private(person), add_list(stranger)):
        for method in ("PUT", "DELETE"):
            assert_problem(company.call(method, f"{path_of(hidden)}/favourite"), 404)
    other = add_list(company)
    answer = company.call("PUT", f"{path_of(row)}/favourite", json={"after_uuid": other["uuid"]})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"after_uuid"}


def test_favourites_made_at_once_have_an_order(app: Flask, acme: Company) -> None:
    rows = made(acme, "ABCD")
    calls = [
        (acme, lambda own, row=row: own.call("PUT", f"{path_of(row)}/favourite"))
        for row in rows.values()
    ]
    assert statuses(at_once(app, *calls)) == [200] * 4
    order = favourites(acme)
    assert sorted(order) == list("ABCD")
    assert order == favourites(acme)
