"""Credentials are never taken back in time, and who was deleted stays deleted."""

from __future__ import annotations

import hashlib

from flask.testing import FlaskClient

from ops.tenants import job as tenants
from tests.factories import PASSWORD, Company, Person, sign_in
from tests.ops.moving import move_to
from tests.ops.restores.keeping import Keeper, add_task, titles
from tests.todo_app.feeds.kit import add_feed, fetch
from tests.todo_app.todos.shapes import add_list

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


OF_PEOPLE = {
    "two_factor": "secret, confirmed_at, last_step",
    "recovery_codes": "digest, used_at",
    "one_time_tokens": "purpose, digest, expires_at",
    "access_tokens": "digest, scopes, expires_at, name, authenticated_at",
}


def of_people(keeper: Keeper, schema_name: str) -> dict[str, set[str]]:
    """By table, its rows with the users whose they are."""
    return {
        table: {
            row.text
            for row in keeper.sql(
                f"SELECT concat_ws('|', u.uuid, {columns}) AS text FROM {schema_name}.{table} AS r"
                f" JOIN {schema_name}.users AS u ON u.id = r.user_id"
            )
        }
        for table, columns in OF_PEOPLE.items()
    }


def add_secrets(keeper: Keeper, person: Person, schema_name: str, mark: str) -> None:
    """Give somebody a second factor, two recovery codes, a mailed secret and an API token."""
    this = f"FROM {schema_name}.users WHERE uuid = :uuid"
    later = "now() + interval '1 day'"
    for statement in (
        f"INSERT INTO {schema_name}.two_factor (user_id, secret, confirmed_at)"
        f" SELECT id, convert_to(:mark, 'UTF8'), now() {this}",
        f"INSERT INTO {schema_name}.recovery_codes (user_id, digest)"
        f" SELECT id, sha256(convert_to(:mark || n, 'UTF8')) FROM generate_series(1, 2) AS n,"
        f" {schema_name}.users WHERE uuid = :uuid",
        f"INSERT INTO {schema_name}.one_time_tokens (user_id, purpose, digest, expires_at)"
        f" SELECT id, 'password_reset', sha256(convert_to(:mark, 'UTF8')), {later} {this}",
        f"INSERT INTO {schema_name}.access_tokens (user_id, digest, expires_at, name, scopes)"
        f" SELECT id, sha256(convert_to(:mark, 'UTF8')), {later}, :mark, '{{tasks:read}}' {this}",
    ):
        keeper.sql(statement, uuid=person.uuid, mark=mark)


def test_second_factors_and_secrets_stay_as_they_are(keeper: Keeper, acme: Company) -> None:
    schema = acme.schema_name
    removed, added, same = acme.add_person(), acme.add_person(), acme.add_person()
    for person in (removed, same):
        add_secrets(keeper, person, schema, person.email)
    keeper.back_up(acme.slug)
    for table in OF_PEOPLE:
        keeper.sql(
            f"DELETE FROM {schema}.{table} WHERE user_id ="
            f" (SELECT id FROM {schema}.users WHERE uuid = :uuid)",
            uuid=removed.uuid,
        )
    add_secrets(keeper, added, schema, "added")
    keeper.sql(f"UPDATE {schema}.two_factor SET last_step = 7")
    keeper.sql(
        f"UPDATE {schema}.recovery_codes SET used_at = now()"
        f" WHERE id = (SELECT min(id) FROM {schema}.recovery_codes)"
    )
    now = of_people(keeper, schema)
    assert {table: len(rows) for table, rows in now.items()} == {
        "two_factor": 2,
        "recovery_codes": 4,
        "one_time_tokens": 2,
        "access_tokens": 5,
    }
    for restore in (keeper.restore, keeper.undo, keeper.undo):
        assert restore(acme.slug)["state"] == "done"
        assert of_people(keeper, schema) == now
    add_secrets(keeper, removed, schema, "again")  # New rows get numbers of their own.


def invite(keeper: Keeper, company: Company, email: str) -> None:
    """Write a pending invitation."""
    schema = company.schema_name
    keeper.sql(
        f"INSERT INTO {schema}.invitations"
        " (email, role_id, invited_by_id, language, digest, sent_at, expires_at)"
        " SELECT :email, role_id, id, 'de', sha256(convert_to(:email, 'UTF8')), now(),"
        f" now() + interval '7 days' FROM {schema}.users WHERE uuid = :uuid",
        email=email,
        uuid=company.uuid,
    )


def invitations(keeper: Keeper, schema_name: str) -> dict[str, str]:
    """By address, what has become of an invitation, or its secret where it is pending."""
    rows = keeper.sql(
        "SELECT email, CASE WHEN accepted_at IS NOT NULL THEN 'accepted' WHEN revoked_at IS NOT"
        f" NULL THEN 'revoked' ELSE encode(digest, 'escape') END FROM {schema_name}.invitations"
    )
    return dict(row for row in rows)


