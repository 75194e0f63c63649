"""What a restore must not bring back with the data: old credentials, and people who were deleted.

A backup is some days old. Meanwhile people have changed passwords because they had leaked, ended
their sessions, were locked out, or were deleted, which they may have had a right to. So, where a
schema takes the place of a live one:

- For people who exist in both, these are as they are live: `email`, which they sign in with,
  `is_verified`, which belongs to that address, `password_hash`, and `is_active`.
- `access_tokens` are those that are live now. A session that was ended stays ended, and those who
  are signed in stay so. Sessions never come out of an archive, so a tenant that is made of one
  begins with none.
- People who were deleted since, whose row is gone or has `deleted_at`, stay deleted, unless the
  operator says otherwise.

Names, roles and all else about people are data: they come back as they were.
"""

# ruff: noqa: S608 - the names of schemas are quoted identifiers, all else is constant

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from todo_app.database import quote_identifier

CREDENTIALS = ("email", "is_verified", "password_hash", "is_active")


class Person(NamedTuple):
    """Somebody who is in an archive and was deleted since."""

    uuid: str
    email: str


def deleted_since(
    connection: sa.Connection, live: str, incoming: str, *, missing_too: bool = True
) -> list[Person]:
    """Who would come back.

    Args:
        connection: as the owner of both schemas.
        live: schema that people work in now.
        incoming: schema that is to take its place.
        missing_too: whether those count who have no row at all in `live`.
    """
    sql = f"SELECT i.uuid::text, i.email {_deleted(live, incoming, missing_too)} ORDER BY i.email"
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
) -> None:
    """Make credentials and deletions in `incoming` what they are in `live`.

    Writes only what differs: called a second time within the swap, it has next to nothing to do.

    Args:
        connection: as the owner of both schemas, which are at least at the first revision.
        live: schema that people work in now.
        incoming: schema that is to take its place.
        keep_deleted: whether people who were deleted since stay deleted.
        missing_too: as in `deleted_since`.
    """
    old, new = _in(live), _in(incoming)
    if keep_deleted:
        _send(
            connection,
            f"UPDATE {new}.users AS u SET is_active = false, deleted_at = d.deleted_at"
            f" FROM (SELECT i.id, COALESCE(l.deleted_at, now()) AS deleted_at"
            f" {_deleted(live, incoming, missing_too)}) AS d WHERE u.id = d.id",
        )
    _send(connection, _yield_addresses(old, new), *_credentials(old, new))
    columns = _columns(connection, live, incoming)
    _send(
        connection,
        f"DELETE FROM {new}.access_tokens AS i WHERE NOT EXISTS (SELECT FROM {old}.access_tokens"
        f" AS l JOIN {old}.users AS lu ON lu.id = l.user_id"
        f" JOIN {new}.users AS iu ON iu.uuid = lu.uuid"
        " WHERE l.id = i.id AND l.digest = i.digest AND l.expires_at = i.expires_at"
        " AND iu.id = i.user_id AND iu.deleted_at IS NULL)",
        f"INSERT INTO {new}.access_tokens (user_id, {columns}) OVERRIDING SYSTEM VALUE"
        f" SELECT iu.id, {_prefixed('l', columns)} FROM {old}.access_tokens AS l"
        f" JOIN {old}.users AS lu ON lu.id = l.user_id"
        f" JOIN {new}.users AS iu ON iu.uuid = lu.uuid AND iu.deleted_at IS NULL"
        f" WHERE NOT EXISTS (SELECT FROM {new}.access_tokens AS i WHERE i.id = l.id)",
        # New sessions must not get the numbers of those.
        f"SELECT setval(s.name, GREATEST((SELECT max(id) FROM {new}.access_tokens),"
        " pg_sequence_last_value(s.name::regclass), 1))"
        f" FROM (SELECT pg_get_serial_sequence('{new}.access_tokens', 'id') AS name) AS s",
    )


def forget_sessions(connection: sa.Connection, incoming: str) -> None:
    """End all sessions of a schema that takes no live one's place."""
    _send(connection, f"DELETE FROM {_in(incoming)}.access_tokens")


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
    columns = ", ".join(CREDENTIALS)
    differs = f"({_prefixed('u', columns)}) IS DISTINCT FROM ({_prefixed('l', columns)})"
    sets = ", ".join(f"{column} = l.{column}" for column in CREDENTIALS)
    return (
        # Two people may have swapped their addresses, which are unique at every moment.
        f"UPDATE {new}.users AS u SET email = u.uuid::text {both} AND u.email <> l.email",
        f"UPDATE {new}.users AS u SET {sets} {both} AND {differs}",
    )


def _columns(connection: sa.Connection, live: str, incoming: str) -> str:
    """The columns that sessions have in both schemas, whose revisions may differ."""
    statement = sa.text(
        "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute AS a"
        " JOIN pg_attribute AS b ON b.attname = a.attname AND b.attnum > 0"
        " WHERE a.attrelid = to_regclass(:incoming) AND b.attrelid = to_regclass(:live)"
        " AND a.attnum > 0 AND a.attgenerated = '' AND NOT a.attisdropped"
        " AND NOT b.attisdropped AND a.attname <> 'user_id'"
    )
    tables = {"live": f"{_in(live)}.access_tokens", "incoming": f"{_in(incoming)}.access_tokens"}
    return str(connection.execute(statement, tables).scalar_one())


def _prefixed(alias: str, columns: str) -> str:
    return ", ".join(f"{alias}.{column}" for column in columns.split(", "))


def _in(schema_name: str) -> str:
    return quote_identifier(schema_name)


def _send(connection: sa.Connection, *statements: str) -> None:
    for sql in statements:
        connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
