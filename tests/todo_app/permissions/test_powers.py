"""Nobody gives away, or takes, what they do not have; not even at the instant it is taken away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import Company, Person, new_user, sign_in, wait_until
from tests.todo_app.helpers import assert_problem, at_once, inside, statuses
from tests.todo_app.people import (
    STALE,
    add_person,
    add_role,
    invite,
    is_revoked,
    make_stale,
    person_who_may,
    robot_of,
    some_email,
)
from todo_app.database import db
from todo_app.permissions.models import ALL_PERMISSIONS
from todo_app.permissions.service import POWERS_LOCK

READ = ("tasks:read", "users:read")
EDITOR = (*READ, "users:write", "admins:write", "roles:write")
"""May do all about roles and people, and nothing else."""

_GATE = sa.func.pg_advisory_xact_lock(POWERS_LOCK, sa.func.hashtext(sa.func.current_schema()))
_WAITING = sa.text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    f" AND classid = {POWERS_LOCK}"
    " AND objid::bigint = hashtext(current_schema())::bigint & 4294967295)"
)
LOSSES = {
    "another role": "UPDATE users SET role_id = (SELECT id FROM roles WHERE name = 'read_only')"
    " WHERE uuid = :user",
    "fewer permissions": "UPDATE roles SET permissions = '{users:read}'"
    " WHERE id = (SELECT role_id FROM users WHERE uuid = :user)",
    "deactivation": "UPDATE users SET is_active = false WHERE uuid = :user",
    "log-out": "DELETE FROM access_tokens"
    " WHERE user_id = (SELECT id FROM users WHERE uuid = :user)",
}


@pytest.fixture
def editor(acme: Company) -> Person:
    """Somebody who may change roles, but not tasks."""
    return person_who_may(acme, *EDITOR)


def test_what_an_editor_has_may_be_given_away(acme: Company, editor: Person) -> None:
    role = add_role(editor, *EDITOR)
    person = add_person(acme, role["uuid"])
    path = f"/permissions/{role['uuid']}"
    assert editor.patch(path, {"permissions": list(READ)}).status_code == 200
    assert editor.patch(path, {"permissions": list(EDITOR)}).status_code == 200
    assert editor.delete(f"/users/{person.uuid}").status_code == 204
    assert editor.delete(path).status_code == 204


@pytest.mark.parametrize("missing", sorted(ALL_PERMISSIONS - set(EDITOR)))
def test_what_an_editor_lacks_may_not(acme: Company, editor: Person, missing: str) -> None:
    body = {"title": "More", "permissions": [*READ, missing]}
    assert_problem(editor.post("/permissions/", body), 403)
    own = add_role(acme, *READ)
    path = f"/permissions/{own['uuid']}"
    assert_problem(editor.patch(path, {"permissions": [*READ, missing]}), 403)
    above = add_role(acme, *READ, missing)
    path = f"/permissions/{above['uuid']}"
    for answer in (
        editor.patch(path, {"permissions": list(READ)}),
        editor.patch(path, {"title": "Mine"}),
        editor.delete(path),
    ):
        assert_problem(answer, 403)
    assert acme.get(path).json == above


def test_nobody_raises_themselves(acme: Company, editor: Person) -> None:
    own = acme.get(f"/users/{editor.uuid}").json["role"]["uuid"]
    raised = {"permissions": sorted(ALL_PERMISSIONS)}
    assert_problem(editor.patch(f"/permissions/{own}", raised), 403)
    for name in ("master_admin", "admin", "user"):
        change = {"role_uuid": acme.role_uuid(name)}
        assert_problem(editor.patch(f"/users/{editor.uuid}", change), 403)


def test_administrative_roles_need_admins_write(acme: Company) -> None:
    """Whoever may change roles, but not administrators, cannot make any."""
    editor = person_who_may(acme, *READ, "roles:write", "users:write")
    body = {"title": "Deputy", "permissions": [*READ, "users:write"]}
    assert_problem(editor.post("/permissions/", body), 403)
    assert add_role(editor, *READ)["permissions"] == list(READ)


def test_a_new_role_ends_the_sessions_of_who_gets_it(acme: Company) -> None:
    person = acme.add_person()
    other = sign_in(acme.client, acme.slug, person.email)
    same = {"role_uuid": acme.role_uuid("user")}
    assert acme.patch(f"/users/{person.uuid}", same).status_code == 200
    assert person.get("/users/me").status_code == 200
    new = {"role_uuid": acme.role_uuid("read_only")}
    assert acme.patch(f"/users/{person.uuid}", new).status_code == 200
    for session in (person, other):
        assert_problem(session.get("/users/me"), 401)


def test_who_changes_their_own_role_keeps_this_session(acme: Company) -> None:
    second = acme.add_person("master_admin")
    other = sign_in(acme.client, acme.slug, second.email)
    path = f"/users/{second.uuid}"
    change = {"role_uuid": acme.role_uuid("user")}
    assert second.patch(path, change).status_code == 200
    assert second.get("/users/me").json["role"]["name"] == "user"
    assert_problem(other.get("/users/me"), 401)


def test_who_loses_power_has_their_invitations_revoked(app: Flask, acme: Company) -> None:
    user = acme.role_uuid("user")

    def gone(act: Any) -> bool:
        admin = acme.add_person("admin")
        invitation = invite(app, admin, user)
        assert act(f"/users/{admin.uuid}").status_code < 300
        return is_revoked(app, acme, invitation)

    assert gone(lambda path: acme.patch(path, {"role_uuid": user}))
    assert gone(lambda path: acme.patch(path, {"is_active": False}))
    assert gone(acme.delete)
    assert not gone(lambda path: acme.patch(path, {"first_name": "New"}))
    assert not gone(lambda path: acme.patch(path, {"role_uuid": acme.role_uuid("master_admin")}))


def test_a_role_that_loses_permissions_takes_invitations_back(app: Flask, acme: Company) -> None:
    role = add_role(acme, *READ, "users:write")
    inviter = add_person(acme, role["uuid"])
    invitation = invite(app, inviter, acme.role_uuid("read_only"))
    path = f"/permissions/{role['uuid']}"
    assert acme.patch(path, {"title": "Another title"}).status_code == 200
    assert not is_revoked(app, acme, invitation)
    assert acme.patch(path, {"permissions": list(READ)}).status_code == 200
    assert is_revoked(app, acme, invitation)


DEEDS = {
    "make a role": lambda own, target, role: own.post(
        "/permissions/", {"title": "New", "permissions": list(EDITOR)}
    ),
    "change a role": lambda own, target, role: own.patch(
        f"/permissions/{role}", {"permissions": list(READ)}
    ),
    "delete a role": lambda own, target, role: own.delete(f"/permissions/{role}"),
    "add a user": lambda own, target, role: own.post("/users/", new_user(some_email(), role)),
    "invite": lambda own, target, role: own.post(
        "/users/invitations/", {"email": some_email(), "role_uuid": role}
    ),
    "hand a role out": lambda own, target, role: own.patch(f"/users/{target}", {"role_uuid": role}),
    "take a role": lambda own, target, role: own.patch(f"/users/{own.uuid}", {"role_uuid": role}),
    "deactivate": lambda own, target, role: own.patch(f"/users/{target}", {"is_active": False}),
    "delete": lambda own, target, role: own.delete(f"/users/{target}"),
    "reactivate": lambda own, target, role: own.post(f"/users/{target}/reactivate"),
}


@pytest.mark.parametrize("loss", ["another role", "fewer permissions", "deactivation", "log-out"])
@pytest.mark.parametrize("deed", DEEDS)
def test_what_was_taken_away_meanwhile_is_of_no_use(
    app: Flask, acme: Company, deed: str, loss: str
) -> None:
    """The request begins with all permissions, waits, and goes on when they are gone."""
    own_role = add_role(acme, *EDITOR)
    editor = add_person(acme, own_role["uuid"])
    target = acme.add_person("read_only")
    role = add_role(acme, *EDITOR)
    with ThreadPoolExecutor(1) as pool:
        with inside(app, acme.slug):
            db.session.execute(sa.select(_GATE))
            late = replace(editor, client=app.test_client())
            answer = pool.submit(DEEDS[deed], late, target.uuid, role["uuid"])
            wait_until(lambda: db.session.scalar(_WAITING), 2)
            db.session.execute(sa.text(LOSSES[loss]), {"user": editor.uuid})
        assert_problem(answer.result(), 401 if loss in ("deactivation", "log-out") else 403)
    assert acme.get(f"/permissions/{role['uuid']}").json == role
    assert acme.get(f"/users/{target.uuid}").json["role"]["name"] == "read_only"
    assert acme.get("/users/count").json["count"] == 3
    assert acme.get("/users/invitations/").json["total"] == 0


@pytest.mark.parametrize("attempt", range(3))
def test_people_who_change_each_other_at_once_do_not_lock_each_other_out(
    app: Flask, acme: Company, attempt: int
) -> None:
    others = [acme.add_person("master_admin") for _ in range(3)]
    everybody = [acme, *others]
    answers = at_once(
        app,
        *[
            (person, lambda own, t=target: own.patch(f"/users/{t.uuid}", {"first_name": "New"}))
            for person, target in zip(everybody, everybody[1:] + everybody[:1], strict=True)
        ],
    )
    assert statuses(answers) == [200] * 4


@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize("action", ["demote", "deactivate", "delete", "erase"])
def test_the_last_of_three_master_admins_stays(
    app: Flask, acme: Company, action: str, attempt: int
) -> None:
    """Each takes the power of the next one, in a circle."""
    everybody = [acme, *(acme.add_person("master_admin") for _ in range(2))]
    user = acme.role_uuid("user")

    def act(own: Person, target: Person) -> Any:
        path = f"/users/{target.uuid}"
        if action in ("delete", "erase"):
            return own.delete(path + ("?force=true" if action == "erase" else ""))
        change = {"is_active": False} if action == "deactivate" else {"role_uuid": user}
        return own.patch(path, change)

    answers = at_once(
        app,
        *[
            (person, lambda own, t=target: act(own, t))
            for person, target in zip(everybody, everybody[1:] + everybody[:1], strict=True)
        ],
    )
    assert all(answer.status_code in (200, 204, 401, 403, 409) for answer in answers)
    left = [person for person in everybody if person.get("/users/me").status_code == 200]
    masters = [
        person for person in left if person.get("/users/me").json["role"]["name"] == "master_admin"
    ]
    assert masters


@pytest.mark.parametrize("role", ["master_admin", "admin"])
def test_nobody_makes_an_administrator_without_the_password_shown_lately(
    app: Flask, acme: Company, role: str
) -> None:
    """Else an open session, or an API token, would soon be an administrator with a password."""
    role_uuid, plain = acme.role_uuid(role), acme.role_uuid("user")
    robot = robot_of(acme)
    make_stale(app, acme)
    before = acme.get("/users/count").json

    def ways(who: Person, role_uuid: str, role: str) -> list[TestResponse]:
        line = f"Grace,Hopper,{some_email()},{role}"
        csv = f"first_name,last_name,email,role\r\n{line}\r\n".encode()
        return [
            who.post("/users/", new_user(some_email(), role_uuid)),
            who.post("/users/invitations/", {"email": some_email(), "role_uuid": role_uuid}),
            who.call("POST", "/users/import", data=csv, content_type="text/csv"),
        ]

    for answer in ways(acme, role_uuid, role):
        assert assert_problem(answer, 401)["type"] == STALE
    for answer in ways(robot, role_uuid, role):
        assert_problem(answer, 403)
    assert acme.get("/users/count").json == before
    assert statuses(ways(acme, plain, "user") + ways(robot, plain, "user")) == [201] * 6
