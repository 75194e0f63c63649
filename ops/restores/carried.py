"""Rows that a restore leaves as they are live: what lets people in, and the record of who did what.

- `access_tokens`, sessions and API tokens alike, `two_factor`, `recovery_codes` and
  `one_time_tokens` are those that are live now. What was ended, used or removed since stays so, and
  who is signed in stays so.
- `feeds`, the private addresses of calendars, are those that are live now, but for those of lists
  that the archive does not have.
- `webhooks` are those that are live now, and what waits to be sent to them still does. What waited
  when the archive was taken has been sent since, or given up: it is not sent again.
- An invitation that is pending in the archive has become live what it has become since: accepted,
  revoked, or sent again with another secret. Where it is live no more, it is revoked.
- `require_two_factor` of the company's settings is as it is live.
- Nobody is told once more of what is in the timeline, `activity`. Reminders are as the archive has
  them: those whose moment is still to come are sent.
- `changes`, by which clients sync, have numbers of transactions that this server has had. Tokens
  of clients are good for the tables that they were given for, so for none that was restored.
- `audit_log` has the entries of both: a restore never takes back what was recorded.

A tenant that is made of an archive and takes no live one's place begins without sessions, API
tokens, calendars, mailed secrets and open invitations. Passwords and second factors are kept: they
are the same people, with the same secrets.

A live schema may be older than these tables. Then the archive's rows stay, but for what opens a
door, or tells others: its mailed secrets, open invitations and calendars end, and its webhooks are
off.
"""

# ruff: noqa: S608 - the names of schemas are quoted identifiers, all else is constant

from __future__ import annotations

import functools
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from todo_app import outbox
from todo_app.database import quote_identifier

OF_PEOPLE = ("access_tokens", "two_factor", "recovery_codes", "one_time_tokens")
"""Tables whose rows belong to a user each, and are as they are live."""

_PENDING = "i.accepted_at IS NULL AND i.revoked_at IS NULL"

OPERATIONS = "operations"
"""Who has done it, where a restore is recorded."""


class Pair:
    """A live schema, and the one that is to take its place.

    Args:
        connection: as the owner of both.
        old: name of the live one, quoted.
        new: name of the other, which is at the newest revision, quoted.
    """

    def __init__(self, connection: sa.Connection, old: str, new: str) -> None:
        self.connection = connection
        self.old = old
        self.new = new
        self.columns = functools.cache(self._columns)

    def _columns(self, table: str) -> tuple[str, ...]:
        """The columns, quoted, that a table has in both; none where the live one lacks it."""
        statement = sa.text(
            "SELECT quote_ident(a.attname) FROM pg_attribute AS a"
            " JOIN pg_attribute AS b ON b.attname = a.attname AND b.attnum > 0"
            " WHERE a.attrelid = to_regclass(:new) AND b.attrelid = to_regclass(:old)"
            " AND a.attnum > 0 AND a.attgenerated = '' AND NOT a.attisdropped"
            " AND NOT b.attisdropped ORDER BY a.attnum"
        )
        tables = {"old": f"{self.old}.{table}", "new": f"{self.new}.{table}"}
        return tuple(self.connection.scalars(statement, tables))


def carry_over(pair: Pair, *, missing_too: bool, again: bool) -> None:
    """Make the rows of the new schema what they are in the live one; `people` comes first.

    Args:
        pair: the two.
        missing_too: whether an invitation that is live no more is revoked; not so in an `undo`.
        again: whether this has been done within the last hour: entries of the record that are
            older are not looked for.
    """
    send(pair.connection, _renumber(pair.new))
    if missing_too:
        # In an `undo`, nobody has been told since the schema was put aside.
        send(pair.connection, *_tell(pair.new))
    if pair.columns("reminders"):
        send(pair.connection, _remind(pair))
    for table in OF_PEOPLE:
        if pair.columns(table):
            send(pair.connection, *_of_people(pair, table))
    if pair.columns("feeds"):
        send(pair.connection, *_feeds(pair))
    else:
        send(pair.connection, f"DELETE FROM {pair.new}.feeds")
    if pair.columns("webhooks"):
        send(pair.connection, *_webhooks(pair))
    else:
        send(pair.connection, *_silence(pair.new))
    if pair.columns("one_time_tokens"):
        send(pair.connection, *_invitations(pair, missing_too))
        send(
            pair.connection,
            f"UPDATE {pair.new}.company_settings AS s SET require_two_factor ="
            f" l.require_two_factor FROM {pair.old}.company_settings AS l WHERE l.id = s.id"
            " AND l.require_two_factor <> s.require_two_factor",
            *_record(pair, again),
        )
    else:
        send(pair.connection, *_close_doors(pair.new))


