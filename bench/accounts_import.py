"""An import of users, beside COPY of the same lines once they are read and checked."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import psycopg2
import psycopg2.extensions

from bench.installation import Installation
from bench.load import Caller, LoadError
from bench.result import Figures, Options, Ratio, spread
from todo_app.database import quote_identifier
from todo_app.transfer.csv_files import MEDIA_TYPE, Line, read
from todo_app.transfer.schemas import UserLineSchema

TARGET = "<= 3"
PEOPLE_FACTOR = 10
"""Users for each tenant of `many tenants`: 10,000, the most that a file may have."""

COPY = "read, checked and COPY"
IMPORT = "import"
COLUMNS = ("first_name", "last_name", "email", "language", "timezone")


def measure(
    installation: Installation, caller: Caller, options: Options
) -> tuple[dict[str, Ratio], Figures]:
    """Add the same users by the API and by COPY, and take them away again.

    The floor reads the file and checks each cell as the API does; it hashes nothing, as the API
    does not: those who are imported set a password of their own.
    """
    number = min(options.tenants * PEOPLE_FACTOR, 10_000)
    file = _file(number)
    schema_name = caller.token.partition(".")[0]
    client = installation.app.test_client()
    headers = {"tenant": caller.tenant, "Authorization": f"Bearer {caller.token}"}

    def by_import() -> None:
        answer = client.post("/users/import", data=file, headers=headers, content_type=MEDIA_TYPE)
        if answer.status_code != 201:
            raise LoadError(f"the import failed: {answer.get_data(as_text=True)[:1000]}")

    with closing(psycopg2.connect(installation.env["OPS_DATABASE_URL"])) as connection:
        connection.autocommit = True

        def by_copy() -> None:
            lines, report = read(file, UserLineSchema(), number)
            report.raise_if_any()
            _copy(connection, schema_name, lines)

        ways: dict[str, Callable[[], None]] = {COPY: by_copy, IMPORT: by_import}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(options.rounds + 1):
            for name in list(ways) if turn % 2 == 0 else list(reversed(ways)):
                started = time.perf_counter()
                ways[name]()
                seconds = time.perf_counter() - started
                if turn:  # The first one fills caches.
                    times[name].append(seconds)
                _take_away(connection, schema_name)
    ratios = {f"import/COPY, {number} users": Ratio.of(times[IMPORT], times[COPY], TARGET)}
    return ratios, {f"{name}, {number} users": spread(times[name]) for name in ways}


def _file(number: int) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["first_name", "last_name", "email", "role", "language", "timezone"])
    for n in range(number):
        row = ["Grace", "Hopper", f"grace{n}@example.net", "user", "en-US", "Europe/Warsaw"]
        writer.writerow(row)
    return text.getvalue().encode()


def _copy(
    connection: psycopg2.extensions.connection, schema_name: str, lines: Sequence[Line]
) -> None:
    schema = quote_identifier(schema_name)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {schema}.roles WHERE name = 'user'")
        [(role_id,)] = cursor.fetchall()
        text = io.StringIO(newline="")
        csv.writer(text).writerows(
            [*(line.values[column] for column in COLUMNS), "!", role_id] for line in lines
        )
        text.seek(0)
        columns = ", ".join((*COLUMNS, "password_hash", "role_id"))
        cursor.copy_expert(f"COPY {schema}.users ({columns}) FROM STDIN CSV", text)


def _take_away(connection: psycopg2.extensions.connection, schema_name: str) -> None:
    schema = quote_identifier(schema_name)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {schema}.users WHERE password_hash = '!'")
        cursor.execute("DELETE FROM public.members WHERE schema_name = %s", (schema_name,))
        cursor.execute(f"VACUUM {schema}.users, public.members")