def test_invitations_stay_what_they_have_become(keeper: Keeper, acme: Company) -> None:
    schema = acme.schema_name
    for name in ("accepted", "revoked", "resent", "forgotten"):
        invite(keeper, acme, name)
    keeper.back_up(acme.slug)
    for column, name in (("accepted_at", "accepted"), ("revoked_at", "revoked")):
        keeper.sql(
            f"UPDATE {schema}.invitations SET {column} = now() WHERE email = :name", name=name
        )
    keeper.sql(f"UPDATE {schema}.invitations SET digest = 'new' WHERE email = 'resent'")
    keeper.sql(f"DELETE FROM {schema}.invitations WHERE email = 'forgotten'")
    invite(keeper, acme, "later")
    became = {"accepted": "accepted", "revoked": "revoked", "resent": "new"}
    keeper.restore(acme.slug)
    assert invitations(keeper, schema) == {**became, "forgotten": "revoked"}
    keeper.undo(acme.slug)
    later = invitations(keeper, schema).pop("later")
    assert invitations(keeper, schema) == {**became, "later": later}
    assert later not in ("accepted", "revoked")


def test_the_record_of_who_did_what_only_grows(keeper: Keeper, acme: Company) -> None:
    def record() -> list[str]:
        rows = keeper.sql(f"SELECT id, action FROM {acme.schema_name}.audit_log ORDER BY id")
        return [row.action for row in rows]

    def note(action: str) -> None:
        keeper.sql(
            f"INSERT INTO {acme.schema_name}.audit_log (actor_name, action) VALUES ('Ada', :a)",
            a=action,
        )

    note("before")
    keeper.back_up(acme.slug)
    note("since")
    before = record()
    keeper.sql(f"DELETE FROM {acme.schema_name}.audit_log WHERE action = 'before'")
    keeper.restore(acme.slug)
    assert record() == [*before, "backup.restored"]
    note("later")
    keeper.undo(acme.slug)
    assert record() == [*before, "backup.restored", "later", "backup.undone"]
    note("last")


def test_those_who_were_erased_stay_erased(keeper: Keeper, acme: Company) -> None:
    """Even where those who were deleted are brought back."""
    schema = acme.schema_name
    person = acme.add_person()
    this = f"(SELECT id FROM {schema}.users WHERE uuid = :uuid)"
    keeper.sql(
        f"INSERT INTO {schema}.avatars (user_id, content, media_type) VALUES ({this}, 'x', 'y')",
        uuid=person.uuid,
    )
    invite(keeper, acme, person.email.upper())
    keeper.back_up(acme.slug)
    keeper.sql(f"DELETE FROM {schema}.avatars")
    keeper.sql(f"DELETE FROM {schema}.invitations")
    keeper.sql(
        f"UPDATE {schema}.users SET first_name = '', last_name = '', email = uuid::text,"
        " phone = NULL, is_active = false, deleted_at = now(), erased_at = now()"
        " WHERE uuid = :uuid",
        uuid=person.uuid,
    )
    whole = f"SELECT to_jsonb(u) - 'role_id' AS row FROM {schema}.users AS u WHERE uuid = :uuid"
    erased = keeper.sql(whole, uuid=person.uuid)
    preview = keeper.invoke("backups", "restore", "--tenant", acme.slug, "--dry-run", "--json")
    assert person.email not in preview.output
    for again in (False, True):
        item = keeper.restore(acme.slug, with_deleted_users=again)
        assert (item["state"], item["deleted_people"]) == ("done", [])
        assert keeper.sql(whole, uuid=person.uuid) == erased
        assert keeper.count(schema, "avatars") == keeper.count(schema, "invitations") == 0


def test_what_a_company_asks_of_its_people_stays(keeper: Keeper, acme: Company) -> None:
    settings = f"{acme.schema_name}.company_settings"
    keeper.back_up(acme.slug)
    keeper.sql(f"UPDATE {settings} SET require_two_factor = true, timezone = 'Europe/Berlin'")
    keeper.restore(acme.slug)
    (row,) = keeper.sql(f"SELECT require_two_factor, timezone FROM {settings}")
    assert row == (True, "UTC")


def test_nobody_is_locked_out(keeper: Keeper, client: FlaskClient, acme: Company) -> None:
    """The only administrator of then has left: the one of now stays it."""
    schema = acme.schema_name
    heir = acme.add_person()
    keeper.back_up(acme.slug)
    keeper.sql(
        f"UPDATE {schema}.users SET role_id ="
        f" (SELECT id FROM {schema}.roles WHERE name = 'master_admin') WHERE uuid = :uuid",
        uuid=heir.uuid,
    )
    keeper.sql(
        f"UPDATE {schema}.users SET is_active = false, deleted_at = now() WHERE uuid = :uuid",
        uuid=acme.uuid,
    )
    keeper.restore(acme.slug)
    who = sign_in(client, acme.slug, heir.email).get(f"/users/{heir.uuid}").json
    assert who["role"]["name"] == "master_admin"


