"""Filters and search over many tasks, beside the bare SQL of the same page."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg2
from psycopg2 import sql
from sqlalchemy.dialects.postgresql.base import PGDialect

from bench.installation import Installation, Server
from bench.load import Caller, LoadError
from bench.result import Figures, Options, Ratio, Row
from bench.tasks_floor import credentials, page
from todo_app.filters.tasks import TASK_WORDS

TARGET = "<= 3"
REQUESTS = 50
"""In each round, of each way."""

_DIALECT = PGDialect()  # type: ignore[no-untyped-call]
_WORDS = str(TASK_WORDS.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))
"""The expression that is indexed, as SQL."""

_TAGGED = (
    "EXISTS (SELECT FROM task_tags AS g JOIN tags ON tags.id = g.tag_id"
    " WHERE g.task_id = tasks.id AND tags.name IN ('tag1', 'tag2'))"
)
_MINE = (
    "EXISTS (SELECT FROM task_assignees AS a, caller"
    " WHERE a.task_id = tasks.id AND a.user_id = caller.id)"
)

CONDITIONS = {
    "priority and due": (
        "priority >= 4 and due < 2026-02-01T00:00:00Z",
        "tasks.priority >= 4 AND tasks.due_at < '2026-02-01T00:00:00Z'",
    ),
    "creator and status": (
        "creator = me and status != done",
        "tasks.created_by_id = (SELECT id FROM caller) AND tasks.status <> 'done'",
    ),
    "tags and assignee": (
        "tag in (tag1, tag2) and assignee = me and status != done",
        f"{_TAGGED} AND {_MINE} AND tasks.status <> 'done'",
    ),
    "search": (
        "search('word17')",
        f"{_WORDS} @@ to_tsquery('pg_catalog.simple', 'word17')",
    ),
}
"""By what is asked for, the filter and the SQL that say it."""


def measure(
    installation: Installation, app: Server, caller: Caller, options: Options
) -> tuple[dict[str, Ratio], Figures]:
    """Ask for the first page again and again, over HTTP and by psycopg2."""
    ratios: dict[str, Ratio] = {}
    figures: Figures = {}
    url = installation.env["OPS_DATABASE_URL"]
    with (
        closing(http.client.HTTPConnection(urlsplit(app.url).netloc)) as api,
        closing(psycopg2.connect(url)) as database,
    ):
        database.autocommit = True
        with database.cursor() as cursor:
            schema_name = caller.token.partition(".")[0]
            cursor.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema_name)))
        for name, (text, where) in CONDITIONS.items():
            ways: dict[str, Callable[[], Any]] = {
                "bare SQL": _by_sql(database, page(where), credentials(*caller)),
                "API": _by_api(api, f"/tasks/?size=50&filter={quote(text)}", caller),
            }
            if (counts := {way: ask() for way, ask in ways.items()})["API"] != counts["bare SQL"]:
                raise LoadError(f"{name}: the API and its SQL find different tasks: {counts}")
            seconds: dict[str, list[list[float]]] = {way: [] for way in ways}
            for turn in range(options.rounds):
                for way in list(ways) if turn % 2 == 0 else list(reversed(ways)):
                    seconds[way].append([_timed(ways[way]) for _ in range(REQUESTS)])
            slowest = {way: [_p99(some) for some in seconds[way]] for way in ways}
            ratios[f"p99 of {name}, API/bare SQL"] = Ratio.of(
                slowest["API"], slowest["bare SQL"], TARGET
            )
            figures |= {f"{name}, {way}": _figures(seconds[way]) for way in ways}
    return ratios, figures


def _by_api(api: http.client.HTTPConnection, path: str, caller: Caller) -> Callable[[], Any]:
    headers = {"tenant": caller.tenant, "Authorization": f"Bearer {caller.token}"}

    def ask() -> Any:
        api.request("GET", path, headers=headers)
        answer = api.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise LoadError(f"{path}: {body.decode()[:500]}")
        return _total(body)

    return ask


def _by_sql(
    database: psycopg2.extensions.connection, statement: str, values: dict[str, Any]
) -> Callable[[], Any]:
    def ask() -> Any:
        with database.cursor() as cursor:
            cursor.execute(statement, values)
            [(body,)] = cursor.fetchall()
        return _total(body.encode())

    return ask


def _total(body: bytes) -> str:
    """How many tasks there are, as a page tells it; read as text, which takes no time."""
    return body.replace(b" ", b"").rpartition(b'"total":')[2].partition(b",")[0].decode()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


def _figures(rounds: list[list[float]]) -> Row:
    everything = sorted(second for some in rounds for second in some)
    return {
        "p50 ms": everything[len(everything) // 2] * 1e3,
        "p99 ms": _p99(everything) * 1e3,
    }
