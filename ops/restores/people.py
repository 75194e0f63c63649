"""What a restore must not bring back with the data: old credentials, and people who were deleted.

A backup is some days old. Meanwhile people have changed passwords because they had leaked, ended
their sessions, lost a telephone, were locked out, or were deleted, which they may have had a right
to. So, where a schema takes the place of a live one:

- For people who exist in both, these are as they are live: `email`, which they sign in with,
  `is_verified`, which belongs to that address, `password_hash`, and `is_active`.
- People who were deleted since, whose row is gone or has `deleted_at`, stay deleted, unless the
  operator says otherwise. People who were erased stay erased, whatever the operator says.
- Sessions, API tokens, second factors and all else that `carried` names are as they are live.
- If nobody were left who has the role of the master administrator and can sign in, those who are
  it now keep that role.

Names, roles, groups, pictures and all else about people are data: they come back as they were. So
somebody who has lost a role since the backup has it again.
"""

# ruff: noqa: S608 - the names of schemas are quoted identifiers, all else is constant

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from ops.restores import carried
from ops.restores.carried import Pair, prefixed, send
from todo_app.database import quote_identifier
from todo_app.permissions.models import MASTER_ADMIN

CREDENTIALS = ("email", "is_verified", "password_hash", "is_active")

NOT_ERASED = ("id", "uuid", "role_id")
"""What an erased person's row keeps of the archive; all else is as it is live."""

_IS_ERASED = "to_jsonb(l) ->> 'erased_at' IS NOT NULL"
"""Also where the live schema is older than the column."""


class Person(NamedTuple):
    """Somebody who is in an archive and was deleted since."""

    uuid: str
    email: str


def deleted_since(
    connection: sa.Connection, live: str, incoming: str, *, missing_too: bool = True
) -> list[Person]:
    """Who could come back: those who were deleted since, but for those who were erased.

    Args:
        connection: as the owner of both schemas.
        live: schema that people work in now.
        incoming: schema that is to take its place.
        missing_too: whether those count who have no row at all in `live`.
    """
    sql = (
        f"SELECT i.uuid::text, i.email {_deleted(live, incoming, missing_too)}"
        f" AND NOT coalesce({_IS_ERASED}, false) ORDER BY i.email"
    )
    return [Person._make(row) for row in connection.exec_driver_sql(sql)]


def _deleted(live: str, incoming: str, missing_too: bool) -> str:
    gone = (
        "(l.id IS NULL OR l.deleted_at IS NOT NULL)" if missing_too else "l.deleted_at IS NOT NULL"
    )
    return (
        f"FROM {_in(incoming)}.users AS i LEFT JOIN {_in(live)}.users AS l ON l.uuid = i.uuid"
        f" WHERE i.deleted_at IS NULL AND {gone}"
    )


def carry_over(
    connection: sa.Connection,
    live: str,
    incoming: str,
    *,
    keep_deleted: bool = True,
    missing_too: bool = True,
    again: bool = False,
) -> None:
    """Make credentials and deletions in `incoming` what they are in `live`.

    Writes only what differs: called a second time within the swap, it has next to nothing to do.

    Args:
        connection: as the owner of both schemas.
        live: schema that people work in now, at the first revision at least.
        incoming: schema that is to take its place, at the newest revision.
        keep_deleted: whether people who were deleted since stay deleted.
        missing_too: as in `deleted_since`, and the same for invitations.
        again: whether this has been called for the two within the last hour.
    """
    old, new = _in(live), _in(incoming)
    pair = Pair(connection, old, new)
    if "erased_at" in pair.columns("users"):
        _erase(pair)
    if keep_deleted:
        send(
            connection,
            f"UPDATE {new}.users AS u SET is_active = false, deleted_at = d.deleted_at"
            f" FROM (SELECT i.id, COALESCE(l.deleted_at, now()) AS deleted_at"
            f" {_deleted(live, incoming, missing_too)}) AS d WHERE u.id = d.id",
        )
    send(connection, _yield_addresses(old, new), *_credentials(old, new), _leave_groups(new))
    carried.carry_over(pair, missing_too=missing_too, again=again)
    send(connection, _keep_master_admins(old, new))


