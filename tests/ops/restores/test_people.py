"""Credentials are never taken back in time, and who was deleted stays deleted."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.factories import PASSWORD, Company, Person, sign_in
from tests.ops.restores.keeping import Keeper, add_task, titles

NEW_PASSWORD = "another horse battery"


def can_sign_in(client: FlaskClient, person: Person, password: str = PASSWORD) -> bool:
    credentials = {"email": person.email, "password": password}
    answer = client.post("/auth/login", json=credentials, headers={"tenant": person.slug})
    return answer.status_code == 200


def test_passwords_sessions_and_locks_stay_as_they_are(
    keeper: Keeper, client: FlaskClient, acme: Company
) -> None:
    changed, left, locked = acme.add_person(), acme.add_person(), acme.add_person()
    keeper.back_up(acme.slug)
    body = {"password": NEW_PASSWORD}
    assert acme.patch(f"/users/{changed.uuid}", body).status_code == 200
    changed = sign_in(client, acme.slug, changed.email, NEW_PASSWORD)
    assert left.post("/auth/logout").status_code in (200, 204)
    assert acme.patch(f"/users/{locked.uuid}", {"is_active": False}).status_code == 200
    for restore in (keeper.restore, keeper.undo, keeper.undo):
        assert restore(acme.slug)["state"] == "done"
        assert changed.get("/lists/").status_code == 200
        assert not can_sign_in(client, changed)
        assert can_sign_in(client, changed, NEW_PASSWORD)
        assert left.get("/lists/").status_code == 401
        assert can_sign_in(client, left)
        assert locked.get("/lists/").status_code == 401
        assert not can_sign_in(client, locked)
        assert acme.get("/lists/").status_code == 200


def test_addresses_stay_as_they_are_even_swapped_ones(
    keeper: Keeper, client: FlaskClient, acme: Company
) -> None:
    one, two = acme.add_person(), acme.add_person()
    keeper.back_up(acme.slug)
    for uuid, email in (
        (one.uuid, "nobody@example.com"),
        (two.uuid, one.email),
        (one.uuid, two.email),
    ):
        keeper.sql(
            f"UPDATE {acme.schema_name}.users SET email = :email WHERE uuid = :uuid",
            email=email,
            uuid=uuid,
        )
    assert keeper.restore(acme.slug)["state"] == "done"
    assert sign_in(client, acme.slug, two.email).uuid == one.uuid
    assert sign_in(client, acme.slug, one.email).uuid == two.uuid


def test_those_who_were_deleted_stay_deleted(
    keeper: Keeper, client: FlaskClient, acme: Company
) -> None:
    soft, hard = acme.add_person(), acme.add_person()
    keeper.back_up(acme.slug)
    assert acme.delete(f"/users/{soft.uuid}").status_code == 204
    keeper.sql(f"DELETE FROM {acme.schema_name}.users WHERE uuid = :uuid", uuid=hard.uuid)
    item = keeper.restore(acme.slug)
    assert set(item["deleted_people"]) == {soft.uuid, hard.uuid}
    for person in (soft, hard):
        assert person.get("/lists/").status_code == 401
        assert not can_sign_in(client, person)
    rows = keeper.sql(
        f"SELECT uuid::text FROM {acme.schema_name}.users WHERE deleted_at IS NOT NULL"
    )
    assert {row.uuid for row in rows} == {soft.uuid, hard.uuid}


def test_those_who_were_deleted_can_be_brought_back(
    keeper: Keeper, client: FlaskClient, acme: Company
) -> None:
    person, taken = acme.add_person(), acme.add_person()
    keeper.back_up(acme.slug)
    assert acme.delete(f"/users/{person.uuid}").status_code == 204
    assert acme.delete(f"/users/{taken.uuid}").status_code == 204
    # Somebody else has got this address meanwhile.
    keeper.sql(
        f"UPDATE {acme.schema_name}.users SET email = :email WHERE uuid = :uuid",
        email=taken.email,
        uuid=acme.uuid,
    )
    assert keeper.restore(acme.slug, with_deleted_users=True)["state"] == "done"
    assert can_sign_in(client, person)
    assert sign_in(client, acme.slug, taken.email).uuid == acme.uuid


def test_those_who_came_after_the_backup_are_back_after_an_undo(
    keeper: Keeper, client: FlaskClient, acme: Company
) -> None:
    keeper.back_up(acme.slug)
    late = acme.add_person()
    add_task(late, "Late")
    keeper.restore(acme.slug)
    assert not can_sign_in(client, late)
    keeper.undo(acme.slug)
    assert can_sign_in(client, late)
    assert titles(acme) == ["Late"]


def test_new_rows_get_numbers_of_their_own(
    keeper: Keeper, client: FlaskClient, acme: Company
) -> None:
    """Sessions that were begun after the backup keep theirs, and new ones come after them."""
    add_task(acme)
    keeper.back_up(acme.slug)
    for _ in range(5):
        sign_in(client, acme.slug, acme.email)
    keeper.restore(acme.slug)
    for _ in range(3):
        add_task(sign_in(client, acme.slug, acme.email))
    assert keeper.count(acme.schema_name, "access_tokens") == 9