def forget(connection: sa.Connection, incoming: str, *, is_copy: bool = True) -> None:
    """End sessions, API tokens, calendars, mailed secrets and open invitations of a schema.

    Its webhooks are off, and nobody is reminded: of nothing at all in a copy, where nothing happens
    that they were meant to be told of, and elsewhere of nothing that is over.

    Args:
        connection: as its owner.
        incoming: its name. It is at the newest revision, and takes no live one's place.
        is_copy: whether the tenant lives on elsewhere; else it comes back.
    """
    new = quote_identifier(incoming)
    opened = (f"DELETE FROM {new}.access_tokens", f"DELETE FROM {new}.feeds")
    over = "IS NOT NULL" if is_copy else "<= now()"
    unmoved = f"UPDATE {new}.reminders SET next_at = NULL WHERE next_at {over}"
    told = (_renumber(new), *_tell(new), unmoved)
    send(connection, *opened, *_silence(new), *_close_doors(new), *told)


def call(connection: sa.Connection, live: str) -> None:
    """Have a tenant looked at: nobody else calls for the reminders and notices that are back."""
    connection.execute(outbox.message(outbox.NOTICES, {"schema_name": live}))


def record(connection: sa.Connection, incoming: str, action: str, **details: str) -> None:
    """Add an entry to the record of a schema.

    Args:
        connection: as its owner.
        incoming: its name. It is at the newest revision.
        action: what was done, such as `backup.restored`.
        details: what else is worth knowing.
    """
    statement = sa.text(
        f"INSERT INTO {quote_identifier(incoming)}.audit_log (actor_name, action, details)"
        " VALUES (:actor, :action, :details)"
    ).bindparams(sa.bindparam("details", type_=JSONB))
    values = {"actor": OPERATIONS, "action": action, "details": details}
    connection.execute(statement, values)


def list_members(connection: sa.Connection, live: str, incoming: str) -> None:
    """Make the directory of addresses say who has an account in a tenant.

    Args:
        connection: as the owner of both.
        live: name that the tenant's schema has, or is about to get.
        incoming: name under which it is found now.
    """
    statement = sa.text(
        "WITH here AS (SELECT DISTINCT sha256(convert_to(lower(email), 'UTF8')) AS digest"
        f"  FROM {quote_identifier(incoming)}.users WHERE deleted_at IS NULL AND is_verified),"
        " gone AS (DELETE FROM public.members AS m WHERE m.schema_name = :live"
        "  AND m.email_digest NOT IN (SELECT digest FROM here))"
        " INSERT INTO public.members (email_digest, schema_name) SELECT digest, :live FROM here"
        " ON CONFLICT DO NOTHING"
    )
    connection.execute(statement, {"live": live})


def _of_people(pair: Pair, table: str) -> list[str]:
    old, new = f"{pair.old}.{table}", f"{pair.new}.{table}"
    columns = [column for column in pair.columns(table) if column != "user_id"]
    owners = (
        f"JOIN {pair.old}.users AS lu ON lu.id = l.user_id"
        f" JOIN {pair.new}.users AS iu ON iu.uuid = lu.uuid AND iu.deleted_at IS NULL"
    )
    has_id = "id" in columns
    same = "i.id = l.id" if has_id else "i.user_id = iu.id"
    statements = [
        f"DELETE FROM {new} AS i WHERE NOT EXISTS (SELECT FROM {old} AS l {owners} WHERE {same}"
        f" AND i.user_id = iu.id AND ({prefixed('l', columns)}) IS NOT DISTINCT FROM"
        f" ({prefixed('i', columns)}))",
        f"INSERT INTO {new} (user_id, {', '.join(columns)}) OVERRIDING SYSTEM VALUE"
        f" SELECT iu.id, {prefixed('l', columns)} FROM {old} AS l {owners}"
        f" WHERE NOT EXISTS (SELECT FROM {new} AS i WHERE {same})",
    ]
    return [*statements, _count_on(new)] if has_id else statements


