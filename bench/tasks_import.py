"""An import of tasks, beside COPY of the same lines once they are read and checked."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from bench.installation import Installation
from bench.load import Caller, LoadError
from bench.result import Figures, Options, Ratio, spread
from bench.tasks_data import PEOPLE, TAGS
from todo_app.todos import positions
from todo_app.transfer.csv_files import MEDIA_TYPE, Line, read
from todo_app.transfer.schemas import TaskLineSchema
from todo_app.transfer.task_import import MAX_LINES

TARGET = "<= 3"
LINES_FACTOR = 10
"""Lines for each tenant of `many tenants`: 10,000, the most that a file may have."""

COPY = "tasks read, checked and COPY"
IMPORT = "import of tasks"
LIST = "Imported tasks"

Connection = psycopg2.extensions.connection


def measure(
    installation: Installation, caller: Caller, options: Options
) -> tuple[dict[str, Ratio], Figures]:
    """Add the same tasks by the API and by COPY, and take them away again.

    The floor reads the file and checks each cell as the API does, finds the list, tags and people
    that it names, and writes tasks, their tags and their assignees: no entry of the timeline, no
    mark for clients that sync.
    """
    number = min(options.tenants * LINES_FACTOR, MAX_LINES)
    file = _file(number)
    client = installation.app.test_client()
    headers = {"tenant": caller.tenant, "Authorization": f"Bearer {caller.token}"}

    def by_import() -> None:
        answer = client.post("/tasks/import", data=file, headers=headers, content_type=MEDIA_TYPE)
        if answer.status_code != 201:
            raise LoadError(f"the import failed: {answer.get_data(as_text=True)[:1000]}")

    with closing(psycopg2.connect(installation.env["OPS_DATABASE_URL"])) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            schema_name = caller.token.partition(".")[0]
            cursor.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema_name)))
            cursor.execute(
                "INSERT INTO lists (title, created_by_id) SELECT %s, min(id) FROM users", (LIST,)
            )

        def by_copy() -> None:
            lines, report = read(file, TaskLineSchema(), number)
            report.raise_if_any()
            _copy(connection, lines)

        ways: dict[str, Callable[[], None]] = {COPY: by_copy, IMPORT: by_import}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(options.rounds + 1):
            for name in list(ways) if turn % 2 == 0 else list(reversed(ways)):
                started = time.perf_counter()
                ways[name]()
                seconds = time.perf_counter() - started
                if turn:  # The first one fills caches.
                    times[name].append(seconds)
                _take_away(connection, number)
    ratios = {f"import/COPY, {number} tasks": Ratio.of(times[IMPORT], times[COPY], TARGET)}
    return ratios, {f"{name}, {number} lines": spread(times[name]) for name in ways}


def _file(number: int) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(
        ["list", "title", "description", "status", "priority", "due", "assignees", "tags"]
    )
    for n in range(number):
        writer.writerow(
            [
                LIST,
                f"Task {n}",
                f"Number *{n}* of many",
                "in_progress" if n % 3 else "new",
                n % 6,
                f"2026-{1 + n % 12:02}-{1 + n % 28:02}T09:00:00+01:00",
                f"grace{2 + n % (PEOPLE - 1)}@tasks.example",
                f"tag{1 + n % TAGS},tag{1 + (n + 7) % TAGS}",
            ]
        )
    return text.getvalue().encode()


def _copy(connection: Connection, lines: Sequence[Line]) -> None:
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, created_by_id FROM lists WHERE title = %s", (LIST,))
        [(list_id, user_id)] = cursor.fetchall()
        cursor.execute("SELECT lower(name), id FROM tags")
        tags = dict(cursor.fetchall())
        cursor.execute("SELECT lower(email), id FROM users WHERE deleted_at IS NULL")
        people = dict(cursor.fetchall())
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('tasks', 'id')) FROM generate_series(1, %s)",
            (len(lines),),
        )
        keys = [key for (key,) in cursor.fetchall()]
        places = positions.evenly(None, None, len(lines))
        numbered = list(zip(keys, places, lines, strict=True))
        _send(
            cursor,
            "tasks (id, list_id, title, description, status, priority, due_at, created_by_id,"
            " number, position)",
            (
                (
                    *(key, list_id, line.values["title"], line.values["description"]),
                    *(line.values["status"], line.values["priority"], line.values["due"]),
                    *(user_id, number, place),
                )
                for number, (key, place, line) in enumerate(numbered, 1)
            ),
        )
        _send(
            cursor,
            "task_tags (task_id, tag_id)",
            ((key, tags[tag]) for key, _, line in numbered for tag in line.values["tags"]),
        )
        _send(
            cursor,
            "task_assignees (task_id, user_id)",
            ((key, people[who]) for key, _, line in numbered for who in line.values["assignees"]),
        )


def _send(cursor: Any, into: str, rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    text.seek(0)
    cursor.copy_expert(f"COPY {into} FROM STDIN CSV", text)


def _take_away(connection: Connection, number: int) -> None:
    its_list = "list_id = (SELECT id FROM lists WHERE title = %s)"
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM tasks WHERE {its_list}", (LIST,))
        if cursor.rowcount != number:
            raise LoadError(f"{cursor.rowcount} tasks are there, not {number}")
        cursor.execute(f"DELETE FROM changes WHERE {its_list}", (LIST,))
        cursor.execute("VACUUM tasks, task_tags, task_assignees, activity, changes")
