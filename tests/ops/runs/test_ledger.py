"""Claims, waves, the failure budget, lost workers, resume: what a run does whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.runs import claims, job
from ops.runs.claims import Claim, Outcome, kept_alive, release
from ops.runs.job import Limits, RunStateError, RunUnderwayError
from ops.runs.models import DONE, FAILED, SKIPPED
from tests.ops.runs.ledger import (
    BROKEN,
    KIND,
    LOCKED,
    change_items,
    finish,
    finish_all,
    idle,
    look,
    members,
    start,
    states,
    take,
)
from todo_app.database import OPS_BIND, db, own_connection, transaction
from todo_app.errors import NotFoundError
from todo_app.tenancy import operations

OLD = sa.text("now() - interval '1 minute'")


@pytest.fixture
def connection(app: Flask) -> Iterator[sa.Connection]:
    with app.app_context(), own_connection() as connection:
        yield connection


def test_a_run_goes_through_its_waves_in_order(connection: sa.Connection) -> None:
    run_id = start(1, 3, 2)
    seen = []
    while isinstance(claim := claims.claim(connection, run_id, "me"), Claim):
        seen += [item.wave for item in claim.items]
        assert look(run_id).wave == claim.items[0].wave
        finish(connection, claim, *[Outcome(DONE, result={"to": 1})] * len(claim.items))
    assert seen == [1, 2, 2, 2, 3, 3]
    run = look(run_id)
    assert (run.state, run.counts[DONE], run.is_over) == ("succeeded", 6, True)
    assert run.finished_at is not None
    with operations():
        item = job.items(run_id)[0]
    assert set(item.result) == {"from", "to"}
    assert item.started_at is not None
    assert item.finished_at is not None
    assert (item.finished_at - item.started_at).total_seconds() == pytest.approx(0.5)


def test_a_run_without_tenants_has_succeeded_at_once(app: Flask) -> None:
    with app.app_context():
        assert look(start()).state == "succeeded"


def test_a_wave_opens_only_when_the_one_before_has_ended(connection: sa.Connection) -> None:
    run_id = start(2, 2)
    first = take(connection, run_id)
    second = take(connection, run_id)
    assert {i.slug for i in first.items}.isdisjoint(i.slug for i in second.items)
    assert not idle(connection, run_id).is_over
    finish(connection, first, Outcome(DONE))
    assert not idle(connection, run_id).is_over
    finish(connection, second, Outcome(SKIPPED))
    third = take(connection, run_id)
    assert third.has_opened
    assert third.items[0].wave == 2


def test_no_more_workers_than_allowed_hold_tenants(connection: sa.Connection) -> None:
    run_id = start(20, concurrency=2)
    first, second = take(connection, run_id), take(connection, run_id)
    assert (first.has_room, second.has_room) == (True, False)
    assert not idle(connection, run_id).is_over
    finish(connection, first, *[Outcome(DONE)] * len(first.items))
    take(connection, run_id)


def test_a_failure_too_many_stops_the_run_at_once(connection: sa.Connection) -> None:
    run_id = start(20, max_failures=1)
    claim = take(connection, run_id)
    other = take(connection, run_id)
    assert finish(connection, claim, BROKEN, Outcome(DONE), BROKEN) == [True, True, False]
    # Whoever works on another tenant of it learns it when that one is finished.
    assert finish(connection, other, Outcome(DONE)) == [False]
    for held in (claim, other):
        release(connection, held)
    run = look(run_id)
    assert (run.state, run.error) == ("stopped", "2 tenants failed, 1 may")
    assert states(run_id) == {"pending": 16, "done": 2, "failed": 2}
    assert idle(connection, run_id).is_over


def test_failures_within_the_budget_do_not_stop_the_others(connection: sa.Connection) -> None:
    run_id = start(4, max_failures=4)
    finish_all(connection, run_id, BROKEN)
    run = look(run_id)
    assert (run.state, run.error, run.counts[FAILED]) == ("failed", None, 4)


def test_one_canary_that_fails_is_enough(connection: sa.Connection) -> None:
    run_id = start(2, 5, max_failures=5, has_canaries=True)
    finish(connection, take(connection, run_id), BROKEN)
    run = look(run_id)
    assert (run.state, run.error) == ("stopped", "a canary failed, so no other tenant was touched")
    assert run.counts["pending"] == 6


def test_what_is_worth_another_try_waits_and_is_tried_again(connection: sa.Connection) -> None:
    run_id = start(1, max_attempts=2)
    assert finish(connection, take(connection, run_id), LOCKED) == [True]
    found = idle(connection, run_id)
    assert not found.is_over
    assert found.due_in is not None
    assert 0.5 < found.due_in <= 3.0
    with operations():
        assert job.items(run_id)[0].error == "it is locked"
    change_items(run_id, due_at=sa.func.now())
    claim = take(connection, run_id)
    assert claim.items[0].attempts == 2
    assert finish(connection, claim, LOCKED) == [False]
    assert states(run_id) == {"failed": 1}
    assert look(run_id).state == "stopped"


def test_the_tenants_of_a_lost_worker_are_claimed_again(connection: sa.Connection) -> None:
    run_id = start(1)
    lost = take(connection, run_id)
    assert not idle(connection, run_id).is_over
    change_items(run_id, heartbeat_at=OLD)
    claim = take(connection, run_id, "another")
    assert claim.items[0].attempts == 2
    assert finish(connection, lost, Outcome(DONE)) == [False], "it came back too late"
    release(connection, lost)
    assert states(run_id) == {"running": 1}
    assert finish(connection, claim, Outcome(DONE)) == [True]
    assert states(run_id) == {"done": 1}


def test_a_tenant_that_kills_every_worker_is_given_up(connection: sa.Connection) -> None:
    run_id = start(1, max_attempts=2, max_failures=1)
    for _ in range(2):
        take(connection, run_id)
        change_items(run_id, heartbeat_at=OLD)
    assert idle(connection, run_id).is_over
    with operations():
        (item,) = job.items(run_id)
    assert (item.state, item.error) == ("failed", claims.WORKER_LOST)
    assert look(run_id).state == "failed"


def test_a_heart_that_beats_keeps_the_claim(
    connection: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.01)
    run_id = start(1)
    claim = take(connection, run_id)
    change_items(run_id, heartbeat_at=OLD)
    with operations(), kept_alive(db.engines[OPS_BIND], claim):
        fresh = sa.text(
            "SELECT count(*) FROM public.ops_run_items"
            " WHERE run_id = :id AND heartbeat_at > now() - interval '10 seconds'"
        )
        wait = threading.Event()
        while not connection.execute(fresh, {"id": run_id}).scalar():
            wait.wait(0.01)
    assert not idle(connection, run_id).is_over


def test_what_was_not_begun_is_given_back(connection: sa.Connection) -> None:
    run_id = start(6)
    claim = take(connection, run_id)
    assert len(claim.items) == 3
    finish(connection, claim, Outcome(DONE))
    release(connection, claim)
    assert states(run_id) == {"pending": 5, "done": 1}
    assert all(item.attempts == 1 for item in take(connection, run_id).items)


def test_cancel_then_resume_finishes_the_rest(connection: sa.Connection) -> None:
    run_id = start(6, 2)
    claim = take(connection, run_id)
    with operations(), transaction():
        job.cancel(run_id, "bob")
    assert finish(connection, claim, Outcome(DONE)) == [False]
    release(connection, claim)
    assert idle(connection, run_id).is_over
    assert not look(run_id).counts["running"]
    with operations():
        with pytest.raises(RunStateError, match="is cancelled"), transaction():
            job.cancel(run_id, "bob")
        with transaction():
            job.resume(run_id)
    finish_all(connection, run_id)
    assert states(run_id) == {"done": 8}
    with operations(), pytest.raises(RunStateError, match="nothing to resume"), transaction():
        job.resume(run_id)


def test_resume_tries_the_failed_again_with_a_fresh_budget(connection: sa.Connection) -> None:
    run_id = start(3, 3, max_failures=0)
    finish(connection, claim := take(connection, run_id), BROKEN)
    release(connection, claim)
    assert look(run_id).state == "stopped"
    with operations(), transaction():
        job.resume(run_id)
    finish_all(connection, run_id)
    assert (look(run_id).state, states(run_id)) == ("succeeded", {"done": 6})


def test_only_the_failed_can_be_tried_again(connection: sa.Connection) -> None:
    run_id = start(2, 4, max_failures=0)
    finish(connection, claim := take(connection, run_id), BROKEN)
    release(connection, claim)
    with operations(), transaction():
        job.resume(run_id, failed_only=True)
    finish_all(connection, run_id)
    assert states(run_id) == {"done": 1, "skipped": 5}
    with operations():
        assert {item.error for item in job.items(run_id, SKIPPED)} == {"left out"}

    run_id = start(2)
    with operations(), transaction():
        job.cancel(run_id, "bob")
    with operations(), pytest.raises(RunStateError, match="no tenant failed"), transaction():
        job.resume(run_id, failed_only=True)


def test_two_runs_do_not_take_the_same_tenants(connection: sa.Connection) -> None:
    shared, other = members(3), members(1)

    def begin(*tenants: job.Member) -> int:
        with operations(), transaction():
            return job.start(KIND, "first", {}, [tenants], Limits(), actor="alice")

    run_id = begin(*shared)
    with pytest.raises(RunUnderwayError, match=rf"Run {run_id} \(first, by alice\)"):
        begin(shared[1], *other)
    begin(*other)
    with operations(), transaction():
        job.cancel(run_id, "bob")
    second = begin(*shared)
    with operations(), pytest.raises(RunUnderwayError), transaction():
        job.resume(run_id)
    finish_all(connection, second)
    with operations(), transaction():
        job.resume(run_id)


def test_stalled_runs_are_found_and_no_others(connection: sa.Connection) -> None:
    def stalled() -> set[int]:
        with operations():
            return {run.id for run in job.stalled(timedelta(seconds=15))} & {
                fresh,
                old,
                working,
                waiting,
                over,
            }

    fresh = start(1)
    old, working, waiting = start(1), start(2), start(1)
    over = start(1)
    finish_all(connection, over)
    take(connection, working)
    finish(connection, take(connection, waiting), LOCKED)
    age = sa.text(
        "UPDATE public.ops_runs SET created_at = now() - interval '1 minute' WHERE id = any(:ids)"
    )
    connection.execute(age, {"ids": [old, working, waiting, over]})
    change_items(waiting, heartbeat_at=OLD)
    assert stalled() == {old}
    change_items(working, heartbeat_at=OLD)
    assert stalled() == {old, working}
    for run_id in (fresh, old, working, waiting):
        with operations(), transaction():
            job.cancel(run_id, "bob")
    assert stalled() == set()


def test_a_run_that_is_gone_is_not_found(connection: sa.Connection) -> None:
    assert idle(connection, 0).is_over
    with operations(), pytest.raises(NotFoundError):
        job.look(0)


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["claim", "done", "fail", "lock", "die", "release", "wait"]),
    ),
    max_size=60,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    budget=st.integers(0, 3),
    actions=ACTIONS,
)
def test_whatever_workers_do_no_tenant_is_lost_or_held_twice(
    connection: sa.Connection, sizes: list[int], budget: int, actions: list[tuple[int, str]]
) -> None:
    """Three workers, in any order, that finish, fail, give back, or die."""
    run_id = start(*sizes, max_failures=budget, concurrency=3, max_attempts=4)
    held: dict[int, tuple[Claim, list[claims.Item]]] = {}
    ended: set[int] = set()

    def check(claim: Claim) -> None:
        mine = {item.tenant_id for item in claim.items}
        others = {i.tenant_id for _, items in held.values() for i in items}
        assert not mine & others
        assert not mine & ended
        waves = {item.wave for item in claim.items}
        assert len(waves) == 1
        with operations():
            assert all(
                item.state in (DONE, FAILED, SKIPPED)
                for item in job.items(run_id)
                if item.wave < min(waves)
            )

    for worker, action in actions:
        if worker not in held:
            if action == "claim":
                claim = claims.claim(connection, run_id, str(worker))
                if isinstance(claim, Claim):
                    check(claim)
                    held[worker] = claim, list(claim.items)
            continue
        claim, items = held[worker]
        if action == "die":
            # All others are alive: only its own heartbeat is old.
            dead = sa.text(
                "UPDATE public.ops_run_items SET heartbeat_at = now() - interval '1 min'"
                " WHERE claim = :claim"
            )
            connection.execute(dead, {"claim": claim.token})
            del held[worker]
        elif action == "release" or (items and action not in ("done", "fail", "lock")):
            if action == "release":
                release(connection, claim)
                del held[worker]
        else:
            item = items.pop(0)
            outcome = {"done": Outcome(DONE), "fail": BROKEN, "lock": LOCKED}[action]
            if not claim.tries_again(item, outcome):
                ended.add(item.tenant_id)
            [goes_on] = finish(connection, claim._replace(items=[item]), outcome)
            if not goes_on or not items:
                release(connection, claim)
                del held[worker]
        change_items(run_id, due_at=sa.func.now())

    # Whatever has happened: after all workers are gone, the rest is finished by others.
    change_items(run_id, heartbeat_at=OLD)
    finish_all(connection, run_id)
    while look(run_id).state == "stopped":
        with operations(), transaction():
            job.resume(run_id)
        finish_all(connection, run_id)
    run = look(run_id)
    assert run.counts["pending"] == run.counts["running"] == 0
    assert run.counts["done"] + run.counts["failed"] == sum(sizes)
    assert run.state == ("failed" if run.counts["failed"] else "succeeded")