def _feeds(pair: Pair) -> list[str]:
    old, new = f"{pair.old}.feeds", f"{pair.new}.feeds"
    keys = ("user_id", "list_id")
    columns = [column for column in pair.columns("feeds") if column not in keys]
    rows = (
        f"FROM {old} AS l JOIN {pair.old}.users AS lu ON lu.id = l.user_id"
        f" JOIN {pair.new}.users AS iu ON iu.uuid = lu.uuid AND iu.deleted_at IS NULL"
        f" LEFT JOIN {pair.old}.lists AS ll ON ll.id = l.list_id"
        f" LEFT JOIN {pair.new}.lists AS il ON il.uuid = ll.uuid"
        " WHERE (l.list_id IS NULL OR il.id IS NOT NULL)"
    )
    return [
        f"DELETE FROM {new} AS i WHERE NOT EXISTS (SELECT {rows} AND l.id = i.id"
        f" AND (iu.id, il.id, {prefixed('l', columns)})"
        f" IS NOT DISTINCT FROM (i.user_id, i.list_id, {prefixed('i', columns)}))",
        f"INSERT INTO {new} ({', '.join(keys)}, {', '.join(columns)}) OVERRIDING SYSTEM VALUE"
        f" SELECT iu.id, il.id, {prefixed('l', columns)} {rows}"
        f" AND NOT EXISTS (SELECT FROM {new} AS i WHERE i.id = l.id)",
        _count_on(new),
    ]


def _webhooks(pair: Pair) -> list[str]:
    old, new = pair.old, pair.new
    columns = [c for c in pair.columns("webhooks") if c not in ("id", "created_by_id")]
    sets = ", ".join(f"{column} = l.{column}" for column in columns)
    # Where the archive does not have who has made one, a master administrator answers for it.
    creator = (
        f"COALESCE((SELECT iu.id FROM {old}.users AS lu JOIN {new}.users AS iu"
        f"  ON iu.uuid = lu.uuid WHERE lu.id = l.created_by_id), (SELECT min(u.id) FROM {new}.users"
        f" AS u JOIN {new}.roles AS r ON r.id = u.role_id WHERE r.name = 'master_admin'))"
    )
    sent = [c for c in pair.columns("webhook_deliveries") if c not in ("id", "webhook_id")]
    waiting = f"SELECT l.uuid FROM {old}.webhook_deliveries AS l WHERE l.state = 'pending'"
    return [
        f"DELETE FROM {new}.webhooks WHERE uuid NOT IN (SELECT l.uuid FROM {old}.webhooks AS l)",
        f"UPDATE {new}.webhooks AS i SET {sets} FROM {old}.webhooks AS l WHERE l.uuid = i.uuid"
        f" AND ({prefixed('i', columns)}) IS DISTINCT FROM ({prefixed('l', columns)})",
        f"INSERT INTO {new}.webhooks (created_by_id, {', '.join(columns)})"
        f" SELECT {creator}, {prefixed('l', columns)} FROM {old}.webhooks AS l"
        f" WHERE l.uuid NOT IN (SELECT uuid FROM {new}.webhooks) ORDER BY l.id",
        f"DELETE FROM {new}.webhook_deliveries WHERE uuid IN ({waiting})",
        _end_deliveries(new),
        f"INSERT INTO {new}.webhook_deliveries (webhook_id, {', '.join(sent)})"
        f" SELECT i.id, {prefixed('l', sent)} FROM {old}.webhook_deliveries AS l"
        f" JOIN {old}.webhooks AS w ON w.id = l.webhook_id"
        f" JOIN {new}.webhooks AS i ON i.uuid = w.uuid WHERE l.state = 'pending' ORDER BY l.id",
    ]


