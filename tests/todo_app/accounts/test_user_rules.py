"""Rules of users: who may touch whom, what stays unique, and who must always be there."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.factories import PASSWORD, Company, Person, new_user, sign_in
from tests.todo_app.helpers import assert_problem, at_once, statuses

LAST = "urn:todo:problem:last-master-admin"


def act(person: Person, action: str, target: Person, user_role: str) -> Any:
    """Take a master administrator's power by one of the three ways there are."""
    path = f"/users/{target.uuid}"
    if action == "delete":
        return person.delete(path)
    change = {"is_active": False} if action == "deactivate" else {"role_uuid": user_role}
    return person.patch(path, change)


@pytest.mark.parametrize("action", ["demote", "deactivate"])
def test_the_last_master_admin_keeps_the_power(acme: Company, action: str) -> None:
    answer = act(acme, action, acme, acme.role_uuid("user"))
    assert assert_problem(answer, 409)["type"] == LAST
    assert acme.get(f"/users/{acme.uuid}").json["role"]["name"] == "master_admin"
    assert acme.get(f"/users/{acme.uuid}").json["is_active"] is True


@pytest.mark.parametrize("action", ["demote", "deactivate"])
def test_an_inactive_master_admin_does_not_count(acme: Company, action: str) -> None:
    second = acme.add_person("master_admin")
    assert acme.patch(f"/users/{second.uuid}", {"is_active": False}).status_code == 200
    answer = act(acme, action, acme, acme.role_uuid("user"))
    assert assert_problem(answer, 409)["type"] == LAST


def test_a_deleted_master_admin_does_not_count(acme: Company) -> None:
    second = acme.add_person("master_admin")
    assert acme.delete(f"/users/{second.uuid}").status_code == 204
    answer = acme.patch(f"/users/{acme.uuid}", {"is_active": False})
    assert assert_problem(answer, 409)["type"] == LAST


def test_the_last_master_admin_may_change_all_else(acme: Company) -> None:
    master = acme.role_uuid("master_admin")
    changes = {"role_uuid": master, "is_active": True, "first_name": "Augusta"}
    assert acme.patch(f"/users/{acme.uuid}", changes).status_code == 200


@pytest.mark.parametrize("action", ["demote", "deactivate", "delete"])
def test_one_of_two_master_admins_may_go(acme: Company, action: str) -> None:
    second = acme.add_person("master_admin")
    assert act(second, action, acme, acme.role_uuid("user")).status_code in (200, 204)


@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize("action", ["demote", "deactivate", "delete"])
def test_two_master_admins_cannot_remove_each_other_at_once(
    app: Flask, acme: Company, action: str, attempt: int
) -> None:
    second = acme.add_person("master_admin")
    role = acme.role_uuid("user")
    answers = at_once(
        app,
        (acme, lambda own: act(own, action, second, role)),
        (second, lambda own: act(own, action, acme, role)),
    )
    won = [answer for answer in answers if answer.status_code < 300]
    assert len(won) == 1, statuses(answers)
    lost = next(answer for answer in answers if answer not in won)
    # Who comes late enough is not an administrator any more when the request is checked.
    assert lost.status_code in (401, 403, 409)
    survivor = acme if answers[0] in won else second
    assert survivor.get(f"/users/{survivor.uuid}").json["role"]["name"] == "master_admin"
    assert survivor.get(f"/users/{survivor.uuid}").json["is_active"] is True


@pytest.mark.parametrize("role", ["master_admin", "admin"])
@pytest.mark.parametrize(
    "change", [{"first_name": "X"}, {"password": "something else"}, {"is_active": False}, None]
)
def test_an_admin_cannot_touch_admins(
    company: Company, people: dict[str, Person], role: str, change: dict[str, Any] | None
) -> None:
    target = company if role == "master_admin" else company.add_person("admin")
    path = f"/users/{target.uuid}"
    before = company.get(path).json
    admin = people["admin"]
    answer = admin.delete(path) if change is None else admin.patch(path, change)
    assert_problem(answer, 403)
    assert company.get(path).json == before
    assert sign_in(company.client, company.slug, target.email).uuid == target.uuid


