"""`/lists`: visibility, symbols and icons, what must not get in, and how much a page costs."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import (
    BAD_TEXTS,
    LONE_SURROGATE,
    assert_problem,
    assert_unreadable,
    at_once,
    inside,
    send_raw,
    statuses,
)
from tests.todo_app.lists.kit import add_folder, add_private, mark_of, share, titles, told_of
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from tests.todo_app.todos.test_pages import counted_statements
from todo_app.database import db
from todo_app.errors import AppError
from todo_app.tenancy import CurrentUser
from todo_app.todos import access
from todo_app.todos.models import TodoList


def test_a_list_with_everything(app: Flask, company: Company) -> None:
    body = {"title": "Operations", "icon": "🛠️", "symbol": "OPS", "visibility": "private"}
    made = company.post("/lists/", {**body, "kind": "list", "parent_uuid": None})
    assert made.status_code == 201
    assert {name: made.json[name] for name in body} == body
    assert (made.json["kind"], made.json["access"]) == ("list", "admin")
    assert (made.json["is_favourite"], made.json["archived_at"]) == (False, None)
    path = path_of(made.json)
    emptied = company.patch(path, {"icon": None, "symbol": None}).json
    assert (emptied["icon"], emptied["symbol"]) == (None, None)
    company.patch(path, {"icon": None})
    assert told_of(app, company, made.json["uuid"]) == ["list.added", "list.changed"]


def test_a_page_has_what_one_may_see(acme: Company) -> None:
    person, other = acme.add_person(), acme.add_person()
    add_list(acme, "Company")
    add_private(acme, "Mine")
    theirs = add_private(person, "Theirs")
    shared = add_private(person, "Shared")
    share(person, shared, acme, "read")
    assert titles(acme) == ["Company", "Mine", "Shared"]
    assert titles(person) == ["Company", "Theirs", "Shared"]
    assert titles(other) == ["Company"]
    assert titles(acme, "search=the") == []
    assert acme.get("/lists/?search=s&size=1").json["total"] == 1
    assert_problem(acme.get(path_of(theirs)), 404)


def test_filters_work_together(acme: Company) -> None:
    folder = add_folder(acme, "Folder")
    add_list(acme, "Inner", parent_uuid=folder["uuid"])
    archived = add_list(acme, "Archived", parent_uuid=folder["uuid"])
    acme.post(f"{path_of(archived)}/archive")
    parent = f"parent_uuid={folder['uuid']}"
    assert titles(acme, "kind=folder") == ["Folder"]
    assert titles(acme, f"{parent}&kind=list") == ["Inner"]
    assert titles(acme, f"{parent}&is_archived=true") == ["Archived"]
    assert titles(acme, f"{parent}&is_favourite=true") == []
    assert titles(acme, f"parent_uuid={uuid.uuid4()}") == []


@pytest.mark.parametrize(
    "query",
    [
        "is_archived=1",
        "is_archived=",
        "is_favourite=yes",
        "kind=tasks",
        "parent_uuid=null",
        "visibility=private",
        "field=favourites",
    ],
)
def test_bad_filters_are_named(company: Company, query: str) -> None:
    problem = assert_problem(company.get(f"/lists/?{query}"), 422)
    assert set(problem["errors"]["query"]) == {query.partition("=")[0]}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"symbol": "o"}, "symbol"),
        ({"symbol": "ops"}, "symbol"),
        ({"symbol": "O"}, "symbol"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": "A" * 11}, "symbol"),
        ({"symbol": "A-B"}, "symbol"),
        ({"symbol": "ÄÖ"}, "symbol"),
        ({"symbol": "\uff21\uff21"}, "symbol"),
        ({"symbol": 12}, "symbol"),
        ({"icon": ""}, "icon"),
        ({"icon": "i" * 51}, "icon"),
        ({"icon": 1}, "icon"),
        ({"icon": "a\x00"}, "icon"),
        ({"visibility": "public"}, "visibility"),
        ({"visibility": None}, "visibility"),
        ({"visibility": ["private"]}, "visibility"),
        ({"position": "a1"}, "position"),
        ({"access": "admin"}, "access"),
        ({"archived_at": None}, "archived_at"),
        ({"deleted_at": None}, "deleted_at"),
        ({"is_favourite": True}, "is_favourite"),
        ({"last_number": 1}, "last_number"),
    ],
)
def test_bad_input_is_named(company: Company, values: dict[str, Any], field: str) -> None:
    row = add_list(company)
    for answer in (
        company.post("/lists/", {"title": "New", **values}),
        company.patch(path_of(row), values),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {field}
    assert company.get(path_of(row)).json == row


@pytest.mark.parametrize("value", ["x", 1, ["a"], {}])
def test_parents_that_are_none(company: Company, value: Any) -> None:
    answer = company.post("/lists/", {"title": "New", "parent_uuid": value})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"parent_uuid"}
    answer = company.patch(path_of(add_list(company)), {"parent_uuid": None})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"parent_uuid"}


@pytest.mark.parametrize("field", ["icon", "symbol", "visibility"])
@pytest.mark.parametrize("text", [param for param in BAD_TEXTS if param.id != "null"])
def test_texts_that_cannot_be(company: Company, field: str, text: Any) -> None:
    answer = company.patch(path_of(add_list(company)), {field: text})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {field}


@pytest.mark.parametrize("field", ["icon", "symbol", "visibility"])
def test_lone_surrogates_are_refused(company: Company, field: str) -> None:
    path = path_of(add_list(company))
    assert_unreadable(send_raw(company, "PATCH", path, {field: LONE_SURROGATE}))


def test_a_symbol_belongs_to_one_list(app: Flask, company: Company) -> None:
    taken, other = add_list(company, symbol="ONE"), add_list(company)
    for answer in (
        company.post("/lists/", {"title": "New", "symbol": "ONE"}),
        company.patch(path_of(other), {"symbol": "ONE"}),
    ):
        assert assert_problem(answer, 409)["type"] == "urn:todo:problem:symbol-taken"
    assert company.patch(path_of(taken), {"symbol": "ONE"}).status_code == 200
    answers = at_once(
        app,
        *[(company, lambda own: own.post("/lists/", {"title": "New", "symbol": "TWO"}))] * 3,
    )
    assert statuses(answers) == [201, 409, 409]


def test_tasks_are_marked_where_others_see_them(app: Flask, company: Company) -> None:
    row = add_private(company)
    task = add_task(company, row["uuid"])
    before = mark_of(app, company, "list", row["uuid"])
    company.patch(path_of(row), {"visibility": "company"})
    for kind, uuid_ in (("list", row["uuid"]), ("task", task["uuid"])):
        after = mark_of(app, company, kind, uuid_)
        assert after[0] > before[0]
        assert not after[1]


@pytest.mark.parametrize("what", ["", "members", "sections", "fields", "/tags/"])
def test_the_number_of_statements_does_not_grow_with_the_page(
    app: Flask, acme: Company, what: str
) -> None:
    row = add_list(acme)
    for number in range(5):
        add_list(acme, f"{number}", parent_uuid=row["uuid"])
        acme.post(f"{path_of(row)}/sections", {"title": f"{number}"})
        acme.post(f"{path_of(row)}/fields", {"name": f"{number}", "kind": "text"})
        acme.post("/tags/", {"name": f"{number}"})
        share(acme, row, acme.add_person(), "read")
    path = what if what.startswith("/") else f"{path_of(row)}/{what}" if what else "/lists/"
    numbers = []
    for size in (1, 2, 100):
        with counted_statements(app) as statements:
            page = acme.get(f"{path}?size={size}").json
        assert len(page["items"]) == min(size, page["total"])
        assert page["total"] >= 5
        numbers.append(len(statements))
    # Enter the tenant and find the user, find the list, then read the page.
    assert numbers == [3 if "lists" in path and what else 2] * 3


def as_user(company: Company) -> CurrentUser:
    """The master administrator of a company, as services get them."""
    values = dict.fromkeys(CurrentUser._fields)
    found = db.session.execute(
        db.text("SELECT id, uuid FROM users WHERE uuid = :uuid"), {"uuid": company.uuid}
    ).one()
    values |= {"id": found.id, "uuid": found.uuid, "permissions": ["tasks:write"]}
    return CurrentUser(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["open", "archived", "folder", "deleted", "theirs", "read"])
def test_who_may_write_tasks_of_a_list(app: Flask, company: Company, state: str) -> None:
    owner = company.add_person()
    row = add_private(owner, kind="folder" if state == "folder" else "list")
    if state != "theirs":
        share(owner, row, company, "read" if state == "read" else "write")
    if state == "archived":
        owner.post(f"{path_of(row)}/archive")
    if state == "deleted":
        owner.delete(path_of(row))
    expected = {
        "open": None,
        "archived": "list-archived",
        "folder": "is-a-folder",
        "deleted": "not-found",
        "theirs": "not-found",
        "read": "forbidden",
    }
    with inside(app, company.slug):
        actor = as_user(company)
        key = db.session.query(TodoList.id).filter(TodoList.uuid == row["uuid"]).scalar()
        code = None
        try:
            access.hold(actor, key)
        except AppError as error:
            code = error.code
    assert code == expected[state]


def test_writers_of_tasks_make_only_those_wait_who_close_a_list(
    app: Flask, company: Company
) -> None:
    row = add_list(company)
    with inside(app, company.slug):
        actor = as_user(company)
        key = db.session.query(TodoList.id).filter(TodoList.uuid == row["uuid"]).scalar()
        access.hold(actor, key)
        with ThreadPoolExecutor(1) as pool:
            own = replace(company, client=app.test_client())
            changed = pool.submit(own.patch, path_of(row), {"title": "Meanwhile"})
            assert changed.result(timeout=5).status_code == 200
            deleted = pool.submit(own.delete, path_of(row))
            with pytest.raises(TimeoutError):
                deleted.result(timeout=0.5)
            db.session.commit()
            assert deleted.result(timeout=5).status_code == 204
