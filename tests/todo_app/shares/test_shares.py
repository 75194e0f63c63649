"""Who sees a list, and what they may do: the company's, private ones, and shared ones."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import (
    BAD_QUERIES,
    RAW_BODIES,
    assert_problem,
    at_once,
    send_raw,
    statuses,
)
from tests.todo_app.lists.kit import Row, add_private, mark_of, share, titles, told_of
from tests.todo_app.todos.shapes import add_list, add_task, path_of

READ = ("GET", "", None)
OF_A_LIST: list[tuple[str, str, Any]] = [
    READ,
    ("GET", "/members", None),
    ("GET", "/sections", None),
    ("GET", "/sections/{section}", None),
    ("GET", "/fields", None),
    ("GET", "/fields/{field}", None),
    ("PUT", "/favourite", {}),
    ("DELETE", "/favourite", None),
    ("PATCH", "", {"title": "Changed"}),
    ("POST", "/move", {}),
    ("POST", "/sections", {"title": "New"}),
    ("PATCH", "/sections/{section}", {"title": "New"}),
    ("POST", "/sections/{section}/move", {}),
    ("DELETE", "/sections/{section}", None),
    ("POST", "/fields", {"name": "New", "kind": "text"}),
    ("PATCH", "/fields/{field}", {"name": "Newer"}),
    ("POST", "/fields/{field}/move", {}),
    ("DELETE", "/fields/{field}", None),
    ("PATCH", "", {"visibility": "company"}),
    ("PUT", "/members/users/{user}", {"access": "admin"}),
    ("DELETE", "/members/users/{user}", None),
    ("PUT", "/members/groups/{group}", {"access": "admin"}),
    ("DELETE", "/members/groups/{group}", None),
    ("POST", "/archive", None),
    ("POST", "/unarchive", None),
    ("DELETE", "", None),
    ("POST", "/restore", None),
]
"""Every endpoint below a list; the first ones need `read`, then `write`, then `admin`."""
READERS, WRITERS = 8, 18


def allowed(access: str) -> list[tuple[str, str, Any]]:
    return {
        "read": OF_A_LIST[:READERS],
        "write": OF_A_LIST[:WRITERS],
        "admin": OF_A_LIST,
        "none": [],
    }[access]


def call(
    person: Person, row: Row, call: tuple[str, str, Any], ids: dict[str, str]
) -> tuple[int, Any]:
    method, path, body = call
    address = path_of(row) + path.format(**ids)
    answer = person.call(method, address, json=body)
    return answer.status_code, answer


@pytest.fixture(scope="module")
def group(company: Company) -> dict[str, Any]:
    row: dict[str, Any] = company.post("/groups/", {"name": "Sharers"}).json
    return row


def a_private_list(owner: Person, company: Company) -> tuple[Row, dict[str, str]]:
    """A private list with one of everything, and the ids."""
    row = add_private(owner)
    path = path_of(row)
    group = company.post("/groups/", {"name": uuid.uuid4().hex}).json
    return row, {
        "section": owner.post(f"{path}/sections", {"title": "S"}).json["uuid"],
        "field": owner.post(f"{path}/fields", {"name": "F", "kind": "text"}).json["uuid"],
        "user": company.add_person().uuid,
        "group": group["uuid"],
    }


@pytest.mark.parametrize("endpoint", OF_A_LIST, ids=lambda e: f"{e[0]} {e[1]}")
def test_a_private_list_of_somebody_else_is_404(
    company: Company, endpoint: tuple[str, str, Any]
) -> None:
    owner, outsider = company.add_person(), company.add_person()
    row, ids = a_private_list(owner, company)
    for person in (outsider, company):
        status, answer = call(person, row, endpoint, ids)
        assert status == 404
        problem = assert_problem(answer, 404)
        unknown = {"uuid": str(uuid.uuid4())}
        missing = assert_problem(call(person, unknown, endpoint, ids)[1], 404)
        assert problem["detail"] == missing["detail"] == "There is no such list."
    assert owner.get(path_of(row)).json == row


@pytest.mark.parametrize("access", ["read", "write", "admin"])
@pytest.mark.parametrize("endpoint", OF_A_LIST, ids=lambda e: f"{e[0]} {e[1]}")
def test_a_member_may_do_what_the_share_says(
    company: Company, access: str, endpoint: tuple[str, str, Any]
) -> None:
    owner, member = company.add_person(), company.add_person()
    row, ids = a_private_list(owner, company)
    share(owner, row, member, access)
    assert member.get(path_of(row)).json["access"] == access
    before = owner.get(path_of(row)).json
    status, answer = call(member, row, endpoint, ids)
    if endpoint in allowed(access):
        assert status in (200, 201, 204), answer.text
    else:
        assert f"may {access} this list" in assert_problem(answer, 403)["detail"]
        assert owner.get(path_of(row)).json == before


@pytest.mark.parametrize("access", ["read", "write", "admin"])
def test_a_share_with_a_group(company: Company, group: dict[str, Any], access: str) -> None:
    owner, member = company.add_person(), company.add_person()
    row = add_private(owner)
    path = f"{path_of(row)}/members/groups/{group['uuid']}"
    answer = owner.call("PUT", path, json={"access": access})
    assert answer.status_code == 200
    assert (answer.json["user"], answer.json["access"]) == (None, access)
    assert answer.json["group"] == {"uuid": group["uuid"], "name": "Sharers"}
    assert_problem(member.get(path_of(row)), 404)
    membership = f"/groups/{group['uuid']}/members/{member.uuid}"
    company.call("PUT", membership)
    assert member.get(path_of(row)).json["access"] == access
    assert row["uuid"] in {r["uuid"] for r in member.get("/lists/?size=100").json["items"]}
    company.delete(membership)
    assert_problem(member.get(path_of(row)), 404)


@pytest.mark.parametrize(("by_group", "by_user"), [("read", "admin"), ("write", "read")])
def test_the_strongest_share_counts(
    company: Company, group: dict[str, Any], by_group: str, by_user: str
) -> None:
    owner, member = company.add_person(), company.add_person()
    row = add_private(owner)
    share(owner, row, member, by_user)
    path = f"{path_of(row)}/members/groups/{group['uuid']}"
    owner.call("PUT", path, json={"access": by_group})
    membership = f"/groups/{group['uuid']}/members/{member.uuid}"
    company.call("PUT", membership)
    strongest = max(by_group, by_user, key=["read", "write", "admin"].index)
    assert member.get(path_of(row)).json["access"] == strongest
    company.delete(membership)
    assert member.get(path_of(row)).json["access"] == by_user


def test_members_are_shown(acme: Company) -> None:
    row, people = add_private(acme), [acme.add_person() for _ in range(3)]
    group = acme.post("/groups/", {"name": "Accounting"}).json
    for person, access in zip(people, ("read", "write", "admin"), strict=True):
        share(acme, row, person, access)
    path = f"{path_of(row)}/members"
    acme.call("PUT", f"{path}/groups/{group['uuid']}", json={"access": "read"})
    page = acme.get(f"{path}?field=created_at").json
    assert page["total"] == 4
    assert [item["access"] for item in page["items"]] == ["read", "write", "admin", "read"]
    assert [item["user"] and item["user"]["uuid"] for item in page["items"]] == [
        *[person.uuid for person in people],
        None,
    ]
    assert acme.get(f"{path}?search=ACCOUNT").json["items"] == page["items"][3:]
    assert acme.get(f"{path}?search=grace&size=1").json["total"] == 3
    acme.delete(f"/users/{people[0].uuid}")
    assert people[1].get(path).json["total"] == 3


def test_shares_come_and_go(app: Flask, acme: Company) -> None:
    row, person = add_private(acme), acme.add_person()
    task = add_task(acme, row["uuid"])
    before = mark_of(app, acme, "list", row["uuid"])
    path = f"{path_of(row)}/members/users/{person.uuid}"
    for access in ("read", "write", "write"):
        assert acme.call("PUT", path, json={"access": access}).status_code == 200
    assert mark_of(app, acme, "task", task["uuid"])[0] > before[0]
    assert titles(person) == ["Private"]
    for _ in range(2):
        assert acme.delete(path).status_code == 204
    assert titles(person) == []
    told = told_of(app, acme, row["uuid"])
    assert [action for action in told if action.startswith("list.")] == [
        "list.added",
        "list.shared",
        "list.shared",
        "list.unshared",
    ]


def test_everybody_may_leave(company: Company) -> None:
    owner, member = company.add_person(), company.add_person()
    row = add_private(owner)
    share(owner, row, member, "read")
    assert member.delete(f"{path_of(row)}/members/users/{member.uuid}").status_code == 204
    assert_problem(member.get(path_of(row)), 404)


def test_the_creator_is_always_an_admin(company: Company) -> None:
    owner, admin = company.add_person(), company.add_person()
    row = add_private(owner)
    share(owner, row, admin, "admin")
    path = f"{path_of(row)}/members/users/{owner.uuid}"
    for person in (owner, admin):
        answer = person.call("PUT", path, json={"access": "read"})
        assert assert_problem(answer, 409)["type"] == "urn:todo:problem:is-the-creator"


def test_members_who_are_unknown(company: Company, stranger: Company) -> None:
    row, gone = add_private(company), company.add_person()
    company.delete(f"/users/{gone.uuid}")
    foreign_group = stranger.post("/groups/", {"name": uuid.uuid4().hex}).json["uuid"]
    paths = [
        *[f"users/{user}" for user in (stranger.uuid, gone.uuid, uuid.uuid4())],
        *[f"groups/{group}" for group in (foreign_group, uuid.uuid4())],
    ]
    for path in paths:
        for method, body in (("PUT", {"access": "read"}), ("DELETE", None)):
            address = f"{path_of(row)}/members/{path}"
            assert_problem(company.call(method, address, json=body), 404)


def test_another_companys_shares_are_404(company: Company, stranger: Company) -> None:
    row, ids = a_private_list(company, company)
    for endpoint in OF_A_LIST:
        assert call(stranger, row, endpoint, ids)[0] == 404, endpoint


@pytest.mark.parametrize("access", ["", "ADMIN", "owner", None, 1, ["read"], "read "])
@pytest.mark.parametrize("kind", ["users", "groups"])
def test_an_access_that_is_none(
    company: Company, group: dict[str, Any], kind: str, access: Any
) -> None:
    row = add_private(company)
    target = company.add_person().uuid if kind == "users" else group["uuid"]
    path = f"{path_of(row)}/members/{kind}/{target}"
    answer = company.call("PUT", path, json={"access": access})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"access"}
    assert company.get(f"{path_of(row)}/members").json["total"] == 0


@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, group: dict[str, Any], body: bytes, content_type: str, status: int
) -> None:
    path = f"{path_of(add_list(company))}/members/groups/{group['uuid']}"
    assert_problem(send_raw(company, "PUT", path, body, content_type), status)


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_page_parameters(company: Company, query: str) -> None:
    row = add_list(company)
    for what in ("members", "sections", "fields"):
        assert_problem(company.get(f"{path_of(row)}/{what}?{query}"), 422)


def test_shared_four_times_at_once_is_shared_once(app: Flask, acme: Company) -> None:
    row, person = add_private(acme), acme.add_person()
    path = f"{path_of(row)}/members/users/{person.uuid}"
    calls = [
        (acme, lambda own, access=access: own.call("PUT", path, json={"access": access}))
        for access in ("read", "write", "admin", "read")
    ]
    assert statuses(at_once(app, *calls)) == [200] * 4
    assert acme.get(f"{path_of(row)}/members").json["total"] == 1


@pytest.mark.parametrize("attempt", range(3))
def test_shared_while_the_list_or_the_group_is_deleted(
    app: Flask, acme: Company, attempt: int
) -> None:
    row = add_private(acme)
    group = acme.post("/groups/", {"name": uuid.uuid4().hex}).json["uuid"]
    path = f"{path_of(row)}/members/groups/{group}"
    put, gone, no_group = at_once(
        app,
        (acme, lambda own: own.call("PUT", path, json={"access": "read"})),
        (acme, lambda own: own.delete(path_of(row))),
        (acme, lambda own: own.delete(f"/groups/{group}")),
    )
    assert put.status_code in (200, 404)
    assert (gone.status_code, no_group.status_code) == (204, 204)


def test_a_list_becomes_private_and_the_companys_again(acme: Company) -> None:
    person, other = acme.add_person(), acme.add_person()
    row = add_list(acme, "Shared")
    private = person.patch(path_of(row), {"visibility": "private"})
    assert (private.status_code, private.json["access"]) == (200, "admin")
    assert acme.get(path_of(row)).status_code == 200
    assert_problem(other.get(path_of(row)), 404)
    members = person.get(f"{path_of(row)}/members").json["items"]
    assert [(m["user"]["uuid"], m["access"]) for m in members] == [(person.uuid, "admin")]
    assert person.patch(path_of(row), {"visibility": "company"}).status_code == 200
    assert other.get(path_of(row)).json["access"] == "admin"


def test_a_writer_switches_no_visibility_but_may_repeat_it(company: Company) -> None:
    owner, member = company.add_person(), company.add_person()
    row = add_private(owner)
    share(owner, row, member, "write")
    assert_problem(member.patch(path_of(row), {"visibility": "company", "title": "A"}), 403)
    same = {"visibility": "private", "title": "B"}
    assert member.patch(path_of(row), same).json["title"] == "B"


def test_read_only_people_read_the_companys_lists(
    company: Company, people: dict[str, Person]
) -> None:
    row = add_list(company)
    shown = people["read_only"].get(path_of(row))
    assert (shown.status_code, shown.json["access"]) == (200, "read")
    assert_problem(people["read_only"].patch(path_of(row), {"title": "A"}), 403)
