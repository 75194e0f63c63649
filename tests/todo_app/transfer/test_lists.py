"""Lists from and to CSV: all or none, with a report by line."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once, inside, statuses
from tests.todo_app.lists.kit import add_folder, add_private, chain, told_of
from tests.todo_app.todos.shapes import add_list
from tests.todo_app.transfer.kit import a_file, exported, problems, send, taken
from todo_app.activity.models import Change
from todo_app.database import db
from todo_app.transfer import list_import


def test_lists_come_in_with_what_is_inside_them(app: Flask, acme: Company) -> None:
    home = add_folder(acme, "Home")
    number = taken(
        acme,
        "lists",
        list_import.COLUMNS,
        ("2", "1", "Inner", "", "", "private", "#1E90FF", "🛒", "INN"),
        ("1", "home", "Outer", "For *all*", "folder", "", "", "", ""),
        ("", "", "Top", "", "", "", "", "", ""),
    )
    assert number == 3
    rows = {row["title"]: row for row in acme.get("/lists/").json["items"]}
    inner, outer, top = rows["Inner"], rows["Outer"], rows["Top"]
    assert (outer["kind"], outer["parent_uuid"]) == ("folder", home["uuid"])
    assert (inner["visibility"], inner["parent_uuid"]) == ("private", outer["uuid"])
    assert (inner["color"], inner["icon"], inner["symbol"]) == ("#1e90ff", "🛒", "INN")
    assert top["position"] > home["position"]
    assert told_of(app, acme, inner["uuid"]) == ["list.added"]
    with inside(app, acme.slug):
        marks = set(db.session.scalars(sa.select(Change.uuid).where(Change.kind == "list")))
        assert {row["uuid"] for row in rows.values()} == set(map(str, marks))


def test_what_was_exported_comes_back(acme: Company, globex: Company) -> None:
    folder = add_folder(acme, "=1+1")
    child = add_list(acme, "Child", symbol="CH", color="#ffffff", description="a,b\n'c'")
    acme.post(f"/lists/{child['uuid']}/move", {"parent_uuid": folder["uuid"]})
    before = exported(acme, "lists")
    body = acme.get("/lists/export").get_data()
    assert b"'=1+1" in body
    answer = globex.call("POST", "/lists/import", data=body, content_type="text/csv")
    assert answer.status_code == 201, answer.text
    again = exported(globex, "lists")
    assert [{**row, "id": "", "parent": bool(row["parent"])} for row in again] == [
        {**row, "id": "", "parent": bool(row["parent"])} for row in before
    ]


def test_nothing_is_imported_where_one_line_is_wrong(acme: Company) -> None:
    add_list(acme, "Twice")
    add_list(acme, "twice")
    add_list(acme, "Taken", symbol="TT")
    old = add_list(acme, "Old")
    acme.post(f"/lists/{old['uuid']}/archive")
    deep = chain(acme, 10)[-1]
    before = acme.get("/lists/").json["total"]
    header = ("id", "parent", "title", "kind", "visibility", "color", "symbol")
    wrong = [
        ({"title": ""}, "title"),
        ({"kind": "drawer"}, "kind"),
        ({"visibility": "secret"}, "visibility"),
        ({"color": "blue"}, "color"),
        ({"symbol": "tt!"}, "symbol"),
        ({"symbol": "TT"}, "symbol"),
        ({"symbol": "AB"}, ""),
        ({"symbol": "AB"}, "symbol"),
        ({"symbol": "CD", "kind": "folder"}, "symbol"),
        ({"parent": "Nowhere"}, "parent"),
        ({"parent": "Twice"}, "parent"),
        ({"parent": "Old"}, "parent"),
        ({"parent": deep["uuid"]}, "parent"),
        ({"id": "1"}, ""),
        ({"id": "1"}, "id"),
        ({"id": "2", "parent": "3"}, "parent"),
        ({"id": "3", "parent": "2"}, "parent"),
    ]
    lines = [tuple({"title": "T", **cells}.get(name, "") for name in header) for cells, _ in wrong]
    found = problems(send(acme, "lists", header, *lines))
    told = {number: sorted(columns) for number, columns in found.items()}
    assert told == {str(number): [name] for number, (_, name) in enumerate(wrong, 2) if name}
    assert acme.get("/lists/").json["total"] == before


def test_a_dry_run_changes_nothing(acme: Company) -> None:
    answer = send(acme, "lists", ("title",), ("A",), dry_run="true")
    assert (answer.status_code, answer.json) == (200, {"imported": 0, "lines": 1})
    assert acme.get("/lists/").json["total"] == 0


def test_others_see_nothing_of_private_lists(acme: Company, globex: Company) -> None:
    secret = add_private(acme, "Secret")
    add_list(acme, "Inside", parent_uuid=secret["uuid"])
    person = acme.add_person()
    rows = exported(person, "lists")
    assert [(row["title"], row["parent"]) for row in rows] == [("Inside", "")]
    for somebody in (person, globex):
        for parent in ("Secret", secret["uuid"]):
            found = problems(send(somebody, "lists", ("title", "parent"), ("A", parent)))
            assert found["2"] == {"parent": ["There is no such list."]}
    assert exported(globex, "lists") == []
    assert_problem(send(acme.add_person("read_only"), "lists", ("title",), ("A",)), 403)


def test_imports_at_one_instant_do_not_share_a_symbol(app: Flask, acme: Company) -> None:
    body = a_file(("title", "symbol"), ("A", "SYM"), ("B", ""))

    def sender(who: Company) -> object:
        return who.call("POST", "/lists/import", data=body, content_type="text/csv")

    answers = at_once(app, *[(acme, sender)] * 4)  # type: ignore[list-item]
    assert statuses(answers) == [201, 422, 422, 422]
    assert acme.get("/lists/").json["total"] == 2
