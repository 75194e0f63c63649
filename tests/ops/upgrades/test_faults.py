"""Faults of tenants, of the database, and of operators: each tenant ends wholly at one revision."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from celery.beat import ScheduleEntry

from ops.schedule import SlotScheduler
from tests.factories import wait_until
from tests.ops.fleet import Fleet
from tests.ops.upgrades.faulty import (
    BEFORE,
    FAULTY,
    INDEXED,
    add_people,
    age,
    done,
    gate,
    item,
    items,
    last_run,
    ledger,
    let_beat_wake,
    plant,
    standing,
    wait_for_run,
)

UPGRADE = ("tenants", "upgrade", "--to", FAULTY)
PATIENT = {"UPGRADE_LOCK_TIMEOUT": "60"}
RECONCILE = "ops.upgrades.tasks.reconcile"

pytestmark = pytest.mark.usefixtures("fleet_worker")


def resume(fleet: Fleet) -> None:
    """Resume the last run, which is to succeed."""
    done = fleet.flask("runs", "resume", str(last_run(fleet).id))
    assert done.returncode == 0, done.stderr
    assert last_run(fleet).state == "succeeded"


def test_three_of_200_tenants_have_data_that_a_revision_refuses(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(200)
    broken = [slugs[3], slugs[70], slugs[199]]
    for slug in broken:
        add_people(faulty, slug, "555", "555")
    done = faulty.flask(*UPGRADE)
    assert done.returncode == 1
    error = 'could not create unique index "uq_users_phone"'
    assert {line for line in done.stdout.splitlines() if error in line} == {
        text for slug in broken for text in (f"{slug} failed: {error}", f"{slug}\t{error}")
    }
    others = [slug for slug in slugs if slug not in broken]
    assert standing(faulty) == dict.fromkeys(others, FAULTY) | dict.fromkeys(broken, BEFORE)
    assert ledger(faulty) == {"done": others, "failed": broken}
    assert "3 of 200 tenants failed. Once the cause is gone: flask runs resume" in done.stdout

    before = {row.slug: row for row in items(faulty)}
    for slug in broken:
        faulty.sql(f"UPDATE t_{slug}.users SET phone = NULL")
    resume(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    changed = [row.slug for row in items(faulty) if row != before[row.slug]]
    assert changed == broken


def test_a_full_disk_stops_the_run_at_its_budget(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(40)
    full = slugs[10:]
    plant(faulty, "53100", *full)
    run = faulty.run_json(*UPGRADE, "--max-failures", "3", "--wave-size", "20")
    assert (run["exit_code"], run["state"]) == (1, "stopped")
    came_of = ledger(faulty)
    # Two workers: while one has the failure too many, the other may be at its next one.
    assert 4 <= len(came_of["failed"]) <= 5
    assert run["error"] in ("4 tenants failed, 3 may", "5 tenants failed, 3 may")
    assert set(came_of["failed"]) <= set(full)
    assert {row.error for row in items(faulty) if row.state == "failed"} == {
        'could not extend file "base/1/2": No space left on device'
    }
    done = came_of["done"]
    assert standing(faulty) == {slug: FAULTY if slug in done else BEFORE for slug in slugs}
    assert all(row.attempts == 0 for row in items(faulty) if row.state == "pending")
    assert set(slugs[20:]) <= set(came_of["pending"]), "the second wave is not opened"

    faulty.sql("DELETE FROM public.faults")
    resume(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert ledger(faulty) == {"done": slugs}


def test_a_canary_that_fails_keeps_all_others_from_being_touched(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(12)
    faulty.sql("UPDATE public.tenants SET is_canary = true WHERE slug = :slug", slug=slugs[5])
    plant(faulty, "53100", slugs[5])
    run = faulty.run_json(*UPGRADE, "--max-failures", "10")
    assert (run["exit_code"], run["state"]) == (1, "stopped")
    assert run["error"] == "a canary failed, so no other tenant was touched"
    assert standing(faulty) == dict.fromkeys(slugs, BEFORE)
    others = [slug for slug in slugs if slug != slugs[5]]
    assert ledger(faulty) == {"failed": [slugs[5]], "pending": others}
    assert all(row.attempts == (row.slug == slugs[5]) for row in items(faulty))
    faulty.sql("DELETE FROM public.faults")
    resume(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)


def test_a_table_in_use_is_tried_again_and_holds_up_nobody_else(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(10)
    patient, hopeless, *others = slugs
    with faulty.engine.connect() as long, faulty.engine.connect() as endless:
        for connection, slug in ((long, patient), (endless, hopeless)):
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql(f"SELECT FROM t_{slug}.tasks")
        with faulty.start_flask(*UPGRADE, "--wave-size", "10", UPGRADE_LOCK_TIMEOUT="1") as program:
            # The others do not wait for those two.
            wait_until(lambda: done(faulty) == others, 30)
            wait_until(lambda: item(faulty, patient).error, 30)
            assert item(faulty, patient).error == "canceling statement due to lock timeout"
            long.exec_driver_sql("ROLLBACK")
            wait_until(lambda: done(faulty) == [patient, *others], 30)
            faulty.sql("UPDATE public.ops_runs SET max_attempts = 2")
            output, _ = program.communicate(timeout=60)
        assert program.returncode == 1
        assert f"{hopeless} failed: canceling statement due to lock timeout" in output
        assert standing(faulty) == {**dict.fromkeys(slugs, FAULTY), hopeless: BEFORE}
        assert ledger(faulty) == {"failed": [hopeless], "done": [patient, *others]}
        assert item(faulty, patient).attempts > 1
        assert item(faulty, hopeless).attempts > 1
        assert all(item(faulty, slug).attempts == 1 for slug in others)
    resume(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)


def test_two_commands_at_once_are_one_run_and_other_tenants_are_free(faulty: Fleet) -> None:
    same, other = faulty.add_tenants(2), faulty.add_tenants(2)
    with ExitStack() as programs:
        with gate(faulty, same[0]):
            first, second = (
                programs.enter_context(faulty.start_flask(*UPGRADE, *same, **PATIENT))
                for _ in range(2)
            )
            faulty.wait_for_waiting_lock()
            wait_until(lambda: first.poll() is not None or second.poll() is not None, 30)
            loser, winner = (second, first) if first.poll() is None else (first, second)
            run = last_run(faulty)
            _, error = loser.communicate(timeout=30)
            assert loser.returncode == 2
            assert f"Run {run.id} (upgrade to {FAULTY}, by " in error
            assert f"flask runs watch {run.id}" in error
            done = faulty.flask(*UPGRADE, "--only", ",".join(other))
            assert done.returncode == 0, done.stderr
            assert winner.poll() is None
            assert standing(faulty) == dict.fromkeys(same, BEFORE) | dict.fromkeys(other, FAULTY)
        winner.communicate(timeout=60)
        assert winner.returncode == 0
    assert standing(faulty) == dict.fromkeys(same + other, FAULTY)
    assert ledger(faulty, run.id) == {"done": same}
    assert ledger(faulty) == {"done": other}
    assert all(row.attempts == 1 for row in items(faulty, run.id))


def test_a_tenant_is_dropped_when_its_turn_would_come(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(6)
    worked_on, dropped = slugs[0], slugs[3]
    options = ("--wave-size", "6", "--concurrency", "1")
    with faulty.start_flask(*UPGRADE, *options, **PATIENT) as program:
        with gate(faulty, worked_on):
            faulty.wait_for_waiting_lock()
            faulty.sql(
                "UPDATE public.tenants SET state = 'deleting' WHERE slug IN (:a, :b)",
                a=worked_on,
                b=dropped,
            )
            with pytest.raises(RuntimeError, match=f"not dropped: t_{worked_on}; the log says why"):
                faulty.call("ops.tenants.tasks.drop_deleting")
            left = [row.slug for row in faulty.sql("SELECT slug FROM public.tenants")]
            assert worked_on in left
            assert dropped not in left
            assert item(faulty, dropped).state in ("pending", "running")
            faulty.sql("UPDATE public.tenants SET state = 'active' WHERE slug = :s", s=worked_on)
        program.communicate(timeout=60)
        assert program.returncode == 0
    assert standing(faulty) == dict.fromkeys((s for s in slugs if s != dropped), FAULTY)
    assert item(faulty, dropped).state == "skipped"
    assert item(faulty, dropped).error == "The tenant is gone."
    assert last_run(faulty).state == "succeeded"


def test_ctrl_c_leaves_the_run_to_the_workers(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(4)
    with faulty.start_flask(*UPGRADE, **PATIENT) as program:
        with gate(faulty, slugs[0]):
            faulty.wait_for_waiting_lock()
            program.send_signal(signal.SIGINT)
            _, error = program.communicate(timeout=30)
            run = last_run(faulty)
            assert program.returncode == 130
            assert f"The run goes on without you. Follow it: flask runs watch {run.id}" in error
            assert run.state == "running"
            assert standing(faulty) == dict.fromkeys(slugs, BEFORE)
        wait_for_run(faulty, "succeeded")
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert ledger(faulty) == {"done": slugs}


def test_a_cancelled_run_ends_what_it_has_begun_and_is_resumed(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(6)
    options = ("--wave-size", "6", "--concurrency", "1")
    with faulty.start_flask(*UPGRADE, *options, **PATIENT) as program:
        with gate(faulty, slugs[1]):
            faulty.wait_for_waiting_lock()
            run = last_run(faulty)
            assert faulty.flask("runs", "cancel", str(run.id)).returncode == 0
            assert standing(faulty) == {**dict.fromkeys(slugs, BEFORE), slugs[0]: FAULTY}
        output, _ = program.communicate(timeout=30)
        assert program.returncode == 1
        assert f"Go on with: flask runs resume {run.id}" in output
    assert last_run(faulty).state == "cancelled"
    assert ledger(faulty) == {"done": slugs[:2], "pending": slugs[2:]}
    assert standing(faulty) == dict.fromkeys(slugs[:2], FAULTY) | dict.fromkeys(slugs[2:], BEFORE)
    before = {row.slug: row for row in items(faulty)}
    resume(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert [row.slug for row in items(faulty) if row != before[row.slug]] == slugs[2:]


def test_a_concurrent_index_that_failed_is_built_anew(faulty: Fleet) -> None:
    slugs = faulty.add_tenants(3)
    broken = slugs[1]
    faulty.sql(f"UPDATE t_{broken}.roles SET title = 'Anybody'")
    done = faulty.flask("tenants", "upgrade", "--to", INDEXED, "--max-failures", "3")
    assert done.returncode == 1
    assert f'{broken} failed: could not create unique index "uq_roles_title"' in done.stdout
    assert standing(faulty) == {**dict.fromkeys(slugs, INDEXED), broken: FAULTY}
    assert ledger(faulty)["failed"] == [broken]
    assert item(faulty, broken).result["to_revision"] == FAULTY
    is_valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = CAST(:name AS regclass)"
    name = f"t_{broken}.uq_roles_title"
    assert faulty.sql(is_valid, name=name) == [(False,)], "what a failed build leaves"

    faulty.sql(f"UPDATE t_{broken}.roles SET title = name")
    resume(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, INDEXED)
    assert faulty.sql(is_valid, name=name) == [(True,)]


def test_a_full_disk_keeps_the_ledger_from_being_written(faulty: Fleet) -> None:
    """The tenant is moved, but nobody can write it down."""
    slugs = faulty.add_tenants(4)
    faulty.sql(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'No space left on device' USING ERRCODE = '53100'; END $$"
    )
    faulty.sql(
        "CREATE TRIGGER refuse BEFORE UPDATE ON public.ops_run_items"
        " FOR EACH ROW WHEN (new.state = 'done') EXECUTE FUNCTION public.refuse()"
    )
    began = len(faulty.worker_log())
    started = faulty.flask(*UPGRADE, "--detach", "--wave-size", "4")
    assert started.returncode == 0, started.stderr
    wait_until(lambda: "Retry in" in faulty.worker_log()[began:], 30)
    assert FAULTY in standing(faulty).values()
    assert "done" not in ledger(faulty)
    faulty.sql("DROP FUNCTION public.refuse() CASCADE")
    age(faulty)
    let_beat_wake(faulty)
    assert standing(faulty) == dict.fromkeys(slugs, FAULTY)
    assert ledger(faulty) == {"done": slugs}


def test_a_clock_that_fires_twice_runs_a_job_once(faulty: Fleet, tmp_path: Path) -> None:
    (slug,) = faulty.add_tenants(1)
    job = f"reconcile-{slug}"
    with Celery(broker=faulty.env["REDIS_URL"], set_as_current=False) as celery:
        celery.config_from_object("celeryconfig")
        celery.conf.result_backend = faulty.env["REDIS_URL"]
        # No slot of it ends while the test runs.
        every = timedelta(days=1000)
        entry = ScheduleEntry(job, task=RECONCILE, schedule=every, app=celery)
        results = []
        for name in ("one", "another"):
            beat = SlotScheduler(celery, lazy=True, schedule_filename=str(tmp_path / name))
            faulty.sql("UPDATE public.tenants SET revision = '0001' WHERE slug = :s", s=slug)
            results.append(beat.apply_async(entry, advance=False).get(timeout=30))
    assert results == [f"{slug} is at {BEFORE}, not 0001", "another beat has fired this already"]
    assert len(faulty.sql("SELECT FROM public.firings WHERE job = :job", job=job)) == 1
    assert faulty.catalogue()[slug] == "0001", "the second message has done nothing"
    faulty.call(RECONCILE)
    assert standing(faulty) == {slug: BEFORE}
