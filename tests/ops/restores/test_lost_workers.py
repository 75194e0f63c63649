"""Workers that are killed in the middle of a restore: nothing has changed, another one goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest

from tests.factories import Company
from tests.ops.restores.keeping import Keeper, add_task, enter, titles

ROWS = 150_000
LOADING = "COPY %tasks% FROM STDIN%"
INDEXING = "ALTER TABLE%ADD CONSTRAINT%PRIMARY KEY%"
COMPARING = "COPY (SELECT%t_restoring%"


@contextmanager
def worker(
    keeper: Keeper, environment: dict[str, str], run_id: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that works on a run, until it is killed."""
    argv = [sys.executable, "-m", "flask", "runs", "work", str(run_id)]
    with subprocess.Popen(argv, env=keeper.environment(environment)) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(
    keeper: Keeper, statement: str, process: subprocess.Popen[bytes], **values: str
) -> None:
    """Wait for something that a worker does, looking often."""
    with closing(psycopg2.connect(keeper.settings.ops_database_url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        ends = time.monotonic() + 60
        while True:
            cursor.execute(statement, values)
            if cursor.fetchone():
                return
            assert process.poll() is None, "the worker came to its end"
            assert time.monotonic() < ends
            time.sleep(0.002)


def let_another_one_go_on(keeper: Keeper, run_id: int) -> dict[str, Any]:
    """Do what is left of a run, as a worker does once the first one counts as lost."""
    keeper.sql(
        "UPDATE public.ops_run_items SET heartbeat_at = now() - interval '1 minute'"
        " WHERE run_id = :id",
        id=run_id,
    )
    return keeper.work(run_id)


@pytest.mark.parametrize("query", [LOADING, INDEXING, COMPARING])
def test_killed_before_anything_can_be_seen(
    keeper: Keeper, environment: dict[str, str], acme: Company, query: str
) -> None:
    add_task(acme, "Kept")
    schema = acme.schema_name
    keeper.sql(
        f"INSERT INTO {schema}.tasks (list_id, title, created_by_id, description)"
        " SELECT list_id, title, created_by_id, repeat('x', 200)"
        f" FROM {schema}.tasks, generate_series(1, :rows)",
        rows=ROWS,
    )
    keeper.back_up(acme.slug)
    add_task(acme, "New")
    tables, schemas = keeper.tables_of(schema), keeper.schemas()
    run_id = keeper.plan(acme.slug)
    with worker(keeper, environment, run_id) as process:
        statement = (
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE %(query)s AND state = 'active'"
            " AND pid <> pg_backend_pid()"
        )
        wait_for(keeper, statement, process, query=query)
        process.kill()
        process.wait()
    assert keeper.tables_of(schema) == tables
    assert keeper.schemas() - schemas == set()
    item = let_another_one_go_on(keeper, run_id)
    # More than two where the server has not noticed yet that the first one is gone.
    assert item["state"] == "done"
    assert item["tries"] >= 2
    assert titles(acme) == ["Kept"]
    assert keeper.count(schema, "tasks") == ROWS + 1


def test_killed_before_the_swap(keeper: Keeper, environment: dict[str, str], acme: Company) -> None:
    add_task(acme, "Kept")
    keeper.back_up(acme.slug)
    add_task(acme, "New")
    tables = keeper.tables_of(acme.schema_name)
    run_id = keeper.plan(acme.slug)
    waiting = "SELECT 1 FROM pg_namespace WHERE nspname LIKE %(name)s"
    with closing(psycopg2.connect(keeper.settings.ops_database_url)) as open_:
        enter(open_.cursor(), acme.slug)
        with worker(keeper, environment, run_id) as process:
            wait_for(keeper, waiting, process, name="t_restoring_%")
            process.kill()
            process.wait()
        open_.rollback()
    assert keeper.tables_of(acme.schema_name) == tables
    assert titles(acme) == ["Kept", "New"]
    assert keeper.schemas("restoring")
    assert let_another_one_go_on(keeper, run_id)["state"] == "done"
    assert titles(acme) == ["Kept"]
    # What the first one had loaded is gone, too.
    assert not keeper.schemas("restoring")


def test_killed_after_the_swap(keeper: Keeper, acme: Company) -> None:
    """The ledger has learnt of it in the same transaction: nobody restores over what came since."""
    add_task(acme, "Kept")
    keeper.back_up(acme.slug)
    item = keeper.restore(acme.slug)
    add_task(acme, "Since")
    run = keeper.sql(
        "SELECT max(run_id) AS id FROM public.ops_run_items WHERE slug = :s", s=acme.slug
    )
    keeper.sql(
        "UPDATE public.ops_run_items SET state = 'running', claim = gen_random_uuid(),"
        " heartbeat_at = now(), finished_at = NULL WHERE run_id = :id",
        id=run[0].id,
    )
    keeper.sql("UPDATE public.ops_runs SET state = 'running' WHERE id = :id", id=run[0].id)
    again = let_another_one_go_on(keeper, run[0].id)
    assert (again["state"], again["replaced"]) == ("done", item["replaced"])
    assert titles(acme) == ["Kept", "Since"]