def _silence(new: str) -> tuple[str, str]:
    return (
        f"UPDATE {new}.webhooks SET is_active = false, version = version + 1 WHERE is_active",
        _end_deliveries(new),
    )


def _end_deliveries(new: str) -> str:
    return (
        f"UPDATE {new}.webhook_deliveries SET state = 'failed', next_at = NULL, ended_at = now(),"
        " error = 'It waited when a backup was taken, which was restored.' WHERE state = 'pending'"
    )


def _count_on(table: str) -> str:
    """New rows must not get the numbers of those that were carried over."""
    return (
        f"SELECT setval(s.name, GREATEST((SELECT max(id) FROM {table}),"
        " pg_sequence_last_value(s.name::regclass), 1))"
        f" FROM (SELECT pg_get_serial_sequence('{table}', 'id') AS name) AS s"
    )


def _invitations(pair: Pair, missing_too: bool) -> list[str]:
    old, new = f"{pair.old}.invitations", f"{pair.new}.invitations"
    columns = ("digest", "sent_at", "expires_at", "accepted_at", "revoked_at")
    sets = ", ".join(f"{column} = l.{column}" for column in columns)
    statements = [
        f"UPDATE {new} AS i SET {sets} FROM {old} AS l WHERE l.uuid = i.uuid AND {_PENDING}"
        f" AND ({prefixed('i', columns)}) IS DISTINCT FROM ({prefixed('l', columns)})"
    ]
    if missing_too:
        statements.append(
            f"UPDATE {new} AS i SET revoked_at = now() WHERE {_PENDING}"
            f" AND NOT EXISTS (SELECT FROM {old} AS l WHERE l.uuid = i.uuid)"
        )
    return statements


def _record(pair: Pair, again: bool) -> list[str]:
    old, new = f"{pair.old}.audit_log", f"{pair.new}.audit_log"
    columns = pair.columns("audit_log")
    recent = " AND l.at > now() - interval '1 hour'" if again else ""
    insert = (
        f"INSERT INTO {new} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"
        f" SELECT {prefixed('l', columns)} FROM {old} AS l"
        f" WHERE NOT EXISTS (SELECT FROM {new} AS i WHERE i.id = l.id){recent}"
    )
    # Where both have an entry, it says what it says live.
    differing = (
        f"DELETE FROM {new} AS i USING {old} AS l WHERE l.id = i.id"
        f" AND ({prefixed('l', columns)}) IS DISTINCT FROM ({prefixed('i', columns)})"
    )
    statements = [insert] if again else [differing, insert]
    return [*statements, _count_on(new)]


def _renumber(new: str) -> str:
    """Another server's transactions may have numbers that this one reaches in years only.

    Clients that sync would wait so long for those changes.
    """
    current = "pg_current_xact_id()::text::bigint"
    return f"UPDATE {new}.changes SET transaction = {current} WHERE transaction > {current}"


def _tell(new: str) -> tuple[str, str]:
    """People have been told of what had just happened when the archive was taken."""
    return (
        f"UPDATE {new}.activity SET is_told = true WHERE NOT is_told",
        f"DELETE FROM {new}.held_notices",
    )


def _remind(pair: Pair) -> str:
    """What was due since the archive has been sent, but for what is just due and still waits."""
    return (
        f"UPDATE {pair.new}.reminders AS i SET next_at = NULL WHERE i.next_at <= now()"
        f" AND NOT EXISTS (SELECT FROM {pair.old}.reminders AS l"
        "  WHERE l.uuid = i.uuid AND l.next_at = i.next_at)"
    )


def _close_doors(new: str) -> tuple[str, str]:
    return (
        f"DELETE FROM {new}.one_time_tokens",
        f"UPDATE {new}.invitations AS i SET revoked_at = now() WHERE {_PENDING}",
    )


def prefixed(alias: str, columns: Iterable[str]) -> str:
    """Columns of an alias, for a list in SQL."""
    return ", ".join(f"{alias}.{column}" for column in columns)


def send(connection: sa.Connection, *statements: str) -> None:
    """Run statements that have no parameters."""
    for sql in statements:
        connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
