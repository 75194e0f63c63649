"""What `flask tenants upgrade` costs where nobody is behind: the whole process, from its start."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg2
import psycopg2.extensions

from bench.fleet import run_python
from bench.installation import ROOT, Installation
from bench.result import Figures, Options, Ratio, spread

COMMAND = ("-m", "flask", "tenants", "upgrade")
IMPORT = ("-c", "import wsgi")
MANY_MORE = 10
"""How many times as many tenants show the growth."""
TARGET = "<= 1"

# Rows stand in for tenants: the command touches no schema.
FILL = """
INSERT INTO public.tenants (slug, schema_name, name, state, revision)
SELECT 'row-' || n, 't_row_' || n, 'Row', 'active', (SELECT revision FROM public.schema_scripts)
  FROM generate_series(1, %s) AS n
"""

BEHIND = """
SELECT id, schema_name, slug, revision, is_canary FROM public.tenants
 WHERE revision < (SELECT revision FROM public.schema_scripts)
   AND state IN ('active', 'suspended')
 ORDER BY id
"""


def measure(
    installation: Installation, options: Options, counts: list[int]
) -> tuple[dict[str, Ratio], Figures]:
    """Measure the command, and how much of it is the import of the program, which all commands do.

    Args:
        installation: one without tenants.
        options: how often.
        counts: numbers of tenants, the last of which has a target; more are added to them.
    """
    sizes = [*counts, MANY_MORE * counts[-1]]
    whole: dict[int, list[float]] = {size: [] for size in sizes}
    answers: dict[int, list[float]] = {size: [] for size in sizes}
    imports: list[float] = []
    with closing(psycopg2.connect(installation.env["OPS_DATABASE_URL"])) as connection:
        connection.autocommit = True
        for _ in range(options.rounds):
            imports.append(_process(installation, IMPORT))
            for size in sizes:
                _fill(connection, size)
                answers[size].append(_answer(connection))
                whole[size].append(_process(installation, COMMAND))
        _fill(connection, 0)
    ratios = {
        f"nobody behind/1 s, {size} tenants": Ratio.of(
            whole[size], [1.0] * options.rounds, TARGET if size == counts[-1] else ""
        )
        for size in sizes
    }
    for size in sizes:
        ratios[f"nobody behind/import, {size} tenants"] = Ratio.of(whole[size], imports)
    figures = {"import of the program": spread(imports)}
    for size in sizes:
        figures[f"nobody behind, {size} tenants"] = spread(whole[size])
        figures[f"PostgreSQL's answer, {size} tenants"] = spread(answers[size])
    return ratios, figures


def _process(installation: Installation, arguments: tuple[str, ...]) -> float:
    started = time.perf_counter()
    run_python(ROOT, installation.env, *arguments)
    return time.perf_counter() - started


def _fill(connection: psycopg2.extensions.connection, size: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM public.tenants")
        cursor.execute(FILL, [size])
        cursor.execute("VACUUM ANALYZE public.tenants")


def _answer(connection: psycopg2.extensions.connection) -> float:
    with connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute(BEHIND)
        rows = cursor.fetchall()
        took = time.perf_counter() - started
    assert not rows
    return took
