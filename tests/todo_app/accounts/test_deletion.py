"""How people leave, are forgotten, and come back."""

from __future__ import annotations

import io
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from PIL import Image

from tests.factories import PASSWORD, Company, Person, new_user, sign_in
from tests.todo_app.helpers import assert_problem, at_once, inside, statuses
from tests.todo_app.people import (
    STALE,
    make_stale,
    person_who_may,
    prove,
    records_of,
    robot_of,
    some_email,
)
from todo_app.database import db

LAST = "urn:todo:problem:last-master-admin"
ERASED = "urn:todo:problem:user-erased"


def give_task(company: Company, person: Person, *, done: bool = False) -> str:
    """A task that is assigned to somebody; its address."""
    todo_list = company.post("/lists/", {"title": "List"}).json["uuid"]
    body = {"title": "Task", "list_uuid": todo_list, "assignee_uuids": [person.uuid]}
    path = f"/tasks/{company.post('/tasks/', body).json['uuid']}"
    if done:
        company.post(f"{path}/complete")
    return path


def assignee(company: Company, path: str) -> str | None:
    shown = company.get(path).json["assignees"]
    assert len(shown) < 2
    return shown[0]["uuid"] if shown else None


def put_avatar(person: Person) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (9, 9)).save(picture, "PNG")
    path = f"/users/{person.uuid}/avatar"
    answer = person.call("PUT", path, data=picture.getvalue(), content_type="image/png")
    assert answer.status_code == 204


@pytest.mark.parametrize("query", ["", "?tasks=keep"])
def test_tasks_stay_where_nothing_is_said(acme: Company, query: str) -> None:
    person = acme.add_person()
    path = give_task(acme, person)
    etag = acme.get(path).headers["ETag"]
    assert acme.delete(f"/users/{person.uuid}{query}").status_code == 204
    assert assignee(acme, path) == person.uuid
    assert acme.get(path).headers["ETag"] == etag


def test_open_tasks_become_nobodys(acme: Company) -> None:
    person, other = acme.add_person(), acme.add_person()
    still_open, done = give_task(acme, person), give_task(acme, person, done=True)
    others = give_task(acme, other)
    etag = acme.get(still_open).headers["ETag"]
    assert acme.delete(f"/users/{person.uuid}?tasks=unassign").status_code == 204
    assert assignee(acme, still_open) is None
    assert assignee(acme, done) == person.uuid
    assert assignee(acme, others) == other.uuid
    stale = acme.patch(still_open, {"title": "New"}, headers={"If-Match": etag})
    assert_problem(stale, 412)


def test_open_tasks_go_to_somebody_else(acme: Company) -> None:
    person, heir = acme.add_person(), acme.add_person()
    still_open, done = give_task(acme, person), give_task(acme, person, done=True)
    answer = acme.delete(f"/users/{person.uuid}?reassign_to={heir.uuid}")
    assert answer.status_code == 204
    assert (assignee(acme, still_open), assignee(acme, done)) == (heir.uuid, person.uuid)


@pytest.mark.parametrize("who", ["self", "deleted", "inactive", "stranger", "nobody"])
def test_somebody_else_must_be_there(acme: Company, globex: Company, who: str) -> None:
    person, other = acme.add_person(), acme.add_person()
    if who == "deleted":
        acme.delete(f"/users/{other.uuid}")
    if who == "inactive":
        acme.patch(f"/users/{other.uuid}", {"is_active": False})
    heir = {"self": person.uuid, "stranger": globex.uuid, "nobody": str(uuid.uuid4())}
    answer = acme.delete(f"/users/{person.uuid}?reassign_to={heir.get(who, other.uuid)}")
    assert set(assert_problem(answer, 422)["errors"]["query"]) == {"reassign_to"}
    assert person.get("/users/me").status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("tasks=drop", "tasks"),
        ("tasks=", "tasks"),
        ("reassign_to=x", "reassign_to"),
        ("reassign_to=", "reassign_to"),
        ("force=perhaps", "force"),
        ("force=", "force"),
        ("forced=true", "forced"),
        (f"tasks=keep&reassign_to={uuid.UUID(int=7)}", "reassign_to"),
    ],
)
def test_bad_queries_are_named(company: Company, query: str, field: str) -> None:
    person = company.add_person()
    answer = company.delete(f"/users/{person.uuid}?{query}")
    assert set(assert_problem(answer, 422)["errors"]["query"]) == {field}
    assert person.get("/users/me").status_code == 200


def test_who_may_not_write_tasks_cannot_give_them_away(acme: Company) -> None:
    person = acme.add_person("read_only")
    path = give_task(acme, person)
    manager = person_who_may(acme, "users:read", "tasks:read", "users:write")
    answer = manager.delete(f"/users/{person.uuid}?tasks=unassign")
    assert "tasks:write" in assert_problem(answer, 403)["detail"]
    assert assignee(acme, path) == person.uuid
    assert manager.delete(f"/users/{person.uuid}").status_code == 204


