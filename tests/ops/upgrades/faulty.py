"""Revisions that wait or fail where a test says so, and the proof that each tenant is whole."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from ops.runs.models import DONE
from tests.factories import wait_until
from tests.ops.fleet import AFTER_NEXT, HEAD, NEXT, Fleet, kill
from todo_app.database import quote_identifier

WAKE = "ops.runs.tasks.wake_stalled"

BEFORE, FAULTY, INDEXED = HEAD, NEXT, AFTER_NEXT

GATE = 42
"""Key of the advisory lock that a revision waits for, in the middle, in some tenants."""

ADD_COLUMN_AND_CONSTRAINT = """
op.add_column("tasks", sa.Column("proof", sa.Text))
op.execute("SELECT public.fault()")
op.create_unique_constraint("uq_users_phone", "users", ["phone"])
"""
DROP_COLUMN_AND_CONSTRAINT = """
op.drop_constraint("uq_users_phone", "users")
op.drop_column("tasks", "proof")
"""
BUILD_INDEX = """
with op.get_context().autocommit_block():
    op.create_index(
        "uq_roles_title", "roles", ["title"], unique=True, postgresql_concurrently=True
    )
"""
DROP_INDEX = """
with op.get_context().autocommit_block():
    op.drop_index("uq_roles_title", "roles", postgresql_concurrently=True)
"""

FAULTS = "CREATE TABLE public.faults (schema_name text PRIMARY KEY, fault text NOT NULL)"
FAULT = f"""
CREATE FUNCTION public.fault() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    planted text := (SELECT fault FROM public.faults WHERE schema_name = current_schema());
BEGIN
    IF planted = 'gate' THEN
        PERFORM pg_advisory_xact_lock_shared({GATE});
    ELSIF planted = 'sleep' THEN
        PERFORM pg_sleep(60);
    ELSIF planted IS NOT NULL THEN
        RAISE 'could not extend file "base/1/2": No space left on device' USING ERRCODE = planted;
    END IF;
END
$$
"""

STANDING = sa.text(
    "SELECT t.slug, t.schema_name, t.revision,"
    " EXISTS (SELECT FROM pg_attribute AS a WHERE a.attname = 'proof' AND NOT a.attisdropped"
    "  AND a.attrelid = to_regclass(format('%I.tasks', t.schema_name))) AS has_column,"
    " EXISTS (SELECT FROM pg_constraint AS c WHERE c.conname = 'uq_users_phone'"
    "  AND c.conrelid = to_regclass(format('%I.users', t.schema_name))) AS has_constraint,"
    " (SELECT i.indisvalid FROM pg_index AS i"
    "  WHERE i.indexrelid = to_regclass(format('%I.uq_roles_title', t.schema_name)))"
    " AS is_indexed"
    " FROM public.tenants AS t WHERE t.state = 'active' ORDER BY t.id"
)


def prepare(fleet: Fleet) -> None:
    """Give a fleet two revisions: FAULTY, which obeys `public.faults`, and INDEXED, an index."""
    fleet.sql(FAULTS)
    fleet.sql(FAULT)
    fleet.add_revision(ADD_COLUMN_AND_CONSTRAINT, DROP_COLUMN_AND_CONSTRAINT)
    fleet.add_revision(BUILD_INDEX, DROP_INDEX, name=INDEXED, before=FAULTY)


def forget(fleet: Fleet) -> None:
    """Make a fleet ready for the next test: no tenants that can be upgraded, no runs, no faults."""
    fleet.sql("DELETE FROM public.faults")
    fleet.sql("DELETE FROM public.ops_runs")
    fleet.sql("UPDATE public.tenants SET state = 'archived'")


def plant(fleet: Fleet, fault: str, *slugs: str) -> None:
    """Let FAULTY fail in some tenants, with an SQLSTATE, or let it wait: gate, sleep."""
    for slug in slugs:
        fleet.sql("INSERT INTO public.faults VALUES (:s, :fault)", s=f"t_{slug}", fault=fault)


@contextmanager
def short_lived_worker(fleet: Fleet, concurrency: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that is killed in the end, if not before: that is quick."""
    with fleet.worker(concurrency) as process:
        try:
            yield process
        finally:
            kill(process)


