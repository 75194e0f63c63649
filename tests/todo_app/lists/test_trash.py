"""Lists that are archived, deleted, and brought back."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, at_once, statuses, version
from tests.todo_app.lists.kit import (
    Row,
    add_folder,
    add_private,
    mark_of,
    move,
    share,
    titles,
    told_of,
)
from tests.todo_app.todos.shapes import add_list, add_task, path_of


def call(person: Person, row: Row, action: str, etag: str | None = None) -> object:
    headers = {"If-Match": etag} if etag else {}
    return person.post(f"{path_of(row)}/{action}", headers=headers)


def test_a_list_comes_back_with_its_tasks(app: Flask, acme: Company) -> None:
    row = add_list(acme, "Gone", symbol="GONE")
    tasks = [add_task(acme, row["uuid"], f"{number}") for number in range(3)]
    section = acme.post(f"{path_of(row)}/sections", {"title": "S"}).json
    before = mark_of(app, acme, "section", section["uuid"])
    assert acme.delete(path_of(row)).status_code == 204
    for path in (path_of(row), f"{path_of(row)}/sections", f"{path_of(row)}/members"):
        assert_problem(acme.get(path), 404)
    for path in (f"{path_of(row)}/archive", f"{path_of(row)}/move"):
        assert_problem(acme.post(path, {} if path.endswith("move") else None), 404)
    assert_problem(acme.patch(path_of(row), {"title": "Changed"}), 404)
    assert (titles(acme), acme.get("/tasks/").json["total"]) == ([], 0)
    assert mark_of(app, acme, "list", row["uuid"])[1]
    back = acme.post(f"{path_of(row)}/restore")
    assert (back.status_code, version(back)) == (200, 3)
    assert back.json == {**row, "updated_at": back.json["updated_at"]}
    assert [acme.get(path_of(task)).json for task in tasks] == tasks
    assert not mark_of(app, acme, "list", row["uuid"])[1]
    assert mark_of(app, acme, "section", section["uuid"])[0] > before[0]
    assert mark_of(app, acme, "task", tasks[0]["uuid"])[0] > before[0]
    again = acme.post(f"{path_of(row)}/restore")
    assert (again.status_code, version(again)) == (200, 3)
    told = [action for action in told_of(app, acme, row["uuid"]) if action.startswith("list.")]
    assert told == ["list.added", "list.deleted", "list.restored"]


def test_a_symbol_in_the_trash_stays_taken(company: Company) -> None:
    row = add_list(company, symbol="KEPT")
    company.delete(path_of(row))
    answer = company.post("/lists/", {"title": "Other", "symbol": "KEPT"})
    assert assert_problem(answer, 409)["type"] == "urn:todo:problem:symbol-taken"


def test_what_is_inside_goes_along_and_comes_back(acme: Company) -> None:
    folder = add_folder(acme)
    inner = add_list(acme, "Inner", parent_uuid=folder["uuid"])
    deep = add_list(acme, "Deep", parent_uuid=inner["uuid"])
    earlier = add_list(acme, "Earlier", parent_uuid=folder["uuid"])
    acme.delete(path_of(earlier))
    acme.delete(path_of(folder))
    assert titles(acme) == []
    assert acme.post(f"{path_of(folder)}/restore").status_code == 200
    assert sorted(titles(acme)) == ["Deep", "Folder", "Inner"]
    assert acme.get(path_of(deep)).json["parent_uuid"] == inner["uuid"]
    acme.delete(path_of(folder))
    alone = acme.post(f"{path_of(inner)}/restore")
    assert alone.json["parent_uuid"] is None
    assert sorted(titles(acme)) == ["Deep", "Inner"]


def test_what_others_keep_inside_is_moved_out(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    outer = add_folder(acme, "Outer")
    folder = add_folder(acme, "Doomed", parent_uuid=outer["uuid"])
    theirs = add_private(person, "Theirs", parent_uuid=folder["uuid"])
    inside_theirs = add_list(acme, "Within")
    assert move(person, inside_theirs, parent_uuid=theirs["uuid"]).status_code == 200
    assert acme.delete(path_of(folder)).status_code == 204
    kept = person.get(path_of(theirs))
    assert (kept.status_code, kept.json["parent_uuid"]) == (200, outer["uuid"])
    assert person.get(path_of(inside_theirs)).json["parent_uuid"] == theirs["uuid"]
    assert told_of(app, acme, theirs["uuid"]) == ["list.added", "list.moved"]


def test_it_comes_back_to_the_top_where_there_is_no_room(acme: Company) -> None:
    target = add_folder(acme)
    for number in range(9):
        target = add_folder(acme, f"{number}", parent_uuid=target["uuid"])
    outer = add_folder(acme, "Outer")
    row = add_list(acme, "Back", parent_uuid=outer["uuid"])
    acme.delete(path_of(row))
    parent = acme.get(path_of(target)).json["parent_uuid"]
    assert move(acme, outer, parent_uuid=parent).status_code == 200
    assert acme.post(f"{path_of(row)}/restore").json["parent_uuid"] is None


def test_an_archived_list_is_read_only_and_hidden(app: Flask, acme: Company) -> None:
    row = add_list(acme, "Old")
    section = acme.post(f"{path_of(row)}/sections", {"title": "S"}).json
    archived = acme.post(f"{path_of(row)}/archive")
    assert archived.status_code == 200
    assert archived.json["archived_at"] is not None
    assert titles(acme) == titles(acme, "is_archived=false") == []
    assert titles(acme, "is_archived=true") == ["Old"]
    assert acme.get(path_of(row)).json == archived.json
    sections = f"{path_of(row)}/sections"
    one = f"{sections}/{section['uuid']}"
    for answer in (
        acme.post(sections, {"title": "New"}),
        acme.patch(one, {"title": "New"}),
        acme.delete(one),
        acme.post(f"{one}/move", {}),
        acme.post(f"{path_of(row)}/fields", {"name": "New", "kind": "text"}),
        acme.post("/lists/", {"title": "Inner", "parent_uuid": row["uuid"]}),
    ):
        assert assert_problem(answer, 409)["type"] == "urn:todo:problem:list-archived"
    assert acme.get(sections).json["items"] == [section]
    assert acme.post(f"{path_of(row)}/archive").json == archived.json
    back = acme.post(f"{path_of(row)}/unarchive")
    assert (back.status_code, back.json["archived_at"]) == (200, None)
    assert acme.post(sections, {"title": "New"}).status_code == 201
    told = told_of(app, acme, row["uuid"])
    assert told[2:4] == ["list.archived", "list.unarchived"]


def test_lists_inside_are_archived_along(acme: Company) -> None:
    folder = add_folder(acme)
    add_list(acme, "Inner", parent_uuid=folder["uuid"])
    earlier = add_list(acme, "Earlier", parent_uuid=folder["uuid"])
    acme.post(f"{path_of(earlier)}/archive")
    acme.post(f"{path_of(folder)}/archive")
    assert titles(acme) == []
    acme.post(f"{path_of(folder)}/unarchive")
    assert titles(acme) == ["Folder", "Inner"]
    assert titles(acme, "is_archived=true") == ["Earlier"]


@pytest.mark.parametrize("action", ["archive", "unarchive", "restore"])
def test_if_match_holds_for_all_of_them(company: Company, action: str) -> None:
    row = add_list(company)
    if action == "restore":
        company.delete(path_of(row))
    if action == "unarchive":
        company.post(f"{path_of(row)}/archive")
    path = f"{path_of(row)}/{action}"
    assert_problem(company.post(path, headers={"If-Match": '"9"'}), 412)
    current = '"1"' if action == "archive" else '"2"'
    assert company.post(path, headers={"If-Match": current}).status_code == 200


@pytest.mark.parametrize("access", ["read", "write"])
def test_only_an_admin_archives_deletes_and_restores(company: Company, access: str) -> None:
    person, owner = company.add_person(), company.add_person()
    row = add_private(owner)
    share(owner, row, person, access)
    for action in ("archive", "unarchive", "restore"):
        assert_problem(person.post(f"{path_of(row)}/{action}"), 403)
    assert_problem(person.delete(path_of(row)), 403)
    owner.delete(path_of(row))
    assert_problem(person.post(f"{path_of(row)}/restore"), 403)
    assert_problem(company.post(f"{path_of(row)}/restore"), 404)
    assert owner.post(f"{path_of(row)}/restore").status_code == 200


@pytest.mark.parametrize("attempt", range(3))
def test_deleted_and_restored_at_once(app: Flask, company: Company, attempt: int) -> None:
    folder = add_folder(company)
    inner = add_list(company, "Inner", parent_uuid=folder["uuid"])
    answers = at_once(
        app,
        (company, lambda own: own.delete(path_of(folder))),
        (company, lambda own: own.delete(path_of(inner))),
        (company, lambda own: own.post(f"{path_of(inner)}/restore")),
        (company, lambda own: own.post(f"{path_of(folder)}/archive")),
    )
    assert set(statuses(answers)) <= {200, 204, 404}
    for row in (folder, inner):
        assert company.post(f"{path_of(row)}/restore").status_code == 200


def test_another_companys_trash_is_404(company: Company, stranger: Company) -> None:
    row = add_list(company)
    company.delete(path_of(row))
    assert_problem(stranger.post(f"{path_of(row)}/restore"), 404)