def test_a_task_is_changed_while_its_owner_is_deleted(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    path = give_task(acme, person)
    answers = at_once(
        app,
        (acme, lambda own: own.delete(f"/users/{person.uuid}?tasks=unassign")),
        (acme, lambda own: own.patch(path, {"title": "Changed"})),
    )
    assert answers[0].status_code == 204
    assert answers[1].status_code in (200, 412)
    assert assignee(acme, path) is None


def traces_of(app: Flask, company: Company, *texts: str) -> set[str]:
    """The tables of a company in which one of these texts stands anywhere."""
    with inside(app, company.slug):
        tables = db.session.scalars(
            sa.text(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
                " AND tablename <> 'alembic_version'"
            )
        ).all()
        return {
            table
            for table in tables
            for text in texts
            if db.session.scalar(
                sa.text(f'SELECT EXISTS (SELECT FROM "{table}" AS t WHERE t::text ILIKE :text)'),
                {"text": f"%{text}%"},
            )
        }


def test_nothing_is_left_of_who_is_erased(app: Flask, acme: Company) -> None:
    email = f"wilhelmina-{some_email()}"
    person_body = new_user(email, acme.role_uuid("user"), phone="+48 777 123")
    person_body |= {"first_name": "Wilhelmina", "last_name": "Ostrowska"}
    made = acme.post("/users/", person_body)
    person = sign_in(acme.client, acme.slug, email)
    put_avatar(person)
    robot_of(person, "tasks:read")
    group = acme.post("/groups/", {"name": "Group"}).json["uuid"]
    acme.call("PUT", f"/groups/{group}/members/{person.uuid}")
    person.post("/lists/", {"title": "List"}, headers={"Idempotency-Key": "key"})
    person.patch("/users/me", {"last_name": "Ostrowska-Nowak"})
    assert acme.delete(f"/users/{made.json['uuid']}?force=true").status_code == 204
    # What is recorded stays for the time that the company has set.
    left = traces_of(app, acme, "Wilhelmina", "Ostrowska", "777 123")
    assert left <= {"audit_log"}
    path = f"/users/{person.uuid}"
    for answer in (acme.get(path), acme.get(f"{path}/avatar"), acme.delete(f"{path}?force=true")):
        assert_problem(answer, 404)
    shown = acme.get("/users/?state=deleted").json["items"]
    assert [(user["first_name"], user["last_name"]) for user in shown] == [("Deleted", "user")]
    assert (shown[0]["email"], shown[0]["phone"]) == (f"{person.uuid}@deleted.invalid", None)
    assert acme.get(f"/groups/{group}").json["member_count"] == 0
    assert acme.get("/lists/").json["items"][0]["created_by"]["first_name"] == "Deleted"
    assert_problem(person.get("/users/me"), 401)
    with inside(app, acme.slug):
        counts = [
            db.session.scalar(
                sa.text(
                    f"SELECT count(*) FROM {table}"
                    " WHERE user_id = (SELECT id FROM users WHERE uuid = :uuid)"
                ),
                {"uuid": person.uuid},
            )
            for table in ("avatars", "access_tokens", "two_factor", "one_time_tokens")
        ]
    assert counts == [0, 0, 0, 0]
    again = acme.post("/users/", new_user(email, acme.role_uuid("user")))
    assert again.status_code == 201
    assert records_of(app, acme, person.uuid)[-2:] == ["user.deleted", "user.erased"]


def test_who_was_deleted_before_can_be_erased(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    path = f"/users/{person.uuid}"
    assert acme.delete(path).status_code == 204
    assert_problem(acme.delete(path), 404)
    # Somebody else has the address by now, and keeps it.
    again = acme.post("/users/", new_user(person.email, acme.role_uuid("user")))
    prove(app, acme.slug, again.json["uuid"])
    assert acme.delete(f"{path}?force=true").status_code == 204
    assert acme.get(f"/users/{again.json['uuid']}").json["email"] == person.email
    by_address = {"email": person.email, "password": PASSWORD}
    assert acme.client.post("/auth/login", json=by_address).status_code == 200
    answer = acme.post(f"{path}/reactivate")
    assert assert_problem(answer, 409)["type"] == ERASED


def test_erasing_needs_the_password_shown_lately(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    robot = robot_of(acme)
    path = f"/users/{person.uuid}"
    answer = robot.delete(f"{path}?force=true")
    assert assert_problem(answer, 403)["type"] == "urn:todo:problem:insufficient-scope"
    make_stale(app, acme)
    assert assert_problem(acme.delete(f"{path}?force=true"), 401)["type"] == STALE
    assert acme.get(path).json["first_name"] == "Grace"
    assert acme.delete(f"{path}?force=false").status_code == 204


@pytest.mark.parametrize("query", ["", "?force=true"])
def test_nobody_erases_themselves_or_who_is_above(acme: Company, query: str) -> None:
    admin, second = acme.add_person("admin"), acme.add_person("master_admin")
    assert_problem(second.delete(f"/users/{second.uuid}{query}"), 409)
    assert_problem(admin.delete(f"/users/{second.uuid}{query}"), 403)
    for person in (admin, second):
        assert person.get("/users/me").status_code == 200


def test_the_last_master_admin_is_not_erased(acme: Company) -> None:
    """Not even by whoever may manage them without being one."""
    permissions = acme.get("/users/me").json["role"]["permissions"]
    deputy = person_who_may(acme, *permissions)
    answer = deputy.delete(f"/users/{acme.uuid}?force=true")
    assert assert_problem(answer, 409)["type"] == LAST
    assert acme.get("/users/me").status_code == 200


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_who_erase_somebody_at_once_one_does(
    app: Flask, acme: Company, attempt: int
) -> None:
    person = acme.add_person()
    call = (acme, lambda own: own.delete(f"/users/{person.uuid}?force=true"))
    assert statuses(at_once(app, call, call)) == [204, 404]


def test_who_was_deleted_comes_back(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    prove(app, acme.slug, person.uuid)
    path = f"/users/{person.uuid}"
    before = acme.get(path).json
    acme.delete(path)
    back = acme.post(f"{path}/reactivate")
    assert back.status_code == 200
    assert back.json == {**before, "updated_at": back.json["updated_at"]}
    assert_problem(person.get("/users/me"), 401)
    assert sign_in(acme.client, acme.slug, person.email).uuid == person.uuid
    by_address = {"email": person.email, "password": PASSWORD}
    assert acme.client.post("/auth/login", json=by_address).status_code == 200
    assert records_of(app, acme, person.uuid)[-2:] == ["user.deleted", "user.reactivated"]


def test_who_was_deactivated_comes_back(acme: Company) -> None:
    person = acme.add_person()
    path = f"/users/{person.uuid}"
    acme.patch(path, {"is_active": False})
    assert acme.post(f"{path}/reactivate").json["is_active"] is True
    once_more = acme.post(f"{path}/reactivate")
    assert once_more.status_code == 200
    assert once_more.headers["ETag"] == acme.get(path).headers["ETag"]


def test_nobody_comes_back_to_an_address_that_is_taken(acme: Company) -> None:
    person = acme.add_person()
    path = f"/users/{person.uuid}"
    acme.delete(path)
    acme.post("/users/", new_user(person.email.upper(), acme.role_uuid("user")))
    answer = acme.post(f"{path}/reactivate")
    assert assert_problem(answer, 409)["type"] == "urn:todo:problem:email-taken"
    assert acme.get("/users/?state=deleted").json["total"] == 1


def test_an_admin_does_not_bring_back_who_is_above(acme: Company) -> None:
    admin, second = acme.add_person("admin"), acme.add_person("master_admin")
    for act in (
        lambda path: acme.delete(path),
        lambda path: acme.patch(path, {"is_active": False}),
    ):
        path = f"/users/{second.uuid}"
        act(path)
        assert_problem(admin.post(f"{path}/reactivate"), 403)
        assert acme.post(f"{path}/reactivate").status_code == 200


def test_coming_back_honours_versions_and_keys(acme: Company) -> None:
    person = acme.add_person()
    path = f"/users/{person.uuid}"
    stale: dict[str, Any] = {"If-Match": acme.get(path).headers["ETag"]}
    acme.patch(path, {"is_active": False})
    assert_problem(acme.post(f"{path}/reactivate", headers=stale), 412)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = acme.post(f"{path}/reactivate", headers=key)
    assert acme.post(f"{path}/reactivate", headers=key).json == first.json


@pytest.mark.parametrize("attempt", range(3))
def test_two_with_one_address_do_not_both_come_back(
    app: Flask, acme: Company, attempt: int
) -> None:
    email = some_email()
    people = []
    for _ in range(2):
        made = acme.post("/users/", new_user(email, acme.role_uuid("user"))).json["uuid"]
        acme.delete(f"/users/{made}")
        people.append(made)
    answers = at_once(
        app,
        *[(acme, lambda own, p=one: own.post(f"/users/{p}/reactivate")) for one in people],
    )
    assert statuses(answers) == [200, 409]


def test_without_a_token_or_the_permission(
    company: Company, stranger: Company, people: dict[str, Person]
) -> None:
    path = f"/users/{company.add_person().uuid}/reactivate"
    anonymous = company.client.post(path, headers={"tenant": company.slug})
    assert_problem(anonymous, 401)
    for role in ("user", "read_only"):
        assert_problem(people[role].post(path), 403)
    for target in (path, f"/users/{uuid.uuid4()}/reactivate"):
        assert_problem(stranger.post(target), 404)
