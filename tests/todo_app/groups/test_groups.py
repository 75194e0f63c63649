"""`/groups`: each endpoint, who may call it, and input that must not get in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
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
    send_raw,
    statuses,
    version,
)
from tests.todo_app.people import records_of

READS = [("GET", "/groups/"), ("GET", "/groups/{}"), ("GET", "/groups/{}/members")]
WRITES = [
    ("POST", "/groups/"),
    ("PATCH", "/groups/{}"),
    ("DELETE", "/groups/{}"),
    ("PUT", "/groups/{}/members/{user}"),
    ("DELETE", "/groups/{}/members/{user}"),
]
OF_ONE = [pair for pair in READS + WRITES if "{}" in pair[1]]
SHOWN = {"uuid", "name", "description", "member_count", "created_at", "updated_at"}


def body_for(method: str) -> dict[str, Any] | None:
    """A body that the endpoint would take."""
    if method == "POST":
        return {"name": uuid.uuid4().hex}
    return {"description": "Changed"} if method == "PATCH" else None


def add_group(person: Person, name: str | None = None) -> dict[str, Any]:
    answer = person.post("/groups/", {"name": name or uuid.uuid4().hex})
    assert answer.status_code == 201
    group: dict[str, Any] = answer.json
    return group


def members(person: Person, group: dict[str, Any]) -> list[str]:
    page = person.get(f"/groups/{group['uuid']}/members").json
    assert page["total"] == person.get(f"/groups/{group['uuid']}").json["member_count"]
    return sorted(user["uuid"] for user in page["items"])


@pytest.fixture(scope="module")
def group(company: Company) -> dict[str, Any]:
    """A group that only refused requests are for."""
    return add_group(company)


@pytest.fixture
def path(company: Company) -> str:
    """The address of a fresh group."""
    return f"/groups/{add_group(company)['uuid']}"


def test_a_group_is_made_shown_changed_and_deleted(app: Flask, company: Company) -> None:
    made = company.post("/groups/", {"name": " Accounting ", "description": "Third floor"})
    assert made.status_code == 201
    assert set(made.json) == SHOWN
    assert (made.json["name"], made.json["description"]) == ("Accounting", "Third floor")
    assert made.json["member_count"] == 0
    assert version(made) == 1
    path = f"/groups/{made.json['uuid']}"
    assert company.get(path).json == made.json
    changed = company.patch(path, {"description": None})
    assert changed.status_code == 200
    assert (changed.json["name"], changed.json["description"]) == ("Accounting", None)
    assert version(changed) == 2
    unchanged = company.patch(path, {})
    assert (unchanged.json, version(unchanged)) == (changed.json, 2)
    assert company.delete(path).status_code == 204
    assert_problem(company.get(path), 404)
    told = records_of(app, company, made.json["uuid"])
    assert told == ["group.added", "group.changed", "group.deleted"]


def test_a_page_of_groups(acme: Company) -> None:
    for name in ("Łódź", "Lublin", "Gdańsk"):
        add_group(acme, name)
    page = acme.get("/groups/?order=desc").json
    assert set(page) == {"items", "total", "page", "size", "pages"}
    assert [group["name"] for group in acme.get("/groups/?search=LODZ").json["items"]] == ["Łódź"]
    assert acme.get("/groups/?search=l").json["total"] == 2
    assert acme.get("/groups/?search=_").json["total"] == 0
    assert page["total"] == 3


def test_members_come_and_go(app: Flask, acme: Company) -> None:
    group, people = add_group(acme), [acme.add_person() for _ in range(3)]
    for person in [*people, people[0]]:
        path = f"/groups/{group['uuid']}/members/{person.uuid}"
        assert acme.call("PUT", path).status_code == 204
    assert members(acme, group) == sorted(person.uuid for person in people)
    found = acme.get(f"/groups/{group['uuid']}/members?search=grace hopper&size=2").json
    assert (len(found["items"]), found["total"]) == (2, 3)
    for _ in range(2):
        path = f"/groups/{group['uuid']}/members/{people[0].uuid}"
        assert acme.delete(path).status_code == 204
    assert members(acme, group) == sorted(person.uuid for person in people[1:])
    told = records_of(app, acme, group["uuid"])
    assert told == ["group.added", *["group.member_added"] * 3, "group.member_removed"]


def test_a_deleted_user_is_in_no_group(acme: Company) -> None:
    group, person = add_group(acme), acme.add_person()
    path = f"/groups/{group['uuid']}/members/{person.uuid}"
    acme.call("PUT", path)
    acme.delete(f"/users/{person.uuid}")
    assert members(acme, group) == []
    for method in ("PUT", "DELETE"):
        assert_problem(acme.call(method, path), 404)
    acme.post(f"/users/{person.uuid}/reactivate")
    assert members(acme, group) == []


def test_the_people_of_a_deleted_group_stay(acme: Company) -> None:
    group, person = add_group(acme), acme.add_person()
    acme.call("PUT", f"/groups/{group['uuid']}/members/{person.uuid}")
    assert acme.delete(f"/groups/{group['uuid']}").status_code == 204
    assert person.get("/users/me").status_code == 200
    assert_problem(acme.get(f"/groups/{group['uuid']}/members"), 404)


def test_a_member_who_is_unknown_here(
    company: Company, stranger: Company, group: dict[str, Any]
) -> None:
    for user in (stranger.uuid, str(uuid.uuid4())):
        for method in ("PUT", "DELETE"):
            path = f"/groups/{group['uuid']}/members/{user}"
            assert_problem(company.call(method, path), 404)
    assert members(company, group) == []


@pytest.mark.parametrize("attempt", range(3))
def test_who_is_deleted_while_put_into_a_group_is_not_in_it(
    app: Flask, acme: Company, attempt: int
) -> None:
    group, person = add_group(acme), acme.add_person()
    path = f"/groups/{group['uuid']}/members/{person.uuid}"
    put, deleted = at_once(
        app,
        (acme, lambda own: own.call("PUT", path)),
        (acme, lambda own: own.delete(f"/users/{person.uuid}")),
    )
    assert put.status_code in (204, 404)
    assert deleted.status_code == 204
    assert members(acme, group) == []


@pytest.mark.parametrize("attempt", range(3))
def test_a_group_is_deleted_while_somebody_is_put_into_it(
    app: Flask, acme: Company, attempt: int
) -> None:
    group, person = add_group(acme), acme.add_person()
    path = f"/groups/{group['uuid']}"
    put, deleted = at_once(
        app,
        (acme, lambda own: own.call("PUT", f"{path}/members/{person.uuid}")),
        (acme, lambda own: own.delete(path)),
    )
    assert put.status_code in (204, 404)
    assert deleted.status_code == 204
    assert_problem(acme.get(path), 404)


def test_a_member_put_in_four_times_at_once_is_in_once(app: Flask, acme: Company) -> None:
    group, person = add_group(acme), acme.add_person()
    path = f"/groups/{group['uuid']}/members/{person.uuid}"
    call = (acme, lambda own: own.call("PUT", path))
    assert statuses(at_once(app, *[call] * 4)) == [204] * 4
    assert members(acme, group) == [person.uuid]


def test_a_name_is_unique_in_any_case(company: Company) -> None:
    add_group(company, "Sales")
    other = add_group(company)
    taken = "urn:todo:problem:group-exists"
    answers = [
        company.post("/groups/", {"name": "SALES"}),
        company.patch(f"/groups/{other['uuid']}", {"name": "sales"}),
    ]
    for answer in answers:
        assert assert_problem(answer, 409)["type"] == taken


def test_a_name_is_unique_when_two_come_at_once(app: Flask, company: Company) -> None:
    name = uuid.uuid4().hex
    answers = at_once(
        app,
        (company, lambda own: own.post("/groups/", {"name": name})),
        (company, lambda own: own.post("/groups/", {"name": name.upper()})),
    )
    assert statuses(answers) == [201, 409]


@pytest.mark.parametrize(("method", "path"), READS + WRITES)
def test_without_a_token_401(
    company: Company, group: dict[str, Any], method: str, path: str
) -> None:
    path = path.format(group["uuid"], user=company.uuid)
    headers = {"tenant": company.slug}
    assert_problem(company.client.open(path, method=method, headers=headers), 401)


@pytest.mark.parametrize("role", ["user", "read_only"])
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_without_the_permission_403(
    company: Company,
    people: dict[str, Person],
    group: dict[str, Any],
    role: str,
    method: str,
    path: str,
) -> None:
    path = path.format(group["uuid"], user=company.uuid)
    assert_problem(people[role].call(method, path, json=body_for(method)), 403)
    assert company.get(f"/groups/{group['uuid']}").json == group


@pytest.mark.parametrize("role", ["admin", "user", "read_only"])
@pytest.mark.parametrize(("method", "path"), READS)
def test_everybody_may_read(
    people: dict[str, Person], group: dict[str, Any], role: str, method: str, path: str
) -> None:
    assert people[role].call(method, path.format(group["uuid"])).status_code == 200


def test_an_admin_manages_groups(people: dict[str, Person]) -> None:
    admin = people["admin"]
    path = f"/groups/{add_group(admin)['uuid']}"
    assert admin.patch(path, {"name": uuid.uuid4().hex}).status_code == 200
    assert admin.call("PUT", f"{path}/members/{admin.uuid}").status_code == 204
    assert admin.delete(path).status_code == 204


@pytest.mark.parametrize(("method", "path"), OF_ONE)
def test_another_tenants_group_is_404(
    company: Company, stranger: Company, group: dict[str, Any], method: str, path: str
) -> None:
    for target in (group["uuid"], str(uuid.uuid4())):
        address = path.format(target, user=stranger.uuid)
        assert_problem(stranger.call(method, address, json=body_for(method)), 404)
    assert company.get(f"/groups/{group['uuid']}").json == group


def test_versions(company: Company, path: str) -> None:
    old = company.get(path).headers["ETag"]
    headers = {"If-Match": old}
    assert company.patch(path, {"description": "1"}, headers=headers).status_code == 200
    assert_problem(company.patch(path, {"description": "2"}, headers=headers), 412)
    assert_problem(company.delete(path, headers=headers), 412)
    current = company.get(path).headers["ETag"]
    assert company.get(path, headers={"If-None-Match": current}).status_code == 304
    company.call("PUT", f"{path}/members/{company.uuid}")
    assert company.get(path, headers={"If-None-Match": current}).status_code == 200
    assert company.delete(path, headers={"If-Match": current}).status_code == 204


def test_of_two_changes_from_one_version_one_is_made(
    app: Flask, company: Company, path: str
) -> None:
    headers = {"If-Match": company.get(path).headers["ETag"]}
    answers = at_once(
        app,
        *[
            (company, lambda own, n=n: own.patch(path, {"description": str(n)}, headers=headers))
            for n in range(3)
        ],
    )
    assert statuses(answers) == [200, 412, 412]


def test_a_key_repeats_the_first_answer(company: Company) -> None:
    body, headers = body_for("POST"), {"Idempotency-Key": uuid.uuid4().hex}
    first = company.post("/groups/", body, headers=headers)
    again = company.post("/groups/", body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json == again.json


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "N" * 101}, "name"),
        ({"description": "D" * 1_001}, "description"),
        ({"description": 1}, "description"),
        ({"description": "a\x00b"}, "description"),
        ({"members": []}, "members"),
        ({"member_count": 1}, "member_count"),
        ({"uuid": str(uuid.uuid4())}, "uuid"),
        ({"id": 1}, "id"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_bad_input_is_named(
    company: Company, group: dict[str, Any], method: str, values: dict[str, Any], field: str
) -> None:
    path = "/groups/" if method == "POST" else f"/groups/{group['uuid']}"
    body = {**(body_for("POST") or {}), **values} if method == "POST" else values
    problem = assert_problem(company.call(method, path, json=body), 422)
    assert set(problem["errors"]["json"]) == {field}


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_name(company: Company, group: dict[str, Any], text: Any) -> None:
    for answer in (
        company.patch(f"/groups/{group['uuid']}", {"name": text}),
        company.post("/groups/", {"name": text}),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"name"}


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_page_parameters(company: Company, group: dict[str, Any], query: str) -> None:
    for path in ("/groups/", f"/groups/{group['uuid']}/members"):
        assert_problem(company.get(f"{path}?{query}"), 422)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company,
    group: dict[str, Any],
    method: str,
    body: bytes,
    content_type: str,
    status: int,
) -> None:
    path = "/groups/" if method == "POST" else f"/groups/{group['uuid']}"
    assert_problem(send_raw(company, method, path, body, content_type), status)


def test_lone_surrogates_are_refused(company: Company, group: dict[str, Any]) -> None:
    path = f"/groups/{group['uuid']}"
    assert_unreadable(send_raw(company, "PATCH", path, {"name": LONE_SURROGATE}))


@pytest.mark.parametrize("wrong", ["1", "x", "' OR 1=1", "..%2f.."])
def test_an_address_that_is_no_uuid(company: Company, group: dict[str, Any], wrong: str) -> None:
    assert_problem(company.get(f"/groups/{wrong}"), 404)
    assert_problem(company.call("PUT", f"/groups/{group['uuid']}/members/{wrong}"), 404)