@contextmanager
def gate(fleet: Fleet, *slugs: str) -> Iterator[None]:
    """Let FAULTY wait in the middle, in some tenants, until the block ends."""
    plant(fleet, "gate", *slugs)
    with fleet.engine.connect() as holder:
        holder.execute(sa.select(sa.func.pg_advisory_lock(GATE)))
        yield


def add_people(fleet: Fleet, slug: str, *phones: str) -> None:
    """Add a user for each phone number."""
    users = f"{quote_identifier(f't_{slug}')}.users"
    for phone in phones:
        fleet.sql(
            f"INSERT INTO {users} (first_name, last_name, email, phone, password_hash, role_id)"
            f" VALUES ('Ada', 'Lovelace', gen_random_uuid()::text, :phone, 'none', 1)",
            phone=phone,
        )


def standing(fleet: Fleet) -> dict[str, str]:
    """By slug, the revision of each active tenant, proven.

    What its version table says, what the catalogue says, and what is really there agree.
    """
    # One snapshot of tenants that may be moving.
    engine = fleet.engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        rows = connection.execute(STANDING).all()
        versions = " UNION ALL ".join(
            f"SELECT {number}, version_num FROM {quote_identifier(row.schema_name)}.alembic_version"
            for number, row in enumerate(rows)
        )
        own: dict[int, str] = dict(row for row in connection.exec_driver_sql(versions))
    for number, row in enumerate(rows):
        assert own[number] == row.revision, row.slug
        assert row.has_column == row.has_constraint == (row.revision >= FAULTY), row.slug
        # An invalid one is what a failed build leaves; it counts as none.
        assert bool(row.is_indexed) == (row.revision >= INDEXED), row.slug
    return {row.slug: row.revision for row in rows}


def ledger(fleet: Fleet, run_id: int | None = None) -> dict[str, list[str]]:
    """By state, the tenants of a run, the last one if none is named; proven by the schemas."""
    rows = items(fleet, run_id)
    revisions = standing(fleet)
    by_state = defaultdict(list)
    for item in rows:
        by_state[item.state].append(item.slug)
        if item.state == DONE or "to_revision" in item.result:
            assert item.result["to_revision"] == revisions[item.slug], item.slug
    return dict(by_state)


def done(fleet: Fleet, run_id: int | None = None) -> list[str]:
    """The tenants that a run is done with, while it goes on; the last run if none is named."""
    return [item.slug for item in items(fleet, run_id) if item.state == DONE]


def items(fleet: Fleet, run_id: int | None = None) -> list[Any]:
    """The tenants of a run as the ledger has them, the last run if none is named."""
    return fleet.sql(
        "SELECT * FROM public.ops_run_items"
        " WHERE run_id = coalesce(:id, (SELECT max(id) FROM public.ops_runs)) ORDER BY tenant_id",
        id=run_id,
    )


def item(fleet: Fleet, slug: str) -> Any:
    """A tenant of the last run as the ledger has it."""
    return next(item for item in items(fleet) if item.slug == slug)


def last_run(fleet: Fleet) -> Any:
    """The last run as the ledger has it."""
    return fleet.sql("SELECT * FROM public.ops_runs ORDER BY id DESC LIMIT 1")[0]


def wait_for_run(fleet: Fleet, state: str, seconds: float = 30) -> None:
    """Wait until the last run is in this state, and nobody works on it."""
    wait_until(
        lambda: (
            last_run(fleet).state == state
            and not any(item.state == "running" for item in items(fleet))
        ),
        seconds,
    )


def let_beat_wake(fleet: Fleet) -> None:
    """Do what beat does for runs that nobody works on, until the last run has succeeded."""
    for _ in range(60):
        fleet.call(WAKE)
        with suppress(AssertionError):
            wait_for_run(fleet, "succeeded", 1)
            return
    raise AssertionError(f"the run does not end: {ledger(fleet)}")


def age(fleet: Fleet, seconds: float = 20) -> None:
    """Let time pass in the ledger.

    A worker that is gone counts as lost after 20 s, and who waits for another try is due.
    """
    fleet.sql(
        "UPDATE public.ops_run_items SET due_at = due_at - :seconds * interval '1 second',"
        " heartbeat_at = heartbeat_at - :seconds * interval '1 second',"
        " finished_at = finished_at - :seconds * interval '1 second'",
        seconds=seconds,
    )
    fleet.sql(
        "UPDATE public.ops_runs SET created_at = created_at - :seconds * interval '1 second'",
        seconds=seconds,
    )