@pytest.mark.parametrize("role", ["master_admin", "admin"])
def test_an_admin_cannot_make_admins(
    company: Company, people: dict[str, Person], role: str
) -> None:
    admin, user, above = people["admin"], company.add_person(), company.role_uuid(role)
    assert_problem(admin.post("/users/", new_user("up@example.com", above)), 403)
    assert_problem(admin.patch(f"/users/{user.uuid}", {"role_uuid": above}), 403)
    assert_problem(admin.patch(f"/users/{admin.uuid}", {"role_uuid": above}), 403)


def test_an_admin_manages_the_others(company: Company, people: dict[str, Person]) -> None:
    admin, role = people["admin"], company.role_uuid("read_only")
    created = admin.post("/users/", new_user("managed@example.com", role))
    assert created.status_code == 201
    path = f"/users/{created.json['uuid']}"
    assert admin.patch(path, {"role_uuid": company.role_uuid("user")}).status_code == 200
    assert admin.delete(path).status_code == 204


def test_nobody_can_delete_themselves(company: Company) -> None:
    second = company.add_person("master_admin")
    assert_problem(second.delete(f"/users/{second.uuid}"), 409)
    assert second.get(f"/users/{second.uuid}").status_code == 200


def test_a_new_password_ends_all_sessions(company: Company) -> None:
    person = company.add_person()
    other = sign_in(company.client, company.slug, person.email)
    changed = company.patch(f"/users/{person.uuid}", {"password": "another good one"})
    assert changed.status_code == 200
    for session in (person, other):
        assert_problem(session.get("/users/"), 401)
    body = {"email": person.email, "password": PASSWORD}
    headers = {"tenant": company.slug}
    assert_problem(company.client.post("/auth/login", json=body, headers=headers), 401)
    again = sign_in(company.client, company.slug, person.email, "another good one")
    assert again.get("/users/").status_code == 200


def test_an_address_is_unique_in_any_case(company: Company) -> None:
    role = company.role_uuid("user")
    first = company.post("/users/", new_user("unique@example.com", role))
    assert first.status_code == 201
    other = company.add_person()
    taken = "urn:todo:problem:email-taken"
    answers = [
        company.post("/users/", new_user("UNIQUE@example.COM", role)),
        company.patch(f"/users/{other.uuid}", {"email": "Unique@Example.com"}),
    ]
    for answer in answers:
        assert assert_problem(answer, 409)["type"] == taken
    own = company.patch(f"/users/{first.json['uuid']}", {"email": "UNIQUE@example.com"})
    assert own.status_code == 200


def test_an_address_is_unique_when_two_come_at_once(app: Flask, company: Company) -> None:
    role = company.role_uuid("user")
    answers = at_once(
        app,
        (company, lambda own: own.post("/users/", new_user("race@example.com", role))),
        (company, lambda own: own.post("/users/", new_user("RACE@example.com", role))),
    )
    assert statuses(answers) == [201, 409]
    assert company.get("/users/?search=race@").json["total"] == 1


def test_two_cannot_change_to_one_address_at_once(app: Flask, company: Company) -> None:
    people = [company.add_person() for _ in range(2)]
    change = {"email": "goal@example.com"}
    answers = at_once(
        app,
        *[
            (company, lambda own, target=target: own.patch(f"/users/{target.uuid}", change))
            for target in people
        ],
    )
    assert statuses(answers) == [200, 409]


def test_the_address_of_a_deleted_user_is_free_again(company: Company) -> None:
    person = company.add_person()
    company.delete(f"/users/{person.uuid}")
    again = company.post("/users/", new_user(person.email, company.role_uuid("user")))
    assert again.status_code == 201
    assert again.json["uuid"] != person.uuid
    signed_in = sign_in(company.client, company.slug, person.email)
    assert signed_in.uuid == again.json["uuid"]
    assert_problem(person.get("/users/"), 401)


def test_another_company_may_know_the_same_address(company: Company, stranger: Company) -> None:
    answer = stranger.post("/users/", new_user(company.email, stranger.role_uuid("user")))
    assert answer.status_code == 201
