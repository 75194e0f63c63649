"""Whatever people do to roles and to each other: nobody gains what nobody gave who had it."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.factories import PASSWORD, Company, Person, mailed_token, new_user, register
from tests.todo_app.helpers import inside
from tests.todo_app.people import some_email
from todo_app.accounts import changes
from todo_app.accounts.passwords import UNUSABLE
from todo_app.auth import digest, new_secret
from todo_app.database import db
from todo_app.invitations import service as invitations
from todo_app.permissions.models import ALL_PERMISSIONS, MASTER_ADMIN

ACTIONS = {
    "make role": 2,
    "change role": 3,
    "delete role": 1,
    "assign": 5,
    "assign to self": 2,
    "add user": 2,
    "invite": 2,
    "accept": 2,
    "deactivate": 1,
    "activate": 1,
    "delete user": 1,
    "reactivate": 2,
    "set password": 1,
}
"""What people try, and how often compared with the rest."""
MOST_PEOPLE = 12
FIRST_PEOPLE = 5
STEPS = 20
EXAMPLES = 24


def some_permissions(chance: random.Random) -> list[str]:
    """Few permissions, or many, or nearly all."""
    share = chance.choice((0.2, 0.5, 0.8, 0.95))
    return [name for name in sorted(ALL_PERMISSIONS) if chance.random() < share]


class World:
    """One company, and what is known of it."""

    def __init__(self, app: Flask, boss: Company) -> None:
        self.app = app
        self.boss = boss
        self.invitations: list[tuple[str, str]] = []
        """Of those that are out: the address, and who has made it."""
        self.before: dict[str, frozenset[str]] = {}
        """What each person may do, as the last step has left it."""

    def reset(self, chance: random.Random) -> None:
        """The boss, and some people of whom each has a role of their own."""
        self.invitations.clear()
        with inside(self.app, self.boss.slug):
            for sql in (
                "DELETE FROM invitations",
                f"DELETE FROM users WHERE uuid <> '{self.boss.uuid}'",
                "DELETE FROM access_tokens",
                "UPDATE users SET is_active = true, deleted_at = NULL, role_id ="
                " (SELECT id FROM roles WHERE name = 'master_admin')",
                "DELETE FROM roles WHERE NOT is_builtin",
            ):
                db.session.execute(sa.text(sql))
            for number in range(FIRST_PEOPLE):
                self._add(number, some_permissions(chance))
        self.before = self.powers()
        assert self.has_master_admin()

    def _add(self, number: int, permissions: list[str]) -> None:
        db.session.execute(
            sa.text(
                "WITH r AS (INSERT INTO roles (name, title, permissions)"
                " VALUES (:name, :name, :permissions) RETURNING id)"
                " INSERT INTO users (first_name, last_name, email, password_hash, role_id)"
                " SELECT 'A', 'B', :email, '!', id FROM r"
            ),
            {
                "name": f"first_{number}",
                "permissions": permissions,
                "email": some_email(),
            },
        )

    def powers(self) -> dict[str, frozenset[str]]:
        """What each person may do; those who cannot sign in may do nothing."""
        with inside(self.app, self.boss.slug):
            rows = db.session.execute(
                sa.text(
                    "SELECT u.uuid, u.is_active AND u.deleted_at IS NULL AS is_in, r.permissions"
                    " FROM users AS u JOIN roles AS r ON r.id = u.role_id ORDER BY u.id"
                )
            ).all()
        return {str(row.uuid): frozenset(row.permissions if row.is_in else ()) for row in rows}

    def roles(self) -> list[str]:
        with inside(self.app, self.boss.slug):
            return [
                str(found)
                for found in db.session.scalars(sa.text("SELECT uuid FROM roles ORDER BY id"))
            ]

    def session_of(self, user_uuid: str) -> Person:
        """A fresh session, without the time that a password takes."""
        secret = new_secret()
        with inside(self.app, self.boss.slug):
            db.session.execute(
                sa.text(
                    "INSERT INTO access_tokens (user_id, digest, expires_at, authenticated_at)"
                    " SELECT id, :digest, now() + interval '1 day', now() FROM users"
                    " WHERE uuid = :uuid"
                ),
                {"digest": digest(secret), "uuid": user_uuid},
            )
        token = f"{self.boss.schema_name}.{secret}"
        return Person(self.boss.client, self.boss.slug, token, user_uuid, "")

    def has_master_admin(self) -> bool:
        with inside(self.app, self.boss.slug):
            return bool(
                db.session.scalar(
                    sa.text(
                        "SELECT EXISTS (SELECT FROM users AS u JOIN roles AS r ON r.id = u.role_id"
                        " WHERE r.name = :name AND u.is_active AND u.deleted_at IS NULL)"
                    ),
                    {"name": MASTER_ADMIN},
                )
            )

    def take_step(self, chance: random.Random) -> str:
        """Let somebody try something, and look who has gained what by it."""
        people, roles = list(self.before), self.roles()
        action = chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        actor = chance.choice(people)
        if action == "accept" and self.invitations:
            email, actor = self.invitations.pop(chance.randrange(len(self.invitations)))
            answer = self._accept(email)
        elif action == "accept" or (
            action in ("add user", "invite") and len(people) >= MOST_PEOPLE
        ):
            return "nothing"
        else:
            own, target = self.session_of(actor), chance.choice(people)
            answer = self._act(own, action, target, chance.choice(roles), some_permissions(chance))
        assert answer.status_code < 500, answer.text
        after = self.powers()
        for person, powers in after.items():
            gained = powers - self.before.get(person, frozenset())
            too_much = gained - self.before[actor]
            assert not too_much, f"{action} gave {sorted(too_much)}"
            assert person != actor or not gained, f"{action} raised its actor"
        assert self.has_master_admin()
        self.before = after
        return f"{action}: {answer.status_code}"

    def _act(self, own: Person, action: str, target: str, role: str, permissions: list[str]) -> Any:
        title = uuid.uuid4().hex
        user, body = f"/users/{target}", {"title": title, "permissions": permissions}
        match action:
            case "make role":
                return own.post("/permissions/", body)
            case "change role":
                return own.patch(f"/permissions/{role}", {"permissions": permissions})
            case "delete role":
                return own.delete(f"/permissions/{role}")
            case "assign":
                return own.patch(user, {"role_uuid": role})
            case "assign to self":
                return own.patch(f"/users/{own.uuid}", {"role_uuid": role})
            case "add user":
                return own.post("/users/", new_user(some_email(), role))
            case "invite":
                email = some_email()
                answer = own.post("/users/invitations/", {"email": email, "role_uuid": role})
                if answer.status_code == 201:
                    self.invitations.append((email, own.uuid))
                return answer
            case "deactivate" | "activate":
                return own.patch(user, {"is_active": action == "activate"})
            case "delete user":
                return own.delete(user)
            case "set password":
                return own.patch(user, {"password": PASSWORD + title})
            case _:
                return own.post(f"{user}/reactivate")

    def _accept(self, email: str) -> Any:
        body = {
            "token": mailed_token(self.app, email),
            "first_name": "New",
            "last_name": "Comer",
            "password": PASSWORD,
        }
        return self.boss.client.post("/users/invitations/accept", json=body)


@pytest.fixture(scope="module")
def world(app: Flask) -> World:
    return World(app, register(app.test_client(), "World"))


def test_nobody_gains_a_permission_that_nobody_granted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (changes, invitations):
        monkeypatch.setattr(module, "hash_password", lambda _: UNUSABLE)
    seen: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=st.integers(0, 2**64))
    def run(seed: int) -> None:
        chance = random.Random(seed)
        world.reset(chance)
        for _ in range(STEPS):
            seen[world.take_step(chance)] += 1

    run()
    # Each of these succeeds about ten times: where none does, nothing has been shown.
    assert {"assign: 200", "make role: 201", "change role: 200", "add user: 201"} <= set(seen)