def members(keeper: Keeper, schema_name: str) -> set[bytes]:
    """The digests of addresses that the directory has of a tenant."""
    rows = keeper.sql(
        "SELECT email_digest FROM public.members WHERE schema_name = :name", name=schema_name
    )
    return {bytes(row.email_digest) for row in rows}


def addresses(*people: Person) -> set[bytes]:
    return {hashlib.sha256(person.email.lower().encode()).digest() for person in people}


def test_the_directory_follows(keeper: Keeper, acme: Company) -> None:
    stays = acme.add_person()
    proven = f"UPDATE {acme.schema_name}.users SET is_verified = true"
    keeper.sql(proven)
    keeper.back_up(acme.slug)
    late = acme.add_person()
    keeper.sql(proven)
    keeper.restore(acme.slug)
    assert members(keeper, acme.schema_name) == addresses(acme, stays)
    keeper.undo(acme.slug)
    assert members(keeper, acme.schema_name) == addresses(acme, stays, late)
    keeper.restore(acme.slug, as_slug=f"{acme.slug}-then")
    copy = keeper.tenant(f"{acme.slug}-then").schema_name
    assert members(keeper, copy) == addresses(acme, stays)
    keeper.sql("UPDATE public.tenants SET state = 'deleting' WHERE schema_name = :n", n=copy)
    with keeper.app.app_context():
        tenants.drop(copy)
    assert members(keeper, copy) == set()


def test_calendars_stay_as_they_are(keeper: Keeper, client: FlaskClient, acme: Company) -> None:
    someone, leaver = acme.add_person(), acme.add_person()
    row = add_list(acme)
    kept, revoked, left = add_feed(someone, row["uuid"]), add_feed(someone), add_feed(leaver)
    keeper.back_up(acme.slug)
    assert someone.delete(f"/feeds/{revoked['uuid']}").status_code == 204
    assert acme.delete(f"/users/{leaver.uuid}").status_code == 204
    new = add_feed(someone)
    of_new_list = add_feed(someone, add_list(acme)["uuid"])
    for restore in (keeper.restore, keeper.undo, keeper.undo):
        assert restore(acme.slug)["state"] == "done"
        for feed, status in ((kept, 200), (new, 200), (revoked, 404), (left, 404)):
            assert fetch(client, feed).status_code == status
    assert fetch(client, of_new_list).status_code == 404, "its list is not there any more"
    assert fetch(client, add_feed(someone)).status_code == 200, "new ones get numbers of their own"
    copy = f"{acme.slug}-then"
    keeper.restore(acme.slug, as_slug=copy)
    schema_name = keeper.tenant(copy).schema_name
    assert not keeper.sql(f"SELECT id FROM {schema_name}.feeds")


def test_a_tenant_that_is_made_of_an_archive_begins_behind_closed_doors(
    keeper: Keeper, client: FlaskClient, acme: Company
) -> None:
    person = acme.add_person()
    add_secrets(keeper, person, acme.schema_name, "secret")
    invite(keeper, acme, "somebody@example.com")
    keeper.back_up(acme.slug)
    keeper.restore(acme.slug, as_slug=f"{acme.slug}-then")
    copy = keeper.tenant(f"{acme.slug}-then").schema_name
    rows = of_people(keeper, copy)
    assert rows["access_tokens"] == rows["one_time_tokens"] == set()
    assert invitations(keeper, copy) == {"somebody@example.com": "revoked"}
    now = of_people(keeper, acme.schema_name)
    for kept in ("two_factor", "recovery_codes"):
        assert rows[kept] == now[kept] != set()
    assert invitations(keeper, acme.schema_name) != invitations(keeper, copy)


def test_a_live_schema_that_is_older_than_the_secrets_of_the_archive(
    keeper: Keeper, acme: Company
) -> None:
    """Its second factors come back; what would open a door does not."""
    person = acme.add_person()
    add_secrets(keeper, person, acme.schema_name, "secret")
    invite(keeper, acme, "somebody@example.com")
    second = of_people(keeper, acme.schema_name)["two_factor"]
    keeper.back_up(acme.slug)
    move_to(keeper.app, acme, "0002")
    assert keeper.restore(acme.slug)["state"] == "done"
    rows = of_people(keeper, acme.schema_name)
    assert (rows["two_factor"], len(rows["recovery_codes"])) == (second, 2)
    assert rows["one_time_tokens"] == set()
    assert all("|{tasks:read}|" not in row for row in rows["access_tokens"])
    assert invitations(keeper, acme.schema_name) == {"somebody@example.com": "revoked"}
    assert acme.get("/lists/").status_code == 200