def _erase(pair: Pair) -> None:
    """Wipe what says who somebody was: what the row has, and what hangs on it."""
    old, new = pair.old, pair.new
    columns = [column for column in pair.columns("users") if column not in NOT_ERASED]
    erased = f"FROM {old}.users AS l WHERE l.erased_at IS NOT NULL AND l.uuid = u.uuid"
    ids = f"(SELECT u.id FROM {new}.users AS u JOIN {old}.users AS l ON l.uuid = u.uuid"
    ids += " WHERE l.erased_at IS NOT NULL)"
    send(
        pair.connection,
        f"DELETE FROM {new}.invitations AS i USING {new}.users AS u"
        f" WHERE lower(i.email) = lower(u.email) AND u.id IN {ids}",
        f"DELETE FROM {new}.idempotency_keys AS k USING {new}.users AS u"
        f" WHERE k.caller = u.uuid::text AND u.id IN {ids}",
        f"DELETE FROM {new}.avatars WHERE user_id IN {ids}",
        f"UPDATE {new}.users AS u SET {', '.join(f'{c} = l.{c}' for c in columns)} {erased}"
        f" AND ({prefixed('u', columns)}) IS DISTINCT FROM ({prefixed('l', columns)})",
    )


def _yield_addresses(old: str, new: str) -> str:
    """Nobody comes back whose address somebody else has got since."""
    return (
        f"UPDATE {new}.users AS u SET is_active = false, deleted_at = now()"
        f" FROM {old}.users AS l WHERE u.deleted_at IS NULL AND l.deleted_at IS NULL"
        " AND lower(l.email) = lower(u.email) AND l.uuid <> u.uuid"
        f" AND EXISTS (SELECT FROM {new}.users AS i WHERE i.uuid = l.uuid)"
        f" AND NOT EXISTS (SELECT FROM {old}.users AS o WHERE o.uuid = u.uuid"
        "  AND o.deleted_at IS NULL)"
    )


def _credentials(old: str, new: str) -> tuple[str, str]:
    both = (
        f"FROM {old}.users AS l WHERE l.uuid = u.uuid AND l.deleted_at IS NULL"
        " AND u.deleted_at IS NULL"
    )
    differs = f"({prefixed('u', CREDENTIALS)}) IS DISTINCT FROM ({prefixed('l', CREDENTIALS)})"
    sets = ", ".join(f"{column} = l.{column}" for column in CREDENTIALS)
    return (
        # Two people may have swapped their addresses, which are unique at every moment.
        f"UPDATE {new}.users AS u SET email = u.uuid::text {both} AND u.email <> l.email",
        f"UPDATE {new}.users AS u SET {sets} {both} AND {differs}",
    )


def _leave_groups(new: str) -> str:
    return (
        f"DELETE FROM {new}.group_members AS m USING {new}.users AS u"
        " WHERE u.id = m.user_id AND u.deleted_at IS NOT NULL"
    )


def _keep_master_admins(old: str, new: str) -> str:
    """Nobody is locked out: where no master administrator can sign in, those of now stay it."""
    can_sign_in = "is_active AND deleted_at IS NULL"
    is_master = f"r.name = '{MASTER_ADMIN}'"
    return (
        f"UPDATE {new}.users AS u SET role_id = r.id FROM {new}.roles AS r, {old}.users AS l"
        f" WHERE {is_master} AND l.uuid = u.uuid AND u.is_active AND u.deleted_at IS NULL"
        f" AND l.role_id = (SELECT r.id FROM {old}.roles AS r WHERE {is_master})"
        f" AND NOT EXISTS (SELECT FROM {new}.users WHERE {can_sign_in} AND role_id ="
        f"  (SELECT r.id FROM {new}.roles AS r WHERE {is_master}))"
    )


def _in(schema_name: str) -> str:
    return quote_identifier(schema_name)
