"""`/users`: each endpoint, and who may call it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from flask import Flask

from tests.factories import PASSWORD, Company, Person, new_user, sign_in
from tests.todo_app.helpers import BAD_QUERIES, assert_problem, version
from todo_app.config import Settings
from todo_app.database import db

READS = [("GET", "/users/"), ("GET", "/users/count"), ("GET", "/users/roles"), ("GET", "/users/{}")]
WRITES = [("POST", "/users/"), ("PATCH", "/users/{}"), ("DELETE", "/users/{}")]
OF_ONE_USER = [pair for pair in READS + WRITES if "{}" in pair[1]]

IN_A_PAGE = {
    "uuid",
    "first_name",
    "last_name",
    "email",
    "phone",
    "is_active",
    "is_verified",
    "role",
}
ALONE = IN_A_PAGE | {
    "language",
    "timezone",
    "has_avatar",
    "created_at",
    "updated_at",
    "deleted_at",
}


def body_for(company: Company, method: str) -> dict[str, Any] | None:
    """A body that the endpoint would take."""
    if method == "POST":
        return new_user(f"{uuid.uuid4().hex}@example.com", company.role_uuid("user"))
    return {"first_name": "Changed"} if method == "PATCH" else None


@pytest.fixture(scope="module")
def newcomer(company: Company) -> dict[str, Any]:
    """A user whom tests look at and do not change."""
    answer = company.post("/users/", new_user("new@example.com", company.role_uuid("user")))
    assert answer.status_code == 201
    user: dict[str, Any] = answer.json
    return user


def test_a_page_has_the_promised_fields(company: Company) -> None:
    page = company.get("/users/?size=1").json
    assert set(page) == {"items", "total", "page", "size", "pages"}
    assert (page["page"], page["size"]) == (1, 1)
    assert page["pages"] == page["total"] == company.get("/users/count").json["count"]
    assert set(page["items"][0]) == IN_A_PAGE
    assert set(page["items"][0]["role"]) == {"uuid", "name", "title"}


def test_the_seeded_roles(company: Company) -> None:
    roles = company.get("/users/roles").json["items"]
    assert [role["name"] for role in roles] == ["master_admin", "admin", "user", "read_only"]


def test_a_new_user_can_sign_in(company: Company) -> None:
    role = company.role_uuid("user")
    more = {"phone": "+48 22", "language": "pl", "timezone": "Europe/Warsaw"}
    answer = company.post("/users/", new_user("Fresh@Example.com", role, **more))
    assert answer.status_code == 201
    assert set(answer.json) == ALONE
    assert answer.json["email"] == "fresh@example.com"
    assert {key: answer.json[key] for key in more} == more
    assert answer.json["role"] == {"uuid": role, "name": "user", "title": "User"}
    assert version(answer) == 1
    assert "password" not in answer.text
    assert sign_in(company.client, company.slug, "fresh@example.com").uuid == answer.json["uuid"]


def test_one_user(company: Company, newcomer: dict[str, Any]) -> None:
    answer = company.get(f"/users/{newcomer['uuid']}")
    assert answer.status_code == 200
    assert answer.json == newcomer


def test_both_forms_of_the_address_answer(company: Company) -> None:
    assert company.get("/users").status_code == company.get("/users/").status_code == 200


def test_patch_changes_only_what_is_sent(company: Company) -> None:
    answer = company.post("/users/", new_user("patch@example.com", company.role_uuid("user")))
    path = f"/users/{answer.json['uuid']}"
    changed = company.patch(path, {"first_name": "  Margaret ", "phone": "1"})
    assert changed.status_code == 200
    expected = {**answer.json, "first_name": "Margaret", "phone": "1"}
    expected["updated_at"] = changed.json["updated_at"]
    assert changed.json == expected == company.get(path).json
    assert company.patch(path, {"phone": None}).json["phone"] is None
    unchanged = company.get(path)
    assert company.patch(path, {}).json == unchanged.json
    assert company.get(path).headers["ETag"] == unchanged.headers["ETag"]


def test_a_role_can_be_changed(company: Company) -> None:
    person = company.add_person("read_only")
    role = company.role_uuid("user")
    changed = company.patch(f"/users/{person.uuid}", {"role_uuid": role})
    assert changed.json["role"]["name"] == "user"
    assert_problem(person.get("/lists/"), 401)
    again = sign_in(company.client, company.slug, person.email)
    assert again.post("/lists/", {"title": "Now I may"}).status_code == 201


def test_a_deleted_user_is_gone(company: Company) -> None:
    person = company.add_person()
    count = company.get("/users/count").json["count"]
    answer = company.delete(f"/users/{person.uuid}")
    assert (answer.status_code, answer.data) == (204, b"")
    for method, path in OF_ONE_USER:
        body = body_for(company, method)
        assert_problem(company.call(method, path.format(person.uuid), json=body), 404)
    assert company.get("/users/count").json["count"] == count - 1
    assert company.get(f"/users/?search={person.email}").json["total"] == 0


@pytest.mark.parametrize(("method", "path"), READS + WRITES)
def test_without_a_token_401(
    company: Company, newcomer: dict[str, Any], method: str, path: str
) -> None:
    path = path.format(newcomer["uuid"])
    headers = {"tenant": company.slug}
    assert_problem(company.client.open(path, method=method, headers=headers), 401)


@pytest.mark.parametrize("role", ["user", "read_only"])
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_without_the_permission_403(
    company: Company,
    people: dict[str, Person],
    newcomer: dict[str, Any],
    role: str,
    method: str,
    path: str,
) -> None:
    path = path.format(newcomer["uuid"])
    assert_problem(people[role].call(method, path, json=body_for(company, method)), 403)
    assert company.get(f"/users/{newcomer['uuid']}").json == newcomer


@pytest.mark.parametrize("role", ["admin", "user", "read_only"])
@pytest.mark.parametrize(("method", "path"), READS)
def test_everybody_may_read(
    people: dict[str, Person], newcomer: dict[str, Any], role: str, method: str, path: str
) -> None:
    assert people[role].call(method, path.format(newcomer["uuid"])).status_code == 200


@pytest.mark.parametrize(("method", "path"), OF_ONE_USER)
def test_another_tenants_user_is_404(
    company: Company, stranger: Company, newcomer: dict[str, Any], method: str, path: str
) -> None:
    body = body_for(stranger, method)
    foreign = stranger.call(method, path.format(newcomer["uuid"]), json=body)
    unknown = stranger.call(method, path.format(uuid.uuid4()), json=body)
    for answer in (foreign, unknown):
        assert_problem(answer, 404)
    assert foreign.json["detail"] == unknown.json["detail"]
    assert company.get(f"/users/{newcomer['uuid']}").json == newcomer


@pytest.mark.parametrize("wrong", ["1", "x", "' OR 1=1", "%00", "..%2f..", "0" * 500])
def test_an_address_that_is_no_uuid(company: Company, wrong: str) -> None:
    assert_problem(company.get(f"/users/{wrong}"), 400 if wrong == "%00" else 404)


def test_another_tenants_role_is_unknown_here(company: Company, stranger: Company) -> None:
    for role in (stranger.role_uuid("user"), str(uuid.uuid4())):
        answer = company.post("/users/", new_user("role@example.com", role))
        problem = assert_problem(answer, 422)
        assert problem["errors"] == {"json": {"role_uuid": ["There is no such role."]}}


def test_search_looks_into_names_and_address(company: Company) -> None:
    role = company.role_uuid("user")
    person = {"first_name": "Zoë", "last_name": "O'Hara"}
    company.post("/users/", {**new_user("zoe_1@example.com", role), **person})
    for text in ("zoË", "o'h", "ZOE_1@"):
        page = company.get("/users/", query_string={"search": text}).json
        assert [user["email"] for user in page["items"]] == ["zoe_1@example.com"], text


@pytest.mark.parametrize("text", ["%", "_ada", "\\", "%%", "' OR ''='", "*"])
def test_search_knows_no_wildcards(company: Company, text: str) -> None:
    page = company.get("/users/", query_string={"search": text}).json
    assert (page["items"], page["total"]) == ([], 0)


@pytest.mark.parametrize("field", ["last_name", "first_name", "email", "created_at"])
def test_the_two_orders_mirror_each_other(acme: Company, field: str) -> None:
    role = acme.role_uuid("user")
    for number, name in enumerate("CAB"):
        user = new_user(f"{name}@example.com", role, first_name=name, last_name=f"{number}")
        acme.post("/users/", user)
    up, down = (
        [user["uuid"] for user in acme.get(f"/users/?field={field}&order={order}").json["items"]]
        for order in ("asc", "desc")
    )
    assert up == down[::-1]
    assert len(set(up)) == 4


def test_a_page_beyond_the_last_is_empty(company: Company) -> None:
    total = company.get("/users/count").json["count"]
    page = company.get("/users/?page=1000000&size=100").json
    assert (page["items"], page["total"], page["page"]) == ([], total, 1_000_000)


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_page_parameters_are_named(company: Company, query: str) -> None:
    problem = assert_problem(company.get(f"/users/?{query}"), 422)
    assert set(problem["errors"]["query"]) == {query.partition("=")[0]}


def test_null_bytes_in_the_query_are_400(company: Company) -> None:
    assert_problem(company.get("/users/?search=%00"), 400)


def test_methods_that_an_address_does_not_have(company: Company) -> None:
    assert_problem(company.call("PUT", "/users/"), 405)
    assert_problem(company.get("/users/roles/x"), 404)


@pytest.fixture
def server_in_tokyo(app: Flask, settings: Settings) -> Iterator[None]:
    """A database whose own time zone is not UTC, for new connections."""

    def set_zone(change: str) -> None:
        connection = psycopg2.connect(settings.ops_database_url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {connection.info.dbname} {change}")
        connection.close()
        with app.app_context():
            db.engine.dispose()

    set_zone("SET timezone TO 'Asia/Tokyo'")
    yield
    set_zone("RESET timezone")


@pytest.mark.usefixtures("server_in_tokyo")
def test_times_go_out_in_utc_whatever_the_servers_zone_is(company: Company) -> None:
    user = company.get(f"/users/{company.uuid}").json
    created_at = datetime.fromisoformat(user["created_at"])
    assert created_at.utcoffset() == timedelta(0), user["created_at"]
    assert timedelta(0) <= datetime.now(UTC) - created_at < timedelta(hours=1)


def test_a_password_is_never_shown(company: Company) -> None:
    for path in ("/users/", f"/users/{company.uuid}"):
        text = company.get(path).text
        assert "argon2" not in text
        assert PASSWORD not in text


def test_deactivation_ends_all_sessions_for_good(company: Company) -> None:
    person = company.add_person()
    path = f"/users/{person.uuid}"
    for is_active in (False, True):
        assert company.patch(path, {"is_active": is_active}).status_code == 200
    assert person.get("/users/").status_code == 401


def test_an_admin_may_change_their_own_name_and_not_their_rank(company: Company) -> None:
    admin = company.add_person("admin")
    path = f"/users/{admin.uuid}"
    assert admin.patch(path, {"first_name": "New"}).json["first_name"] == "New"
    rise = {"role_uuid": company.role_uuid("master_admin")}
    assert admin.patch(path, rise).status_code == 403
