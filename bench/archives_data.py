"""Data of tenants: people, lists and tasks, made up, and the same in every run."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice

import psycopg2
from psycopg2 import sql
from sqlalchemy.engine import make_url

from bench.installation import Installation

PEOPLE = 20
LISTS = 50
COPIED_AT_ONCE = 10_000
"""Tasks."""

WORDS = 5_000
TEXT_CHARACTERS = 32 * 2**20
"""Of which all descriptions are parts: so much that a compressor hardly meets one twice."""
LONGEST_DESCRIPTION = 500

SERVER_BYTES = 130
"""What PostgreSQL adds to a task that is sent without number, UUID, version and times."""

WIDER_TABLES = 10
"""With three indexes each."""

FILL = """
INSERT INTO users (first_name, last_name, email, password_hash, role_id)
SELECT 'Grace', 'Hopper', 'grace' || n || '@example.com', 'none: nobody signs in', 3
  FROM generate_series(2, %(people)s) AS n;
INSERT INTO lists (title, created_by_id)
SELECT 'List ' || n, 1 + n %% %(people)s FROM generate_series(1, %(lists)s) AS n
"""

COPY = """
COPY tasks (list_id, title, description, status, priority, due_at, completed_at, created_by_id,
            assignee_id) FROM STDIN
"""


def fill(installation: Installation, schema_name: str, size: int) -> None:
    """Give a tenant that has one user as many tasks as come to `size` bytes of COPY's text."""
    database = make_url(installation.env["OPS_DATABASE_URL"]).database or ""
    # A superuser may leave out the checks of foreign keys, which take longer than all the rest.
    with closing(psycopg2.connect(installation.postgres.url(database))) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role TO replica")
            set_path = sql.SQL("SET search_path TO {}").format(sql.Identifier(schema_name))
            cursor.execute(set_path)
            cursor.execute(FILL, {"people": PEOPLE, "lists": LISTS})
            tasks = _tasks(size)
            while some := "".join(islice(tasks, COPIED_AT_ONCE)):
                cursor.copy_expert(COPY, io.StringIO(some))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE users, lists, tasks")


def widen(installation: Installation, schema_name: str, tenants: int) -> None:
    """Add `WIDER_TABLES` tables for each tenant, beside it, as the program might have one day.

    Args:
        installation: whose database gets them.
        schema_name: of a tenant, which one of its tables is taken from.
        tenants: how many.
    """
    url = installation.env["OPS_DATABASE_URL"]
    like = sql.Identifier(schema_name, "lists")
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit TO off")
            for number in range(tenants):
                beside = f"wide_{number}"
                statements = [sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(beside))]
                statements += [
                    sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                        sql.Identifier(beside, f"wide_{table}"), like
                    )
                    for table in range(WIDER_TABLES)
                ]
                cursor.execute(sql.SQL("; ").join(statements))


def _tasks(size: int) -> Iterator[str]:
    """Lines for COPY."""
    chance = random.Random(0)
    text = _text(chance)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    while size > 0:
        at = int(chance.random() * (len(text) - LONGEST_DESCRIPTION))
        end = at + int(chance.random() * LONGEST_DESCRIPTION)
        number = int(chance.random() * LISTS * PEOPLE)
        due = begin + timedelta(minutes=number * 60)
        done = number % 3 == 0
        line = "\t".join(
            (
                str(1 + number % LISTS),
                text[end : end + 40],
                text[at:end],
                "done" if done else "new",
                str(number % 6),
                due.isoformat() if number % 2 else r"\N",
                due.isoformat() if done else r"\N",
                str(1 + number % PEOPLE),
                str(1 + number % PEOPLE) if number % 4 else r"\N",
            )
        )
        size -= len(line) + SERVER_BYTES
        yield f"{line}\n"


def _text(chance: random.Random) -> str:
    """Words, some of them often and most of them seldom, as in a language."""
    letters = "etaoinshrdlucmfwypvbgk"
    words = [
        "".join(chance.choices(letters, range(len(letters), 0, -1), k=chance.randint(2, 11)))
        for _ in range(WORDS)
    ]
    often = [1 / rank for rank in range(1, WORDS + 1)]
    return " ".join(chance.choices(words, often, k=TEXT_CHARACTERS // 6))
