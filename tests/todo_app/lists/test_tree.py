"""Lists inside lists: folders, depth, and no cycle, whoever moves what at the same instant."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, at_once, inside, version
from tests.todo_app.lists.kit import add_folder, add_private, chain, move, titles, told_of
from tests.todo_app.todos.shapes import add_list, path_of
from todo_app.database import db
from todo_app.lists.tree import MAX_DEPTH
from todo_app.todos.models import TodoList

PROBLEM = "urn:todo:problem:"


def test_a_list_in_a_folder(app: Flask, company: Company) -> None:
    folder = add_folder(company)
    assert (folder["kind"], folder["parent_uuid"], folder["position"]) != ("list", None, None)
    inner = add_list(company, "Inner", parent_uuid=folder["uuid"])
    assert (inner["kind"], inner["parent_uuid"]) == ("list", folder["uuid"])
    assert titles(company, f"parent_uuid={folder['uuid']}") == ["Inner"]
    assert told_of(app, company, inner["uuid"]) == ["list.added"]
    out = move(company, inner, parent_uuid=None)
    assert (out.status_code, out.json["parent_uuid"], version(out)) == (200, None, 2)
    assert titles(company, f"parent_uuid={folder['uuid']}") == []
    assert told_of(app, company, inner["uuid"]) == ["list.added", "list.moved"]


def test_kinds(company: Company) -> None:
    folder = add_folder(company)
    assert folder["uuid"] in {
        row["uuid"] for row in company.get("/lists/?kind=folder&size=100").json["items"]
    }
    assert_problem(company.patch(path_of(folder), {"kind": "list"}), 422)
    assert_problem(company.patch(path_of(folder), {"symbol": "FOLD"}), 422)
    answer = company.post("/lists/", {"title": "F", "kind": "folder", "symbol": "FOLD"})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"symbol"}
    for what, body in (("sections", {"title": "S"}), ("fields", {"name": "F", "kind": "text"})):
        answer = company.post(f"{path_of(folder)}/{what}", body)
        assert assert_problem(answer, 409)["type"] == PROBLEM + "is-a-folder"


@pytest.mark.parametrize("value", ["x", 1, ["list"], None, "FOLDER"])
def test_a_kind_that_is_none(company: Company, value: Any) -> None:
    answer = company.post("/lists/", {"title": "A", "kind": value})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"kind"}


def test_no_deeper_than_that(company: Company) -> None:
    rows = chain(company, MAX_DEPTH)
    body = {"title": "Too deep", "parent_uuid": rows[-1]["uuid"]}
    assert assert_problem(company.post("/lists/", body), 422)["type"] == PROBLEM + "too-deep"
    outer = add_list(company, "Outer")
    answer = move(company, rows[0], parent_uuid=outer["uuid"])
    assert assert_problem(answer, 422)["type"] == PROBLEM + "too-deep"
    assert move(company, rows[1], parent_uuid=outer["uuid"]).status_code == 200


def test_no_list_is_inside_itself(company: Company) -> None:
    rows = chain(company, 4)
    for target in rows:
        answer = move(company, rows[0], parent_uuid=target["uuid"])
        assert assert_problem(answer, 422)["type"] == PROBLEM + "cycle"
    assert move(company, rows[3], parent_uuid=rows[0]["uuid"]).status_code == 200
    assert company.get(path_of(rows[0])).json == rows[0]


@pytest.mark.parametrize("attempt", range(4))
def test_two_lists_moved_into_each_other_at_once(
    app: Flask, company: Company, attempt: int
) -> None:
    first, second = add_list(company, "First"), add_list(company, "Second")
    answers = at_once(
        app,
        (company, lambda own: move(own, first, parent_uuid=second["uuid"])),
        (company, lambda own: move(own, second, parent_uuid=first["uuid"])),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 422]


def test_a_parent_that_is_none(company: Company, stranger: Company) -> None:
    row, person = add_list(company), company.add_person()
    foreign = [str(uuid.uuid4()), add_list(stranger)["uuid"], add_private(person)["uuid"]]
    for parent in foreign:
        for answer in (
            move(company, row, parent_uuid=parent),
            company.post("/lists/", {"title": "A", "parent_uuid": parent}),
        ):
            errors = assert_problem(answer, 422)["errors"]
            assert errors == {"json": {"parent_uuid": ["There is no such list."]}}
    trashed = add_list(company)
    company.delete(path_of(trashed))
    assert_problem(move(company, row, parent_uuid=trashed["uuid"]), 422)
    assert company.get(path_of(row)).json == row


@pytest.mark.parametrize("attempt", range(3))
def test_nothing_is_put_into_a_list_that_is_being_deleted(
    app: Flask, company: Company, attempt: int
) -> None:
    folder, row = add_folder(company), add_list(company, "Moving")
    body = {"title": "New", "parent_uuid": folder["uuid"]}
    deleted, moved, added = at_once(
        app,
        (company, lambda own: own.delete(path_of(folder))),
        (company, lambda own: move(own, row, parent_uuid=folder["uuid"])),
        (company, lambda own: own.post("/lists/", body)),
    )
    assert deleted.status_code == 204
    assert moved.status_code in (200, 422)
    assert added.status_code in (201, 422)
    # Whatever was put into it before goes with it; nothing is left in a list that is gone.
    with inside(app, company.slug):
        inner, outer = TodoList, db.aliased(TodoList)
        lost = db.session.query(inner.id).join(outer, outer.id == inner.parent_id)
        found = lost.filter(inner.deleted_at.is_(None), outer.deleted_at.is_not(None)).count()
    assert found == 0


def test_the_list_around_is_told_only_to_those_who_see_it(acme: Company) -> None:
    person: Person = acme.add_person()
    hidden = add_private(person, "Hidden")
    inner = add_list(person, "Inner", parent_uuid=hidden["uuid"])
    assert inner["parent_uuid"] == hidden["uuid"]
    assert acme.get(path_of(inner)).json["parent_uuid"] is None
    assert acme.get(f"/lists/?parent_uuid={hidden['uuid']}").json["total"] == 0
