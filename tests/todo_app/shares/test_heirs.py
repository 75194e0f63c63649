"""Private lists of people who leave go to the company's master administrators."""

from __future__ import annotations

import uuid

import pytest
from flask import Flask

from tests.factories import Company, Person, sign_in
from tests.todo_app.helpers import at_once, statuses
from tests.todo_app.lists.kit import Row, add_private, mark_of, share, told_of
from tests.todo_app.todos.shapes import add_list, add_task, path_of


def leave(company: Company, person: Person, query: str = "") -> None:
    assert company.delete(f"/users/{person.uuid}{query}").status_code == 204


def access(person: Person, row: Row) -> str | None:
    answer = person.get(path_of(row))
    return answer.json["access"] if answer.status_code == 200 else None


def test_the_master_administrators_get_them(app: Flask, acme: Company) -> None:
    person, other, second = acme.add_person(), acme.add_person("admin"), acme.add_person()
    role = {"role_uuid": acme.role_uuid("master_admin")}
    assert acme.patch(f"/users/{second.uuid}", role).status_code == 200
    second = sign_in(acme.client, acme.slug, second.email)
    row = add_private(person)
    task = add_task(person, row["uuid"])
    assert access(acme, row) is None
    before = mark_of(app, acme, "task", task["uuid"])
    leave(acme, person)
    assert [access(who, row) for who in (acme, second, other)] == ["admin", "admin", None]
    assert acme.patch(path_of(task), {"title": "Mine now"}).status_code == 200
    assert told_of(app, acme, row["uuid"])[-2] == "list.shared"
    assert mark_of(app, acme, "task", task["uuid"])[0] > before[0]


@pytest.mark.parametrize("query", ["?tasks=unassign", "?force=true"])
def test_whatever_else_happens_to_the_person(acme: Company, query: str) -> None:
    person = acme.add_person()
    row = add_private(person)
    leave(acme, person, query)
    assert access(acme, row) == "admin"


def test_one_in_the_trash_can_be_brought_back(acme: Company) -> None:
    person = acme.add_person()
    row = add_private(person, "Thrown away")
    person.delete(path_of(row))
    leave(acme, person)
    assert [item["title"] for item in acme.get("/trash/").json["items"]] == ["Thrown away"]
    assert acme.post(f"{path_of(row)}/restore").json["access"] == "admin"


@pytest.mark.parametrize("how", ["user", "group"])
def test_one_with_another_admin_stays_private(acme: Company, how: str) -> None:
    person, friend = acme.add_person(), acme.add_person()
    row = add_private(person)
    if how == "user":
        share(person, row, friend, "admin")
    else:
        group = acme.post("/groups/", {"name": uuid.uuid4().hex}).json["uuid"]
        acme.call("PUT", f"/groups/{group}/members/{friend.uuid}")
        path = f"{path_of(row)}/members/groups/{group}"
        assert person.call("PUT", path, json={"access": "admin"}).status_code == 200
    leave(acme, person)
    assert [access(who, row) for who in (acme, friend)] == [None, "admin"]
    # The last one who could do anything with it.
    leave(acme, friend)
    assert access(acme, row) == "admin"


def test_who_may_only_write_is_not_enough(acme: Company) -> None:
    person, friend = acme.add_person(), acme.add_person()
    row = add_private(person)
    share(person, row, friend, "write")
    share(person, row, acme, "read")
    leave(acme, person)
    assert [access(who, row) for who in (acme, friend)] == ["admin", "write"]


def test_a_companys_list_needs_nobody(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    row = add_list(person)
    leave(acme, person)
    assert "list.shared" not in told_of(app, acme, row["uuid"])


def test_an_admin_who_is_deactivated_is_still_one(acme: Company) -> None:
    person, friend = acme.add_person(), acme.add_person()
    row = add_private(person)
    share(person, row, friend, "admin")
    assert acme.patch(f"/users/{friend.uuid}", {"is_active": False}).status_code == 200
    leave(acme, person)
    assert access(acme, row) is None


def test_two_admins_who_leave_at_once_lose_nothing(app: Flask, acme: Company) -> None:
    for _ in range(4):
        person, friend = acme.add_person(), acme.add_person()
        row = add_private(person)
        share(person, row, friend, "admin")
        answers = at_once(
            app,
            *(
                (acme, lambda caller, who=who: caller.delete(f"/users/{who.uuid}"))
                for who in (person, friend)
            ),
        )
        assert statuses(answers) == [204, 204]
        assert access(acme, row) == "admin"


def test_one_who_leaves_while_the_list_is_shared_with_them(app: Flask, acme: Company) -> None:
    for _ in range(4):
        person, friend = acme.add_person(), acme.add_person()
        row = add_private(person)
        path = f"{path_of(row)}/members/users/{friend.uuid}"
        shared, left = at_once(
            app,
            (person, lambda caller, path=path: caller.call("PUT", path, json={"access": "admin"})),
            (acme, lambda caller, friend=friend: caller.delete(f"/users/{friend.uuid}")),
        )
        assert shared.status_code in (200, 404)
        assert left.status_code == 204


def test_one_whose_last_admin_leaves_it(acme: Company) -> None:
    person, friend, other = acme.add_person(), acme.add_person(), acme.add_person()
    row, second = add_private(person), add_private(other)
    share(person, row, friend, "admin")
    leave(acme, person)
    path = f"{path_of(row)}/members/users/{friend.uuid}"
    assert friend.call("PUT", path, json={"access": "read"}).status_code == 200
    assert [access(who, row) for who in (acme, friend)] == ["admin", "read"]
    assert access(acme, second) is None


@pytest.mark.parametrize("how", ["member", "group"])
def test_one_whose_last_admins_were_in_a_group(acme: Company, how: str) -> None:
    person, friend = acme.add_person(), acme.add_person()
    row = add_private(person)
    group = acme.post("/groups/", {"name": uuid.uuid4().hex}).json["uuid"]
    acme.call("PUT", f"/groups/{group}/members/{friend.uuid}")
    path = f"{path_of(row)}/members/groups/{group}"
    assert person.call("PUT", path, json={"access": "admin"}).status_code == 200
    leave(acme, person)
    assert [access(who, row) for who in (acme, friend)] == [None, "admin"]
    suffix = f"/members/{friend.uuid}" if how == "member" else ""
    assert acme.delete(f"/groups/{group}{suffix}").status_code == 204
    assert [access(who, row) for who in (acme, friend)] == ["admin", None]
