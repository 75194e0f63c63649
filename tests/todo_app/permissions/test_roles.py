"""`/permissions`: each endpoint, who may call it, and input that must not get in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import (
    BAD_QUERIES,
    BAD_TEXTS,
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
from tests.todo_app.people import (
    STALE,
    add_person,
    add_role,
    invite,
    make_stale,
    records_of,
)
from todo_app.database import db
from todo_app.invitations.models import Invitation
from todo_app.permissions.models import ALL_PERMISSIONS, PERMISSIONS

READS = [
    ("GET", "/permissions/"),
    ("GET", "/permissions/groups"),
    ("GET", "/permissions/users?permission=tasks:read"),
    ("GET", "/permissions/{}"),
    ("GET", "/permissions/{}/users"),
]
WRITES = [
    ("POST", "/permissions/"),
    ("PATCH", "/permissions/{}"),
    ("DELETE", "/permissions/{}"),
]
OF_ONE = [pair for pair in READS + WRITES if "{}" in pair[1]]
SHOWN = {
    "uuid",
    "name",
    "title",
    "description",
    "is_builtin",
    "permissions",
    "user_count",
    "version",
}
SOME = ["tasks:read", "users:read"]


def body_for(method: str) -> dict[str, Any] | None:
    """A body that the endpoint would take."""
    if method == "POST":
        return {"title": f"Role {uuid.uuid4().hex}", "permissions": SOME}
    return {"description": "Changed"} if method == "PATCH" else None


@pytest.fixture(scope="module")
def role(company: Company) -> dict[str, Any]:
    """A role that only refused requests are for."""
    return add_role(company, *SOME)


@pytest.fixture
def path(company: Company) -> str:
    """The address of a fresh role."""
    return f"/permissions/{add_role(company, *SOME)['uuid']}"


def test_the_built_in_roles_are_listed_with_what_they_permit(acme: Company) -> None:
    page = acme.get("/permissions/?field=created_at").json
    assert page["total"] == 4
    roles = {role["name"]: role for role in page["items"]}
    assert set(roles) == {"master_admin", "admin", "user", "read_only"}
    assert all(set(role) == SHOWN and role["is_builtin"] for role in roles.values())
    assert set(roles["master_admin"]["permissions"]) == ALL_PERMISSIONS
    assert roles["master_admin"]["user_count"] == 1
    assert roles["user"]["user_count"] == 0


def test_a_role_is_made_shown_changed_and_deleted(app: Flask, company: Company) -> None:
    body = {
        "title": "  Żółty zespół ",
        "description": "Yellow",
        "permissions": ["users:read", "tasks:read"],
    }
    made = company.post("/permissions/", body)
    assert made.status_code == 201
    assert set(made.json) == SHOWN
    assert made.json["title"] == "Żółty zespół"
    assert made.json["name"] == "zolty_zespol"
    assert made.json["permissions"] == ["tasks:read", "users:read"]
    assert (made.json["is_builtin"], made.json["user_count"]) == (False, 0)
    assert version(made) == made.json["version"] == 1
    path = f"/permissions/{made.json['uuid']}"
    assert company.get(path).json == made.json
    changed = company.patch(path, {"title": "Green", "permissions": ["tasks:read"]})
    assert changed.status_code == 200
    expected = {"title": "Green", "permissions": ["tasks:read"], "version": 2}
    assert changed.json == company.get(path).json == {**made.json, **expected}
    assert company.patch(path, {}).json == changed.json
    assert company.patch(path, {"description": None}).json["description"] is None
    assert company.delete(path).status_code == 204
    assert_problem(company.get(path), 404)
    told = records_of(app, company, made.json["uuid"])
    assert told == ["role.added", "role.changed", "role.changed", "role.deleted"]


def test_a_person_with_a_role_of_the_company_s_own(company: Company) -> None:
    role = add_role(company, "tasks:read", "users:read")
    person = add_person(company, role["uuid"])
    assert person.get("/lists/").status_code == 200
    assert_problem(person.post("/lists/", {"title": "No"}), 403)
    path = f"/permissions/{role['uuid']}"
    assert company.get(path).json["user_count"] == 1
    more = {"permissions": ["tasks:read", "users:read", "tasks:write"]}
    assert company.patch(path, more).status_code == 200
    assert person.post("/lists/", {"title": "Yes"}).status_code == 201
    assert company.patch(path, {"permissions": []}).status_code == 200
    assert_problem(person.get("/lists/"), 403)


def test_search_finds_titles_without_accents(acme: Company) -> None:
    add_role(acme, title="Główna księgowa")
    page = acme.get("/permissions/?search=GLOWNA ksiegowa").json
    assert [role["title"] for role in page["items"]] == ["Główna księgowa"]
    assert acme.get("/permissions/?search=%25").json["total"] == 0


def test_all_permissions_are_told_by_group(company: Company) -> None:
    groups = company.get("/permissions/groups").json["items"]
    told = {
        group["name"]: {one["name"]: one["description"] for one in group["permissions"]}
        for group in groups
    }
    assert told == PERMISSIONS


def test_who_has_a_role(acme: Company) -> None:
    people = sorted(acme.add_person().uuid for _ in range(3))
    user = acme.role_uuid("user")
    page = acme.get(f"/permissions/{user}/users").json
    assert sorted(one["uuid"] for one in page["items"]) == people
    acme.delete(f"/users/{people[0]}")
    assert acme.get(f"/permissions/{user}/users").json["total"] == 2
    assert acme.get(f"/permissions/{user}").json["user_count"] == 2
    found = acme.get(f"/permissions/{user}/users?search=grace hop&size=1").json
    assert (len(found["items"]), found["total"], found["pages"]) == (1, 2, 2)


def test_who_has_a_permission(acme: Company) -> None:
    reader, user = acme.add_person("read_only"), acme.add_person()

    def holders(permission: str) -> set[str]:
        page = acme.get(f"/permissions/users?permission={permission}").json
        return {one["uuid"] for one in page["items"]}

    assert holders("tasks:read") == {acme.uuid, reader.uuid, user.uuid}
    assert holders("tasks:write") == {acme.uuid, user.uuid}
    assert holders("roles:write") == {acme.uuid}


@pytest.mark.parametrize("query", ["", "permission=", "permission=x", "permission=tasks:read,x"])
def test_the_permission_must_be_one(company: Company, query: str) -> None:
    problem = assert_problem(company.get(f"/permissions/users?{query}"), 422)
    assert set(problem["errors"]["query"]) == {"permission"}


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_page_parameters(company: Company, role: dict[str, Any], query: str) -> None:
    for path in ("/permissions/?", f"/permissions/{role['uuid']}/users?"):
        assert_problem(company.get(path + query), 422)
    assert_problem(company.get(f"/permissions/users?permission=tasks:read&{query}"), 422)


@pytest.mark.parametrize(("method", "path"), READS + WRITES)
def test_without_a_token_401(
    company: Company, role: dict[str, Any], method: str, path: str
) -> None:
    path = path.format(role["uuid"])
    headers = {"tenant": company.slug}
    assert_problem(company.client.open(path, method=method, headers=headers), 401)


@pytest.mark.parametrize("rank", ["admin", "user", "read_only"])
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_without_the_permission_403(
    company: Company,
    people: dict[str, Person],
    role: dict[str, Any],
    rank: str,
    method: str,
    path: str,
) -> None:
    path = path.format(role["uuid"])
    assert_problem(people[rank].call(method, path, json=body_for(method)), 403)
    assert company.get(f"/permissions/{role['uuid']}").json == role


@pytest.mark.parametrize("rank", ["admin", "user", "read_only"])
@pytest.mark.parametrize(("method", "path"), READS)
def test_everybody_may_read(
    people: dict[str, Person], role: dict[str, Any], rank: str, method: str, path: str
) -> None:
    assert people[rank].call(method, path.format(role["uuid"])).status_code == 200


@pytest.mark.parametrize(("method", "path"), OF_ONE)
def test_another_tenants_role_is_404(
    company: Company, stranger: Company, role: dict[str, Any], method: str, path: str
) -> None:
    for target in (role["uuid"], str(uuid.uuid4())):
        assert_problem(stranger.call(method, path.format(target), json=body_for(method)), 404)
    assert company.get(f"/permissions/{role['uuid']}").json == role


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_an_hour_old_session_must_show_the_password_again(
    app: Flask, acme: Company, method: str, path: str
) -> None:
    role = add_role(acme, *SOME)
    make_stale(app, acme)
    answer = acme.call(method, path.format(role["uuid"]), json=body_for(method))
    assert assert_problem(answer, 401)["type"] == STALE
    assert acme.get(f"/permissions/{role['uuid']}").json == role


@pytest.mark.parametrize("name", ["master_admin", "admin", "user", "read_only"])
def test_built_in_roles_never_change(company: Company, name: str) -> None:
    path = f"/permissions/{company.role_uuid(name)}"
    before = company.get(path).json
    for answer in (
        company.patch(path, {"title": "Mine"}),
        company.patch(path, {"permissions": []}),
        company.patch(path, {}),
        company.delete(path),
    ):
        assert assert_problem(answer, 409)["type"] == "urn:todo:problem:builtin-role"
    assert company.get(path).json["title"] == before["title"]
    assert company.get(path).json["permissions"] == before["permissions"]


@pytest.mark.parametrize("title", ["Twice told", "TWICE TOLD", "Twice-Told!", "twice_told"])
def test_a_title_is_unique(acme: Company, title: str) -> None:
    add_role(acme, title="Twice told")
    other = add_role(acme, title="Other")
    taken = "urn:todo:problem:role-exists"
    answer = acme.post("/permissions/", {"title": title, "permissions": []})
    assert assert_problem(answer, 409)["type"] == taken
    answer = acme.patch(f"/permissions/{other['uuid']}", {"title": "twice TOLD"})
    assert assert_problem(answer, 409)["type"] == taken
    own = acme.patch(f"/permissions/{other['uuid']}", {"title": "OTHER"})
    assert own.status_code == 200


def test_nobody_takes_the_title_of_a_built_in_role(company: Company) -> None:
    for title in ("Master administrator", "administrator", "Read only", "master admin"):
        assert_problem(company.post("/permissions/", {"title": title, "permissions": []}), 409)


def test_a_title_is_unique_when_two_come_at_once(app: Flask, company: Company) -> None:
    body = {"title": "At once", "permissions": SOME}
    call = (company, lambda own: own.post("/permissions/", body))
    assert statuses(at_once(app, *[call] * 4)) == [201, 409, 409, 409]


def test_a_title_of_signs_alone_makes_no_name(company: Company) -> None:
    problem = assert_problem(company.post("/permissions/", {"title": "🦄", "permissions": []}), 422)
    assert set(problem["errors"]["json"]) == {"title"}


def test_a_role_in_use_stays_and_says_how_many(app: Flask, company: Company) -> None:
    role = add_role(company, *SOME)
    path = f"/permissions/{role['uuid']}"
    people = [add_person(company, role["uuid"]) for _ in range(2)]
    invitation = invite(app, company, role["uuid"])
    problem = assert_problem(company.delete(path), 409)
    assert problem["type"] == "urn:todo:problem:role-in-use"
    assert "role: 2;" in problem["detail"]
    assert "it: 1." in problem["detail"]
    for person in people:
        company.patch(f"/users/{person.uuid}", {"role_uuid": company.role_uuid("user")})
    assert_problem(company.delete(path), 409)
    with_nobody = f"/users/{people[0].uuid}"
    assert company.get(with_nobody).json["role"]["name"] == "user"
    assert invitation


def test_deleted_users_of_a_deleted_role_come_back_as_readers(company: Company) -> None:
    role = add_role(company, "tasks:read", "tasks:write", "users:read")
    person = add_person(company, role["uuid"])
    path = f"/users/{person.uuid}"
    assert company.delete(path).status_code == 204
    assert company.delete(f"/permissions/{role['uuid']}").status_code == 204
    back = company.post(f"{path}/reactivate")
    assert back.status_code == 200
    assert back.json["role"]["name"] == "read_only"


@pytest.mark.parametrize("attempt", range(3))
def test_a_role_is_deleted_while_it_is_handed_out(
    app: Flask, company: Company, attempt: int
) -> None:
    role = add_role(company, *SOME)
    person = company.add_person()
    change = {"role_uuid": role["uuid"]}
    answers = at_once(
        app,
        (company, lambda own: own.patch(f"/users/{person.uuid}", change)),
        (company, lambda own: own.delete(f"/permissions/{role['uuid']}")),
    )
    assert [answer.status_code for answer in answers] in ([200, 409], [422, 204])
    shown = company.get(f"/users/{person.uuid}").json["role"]["name"]
    assert shown == (role["name"] if answers[0].status_code == 200 else "user")


def test_versions(company: Company, path: str) -> None:
    old = company.get(path).headers["ETag"]
    headers = {"If-Match": old}
    assert company.patch(path, {"description": "1"}, headers=headers).status_code == 200
    assert_problem(company.patch(path, {"description": "2"}, headers=headers), 412)
    assert_problem(company.delete(path, headers=headers), 412)
    current = company.get(path).headers["ETag"]
    assert company.get(path, headers={"If-None-Match": current}).status_code == 304
    assert company.delete(path, headers={"If-Match": current}).status_code == 204


def test_of_two_changes_from_one_version_one_is_made(
    app: Flask, company: Company, path: str
) -> None:
    headers = {"If-Match": company.get(path).headers["ETag"]}
    answers = at_once(
        app,
        *[
            (company, lambda own, n=n: own.patch(path, {"title": f"T{n}"}, headers=headers))
            for n in range(3)
        ],
    )
    assert statuses(answers) == [200, 412, 412]


def test_a_key_repeats_the_first_answer(company: Company) -> None:
    body, headers = body_for("POST"), {"Idempotency-Key": uuid.uuid4().hex}
    first = company.post("/permissions/", body, headers=headers)
    again = company.post("/permissions/", body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json == again.json


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"permissions": ["x"]}, "permissions"),
        ({"permissions": ["tasks:read", "tasks:read"]}, "permissions"),
        ({"permissions": ["tasks:read"] * 1_000}, "permissions"),
        ({"permissions": "tasks:read"}, "permissions"),
        ({"permissions": [["tasks:read"]]}, "permissions"),
        ({"permissions": [None]}, "permissions"),
        ({"permissions": None}, "permissions"),
        ({"permissions": {"tasks:read": True}}, "permissions"),
        ({"permissions": ["TASKS:READ"]}, "permissions"),
        ({"permissions": ["tasks:read\x00"]}, "permissions"),
        ({"title": "T" * 101}, "title"),
        ({"description": "T" * 1_001}, "description"),
        ({"description": 1}, "description"),
        ({"name": "mine"}, "name"),
        ({"is_builtin": True}, "is_builtin"),
        ({"user_count": 1}, "user_count"),
        ({"version": 1}, "version"),
        ({"uuid": str(uuid.uuid4())}, "uuid"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_bad_input_is_named(
    company: Company, role: dict[str, Any], method: str, values: dict[str, Any], field: str
) -> None:
    path = "/permissions/" if method == "POST" else f"/permissions/{role['uuid']}"
    body = {**(body_for("POST") or {}), **values} if method == "POST" else values
    problem = assert_problem(company.call(method, path, json=body), 422)
    assert set(problem["errors"]["json"]) == {field}
    assert company.get(f"/permissions/{role['uuid']}").json == role


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_title(company: Company, role: dict[str, Any], text: Any) -> None:
    for answer in (
        company.patch(f"/permissions/{role['uuid']}", {"title": text}),
        company.post("/permissions/", {"title": text, "permissions": []}),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"title"}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company,
    role: dict[str, Any],
    method: str,
    body: bytes,
    content_type: str,
    status: int,
) -> None:
    path = "/permissions/" if method == "POST" else f"/permissions/{role['uuid']}"
    assert_problem(send_raw(company, method, path, body, content_type), status)


def test_lone_surrogates_are_refused(company: Company, role: dict[str, Any]) -> None:
    path = f"/permissions/{role['uuid']}"
    for body in ({"title": LONE_SURROGATE}, {"permissions": [LONE_SURROGATE]}):
        assert_unreadable(send_raw(company, "PATCH", path, body))


def test_an_expired_invitation_keeps_no_role(app: Flask, acme: Company) -> None:
    role = add_role(acme, *SOME)
    invite(app, acme, role["uuid"])
    with inside(app, acme.slug):
        db.session.execute(sa.update(Invitation).values(expires_at=sa.func.now()))
    assert acme.delete(f"/permissions/{role['uuid']}").status_code == 204
    (invitation,) = acme.get("/users/invitations/").json["items"]
    assert invitation["role"]["name"] == "read_only"
