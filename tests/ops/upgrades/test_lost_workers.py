"""Workers that are killed, frozen, or too old in the middle of a run: another one finishes it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import time
from contextlib import ExitStack
from typing import Any

from tests.factories import wait_until
from tests.ops.fleet import Fleet, kill
from tests.ops.upgrades.faulty import (
    BEFORE,
    FAULTY,
    INDEXED,
    WAKE,
    age,
    done,
    gate,
    item,
    items,
    last_run,
    ledger,
    let_beat_wake,
    short_lived_worker,
    standing,
    wait_for_run,
)

UPGRADE = ("tenants", "upgrade", "--to", FAULTY, "--wave-size", "100")
PATIENT = {"UPGRADE_LOCK_TIMEOUT": "60"}
WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND usename = 'todo_ops' AND datname = current_database()"
)


def start(fleet: Fleet, *arguments: str) -> None:
    """Start a run that nobody follows."""
    done = fleet.flask(*arguments, "--detach", **PATIENT)
    assert done.returncode == 0, done.stderr


def cut_off(fleet: Fleet) -> None:
    """End the connections of a worker that is gone, as the loss of its machine does in the end."""
    fleet.sql(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS waiting")


def process_of(fleet: Fleet, slug: str) -> int:
    """The process that works on a tenant."""
    return int(item(fleet, slug).worker.rpartition(":")[2])


def came_of(fleet: Fleet, slugs: list[str]) -> list[tuple[Any, ...]]:
    """Who has done some tenants, and at which attempt."""
    return [(row.state, row.attempts, row.worker) for row in items(fleet) if row.slug in slugs]


def test_a_worker_is_killed_in_the_middle_of_a_revision(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(6)
    with (
        short_lived_worker(faulty) as first,
        faulty.start_flask(*UPGRADE, **PATIENT) as program,
        gate(faulty, slugs[0]),
    ):
        faulty.wait_for_waiting_lock()
        kill(first)
        cut_off(faulty)
        faulty.sql("DELETE FROM public.faults")
        killed_at = time.monotonic()
        with short_lived_worker(faulty):
            # Beat asks again and again, but nobody takes the tenant before the worker counts as
            # lost: 15 seconds after its last heartbeat, and these are 3 seconds apart.
            while program.poll() is None:
                is_untouched = standing(faulty)[slugs[0]] == BEFORE
                assert is_untouched or time.monotonic() > killed_at + 10
                assert time.monotonic() < killed_at + 60
                faulty.call(WAKE)
                time.sleep(1)
            output, error = program.communicate()
    assert program.returncode == 0, output + error
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert ledger(faulty) == {"done": slugs}
    assert item(faulty, slugs[0]).attempts == 2


def test_the_system_kills_one_process_of_a_worker(faulty: Fleet) -> None:
    """PostgreSQL goes on with what that process has sent."""
    slugs = faulty.add_tenants(6)
    with short_lived_worker(faulty):
        with gate(faulty, slugs[0]):
            start(faulty, *UPGRADE)
            faulty.wait_for_waiting_lock()
            os.kill(process_of(faulty, slugs[0]), signal.SIGKILL)
        age(faulty)
        let_beat_wake(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert ledger(faulty) == {"done": slugs}


def test_a_frozen_worker_comes_back_when_its_claim_is_gone(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(4)
    with short_lived_worker(faulty, 1) as frozen, ExitStack() as thaw:
        with gate(faulty, slugs[0]):
            start(faulty, *UPGRADE)
            faulty.wait_for_waiting_lock()
            os.killpg(frozen.pid, signal.SIGSTOP)
            thaw.callback(os.killpg, frozen.pid, signal.SIGCONT)
            age(faulty)
            thaw.enter_context(short_lived_worker(faulty, 1))
            faulty.call(WAKE)
            wait_until(lambda: done(faulty) == slugs[1:], 30)
            # PostgreSQL goes on with what the frozen one has sent: nobody else may begin.
            wait_until(lambda: item(faulty, slugs[0]).error, 30)
            assert item(faulty, slugs[0]).error == "Another operation works on this tenant."
            assert standing(faulty)[slugs[0]] == BEFORE
            others = came_of(faulty, slugs[1:])
            os.killpg(frozen.pid, signal.SIGCONT)
        age(faulty)
        let_beat_wake(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert ledger(faulty) == {"done": slugs}
    assert came_of(faulty, slugs[1:]) == others
    # The frozen worker's attempt, one that found the tenant taken, and the one that counts.
    assert item(faulty, slugs[0]).attempts >= 3


def test_a_worker_is_frozen_before_it_begins(faulty: Fleet) -> None:
    """What it has claimed is done, and undone, by others before it comes back."""
    slugs = faulty.add_tenants(2)
    faulty.sql(
        "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(43); RETURN NULL; END $$"
    )
    faulty.sql(
        "CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON public.ops_run_items"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.state = 'running')"
        " EXECUTE FUNCTION public.hold()"
    )
    with short_lived_worker(faulty, 1) as frozen, ExitStack() as thaw:
        with faulty.engine.connect() as holder:
            holder.exec_driver_sql("SELECT pg_advisory_lock(43)")
            start(faulty, *UPGRADE)
            faulty.wait_for_waiting_lock()
            os.killpg(frozen.pid, signal.SIGSTOP)
            thaw.callback(os.killpg, frozen.pid, signal.SIGCONT)
            (connection,) = faulty.sql(WAITING)
        wait_until(lambda: any(it.state == "running" for it in items(faulty)), 30)
        faulty.sql("DROP FUNCTION public.hold() CASCADE")
        age(faulty)
        thaw.enter_context(short_lived_worker(faulty, 1))
        let_beat_wake(faulty)
        done = faulty.flask("tenants", "downgrade", "--to", BEFORE)
        assert done.returncode == 0, done.stderr
        os.killpg(frozen.pid, signal.SIGCONT)
        is_there = "SELECT FROM pg_stat_activity WHERE pid = :pid"
        wait_until(lambda: not faulty.sql(is_there, pid=connection.pid), 30)
    assert standing(faulty) == dict.fromkeys(slugs, BEFORE)
    assert ledger(faulty) == {"done": slugs}


def test_an_index_build_loses_its_worker(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(3)
    is_valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
    name = f"t_{slugs[1]}.uq_roles_title"
    with faulty.engine.connect() as writer:
        writer.exec_driver_sql("BEGIN")
        writer.exec_driver_sql(f"UPDATE t_{slugs[1]}.roles SET title = name")
        with short_lived_worker(faulty, 1) as first:
            start(faulty, "tenants", "upgrade", "--to", INDEXED, "--wave-size", "100")
            faulty.wait_for_waiting_lock()
            assert faulty.sql(is_valid, name=name) == [(False,)]
            kill(first)
            cut_off(faulty)
    age(faulty)
    with short_lived_worker(faulty, 1):
        let_beat_wake(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, INDEXED)
    assert ledger(faulty) == {"done": slugs}
    assert faulty.sql(is_valid, name=name) == [(True,)]


def test_a_worker_with_older_code_leaves_the_run_to_a_newer_one(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(3)
    older = dataclasses.replace(faulty, root=faulty.root.parent / "older")
    shutil.copytree(faulty.root, older.root)
    for revision in (FAULTY, INDEXED):
        (older.root / f"migrations/tenant/versions/{revision}_test.py").unlink()
    with short_lived_worker(older) as old:
        start(faulty, *UPGRADE)
        wait_until(lambda: f"no revision '{FAULTY}'" in older.worker_log(), 30)
        assert {row.attempts for row in items(faulty)} == {0}
        assert last_run(faulty).state == "running"
        kill(old)
    age(faulty)
    with short_lived_worker(faulty):
        let_beat_wake(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert ledger(faulty) == {"done": slugs}


def test_a_tenant_that_costs_every_worker_its_life_is_given_up_alone(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(12)
    deadly = slugs[2]
    # One process dies of it, the other is free for the rest.
    with short_lived_worker(faulty, 2), gate(faulty, deadly):
        start(faulty, *UPGRADE)
        faulty.wait_for_waiting_lock()
        faulty.sql("UPDATE public.ops_runs SET max_attempts = 2")
        for attempt in (1, 2):
            wait_until(lambda: item(faulty, deadly).state == "running", 30)
            faulty.wait_for_waiting_lock()
            assert item(faulty, deadly).attempts == attempt
            os.kill(process_of(faulty, deadly), signal.SIGKILL)
            cut_off(faulty)
            age(faulty)
            faulty.call(WAKE)
        wait_for_run(faulty, "failed")
    assert ledger(faulty) == {
        "failed": [deadly],
        "done": [slug for slug in slugs if slug != deadly],
    }
    assert item(faulty, deadly).error == "the worker was lost while it worked on this tenant"


def test_a_run_whose_worker_was_killed_is_cancelled_and_resumed(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(4)
    with short_lived_worker(faulty, 1) as worker, gate(faulty, slugs[0]):
        start(faulty, *UPGRADE)
        faulty.wait_for_waiting_lock()
        kill(worker)
        cut_off(faulty)
    run = str(last_run(faulty).id)
    assert faulty.flask("runs", "cancel", run).returncode == 0
    age(faulty)
    watched = faulty.flask("runs", "watch", run)
    assert watched.returncode == 1
    assert f"Go on with: flask runs resume {run}" in watched.stdout
    assert standing(faulty) == dict.fromkeys(slugs, BEFORE)
    resumed = faulty.flask("tenants", "upgrade", "--resume", run, "--inline")
    assert resumed.returncode == 0, resumed.stderr
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert ledger(faulty) == {"done": slugs}


def test_a_command_that_works_itself_is_killed(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(4)
    with faulty.start_flask(*UPGRADE, "--inline", **PATIENT) as program, gate(faulty, slugs[1]):
        faulty.wait_for_waiting_lock()
        kill(program)
        cut_off(faulty)
    assert standing(faulty) == {**dict.fromkeys(slugs, BEFORE), slugs[0]: FAULTY}
    age(faulty)
    done = faulty.flask("runs", "work", str(last_run(faulty).id))
    assert done.returncode == 0, done.stderr
    assert last_run(faulty).state == "succeeded"
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert ledger(faulty) == {"done": slugs}
