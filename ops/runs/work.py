"""The loop of a worker: claim tenants, work on them, tell the ledger, until nothing is left."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ops.runs.claims import Claim, Idle, Item, Outcome, Result, claim, finish, kept_alive, release
from ops.runs.models import DONE, FAILED, SKIPPED
from todo_app.database import OPS_BIND, db, own_connection

Perform = Callable[[Item], Outcome]
"""Works on one tenant; raises only where the whole worker should stop."""

Performing = AbstractContextManager[Perform]
"""Holds what the work on many tenants shares, such as a connection."""

Report = Callable[[Claim], None]


TASK_SECONDS_PARAM = "task_seconds"
"""Parameter of a run whose work must not be divided: how long one task goes on with it."""

WRITE_EVERY_SECONDS = 0.1
"""How long an outcome may wait for those of the next tenants; a failure waits for nothing. A worker
that is killed costs no more than this: another one finds the tenants done."""


@dataclass
class Work:
    """What one call of `work` has done."""

    slugs: dict[str, list[str]] = field(
        default_factory=lambda: {state: [] for state in (FAILED, DONE, SKIPPED)}
    )
    errors: dict[str, str] = field(default_factory=dict)
    """By slug, of those who failed or are to be tried again."""
    first_wave: int = 0
    wave: int = 0
    """The last one that was worked on here; 0 where none was."""
    waves: int = 0
    call_again_in: float | None = None
    """Seconds after which there is work again; None where others see to it, or nothing is left."""
    is_over: bool = False

    def add(self, item: Item, outcome: Outcome, *, tries_again: bool) -> None:
        """Note what came of a tenant."""
        if tries_again:
            self.errors[item.slug] = f"to be tried again: {outcome.error}"
            return
        self.errors.pop(item.slug, None)
        self.slugs[outcome.state].append(item.slug)
        if outcome.state == FAILED:
            self.errors[item.slug] = str(outcome.error)


def work(run_id: int, performing: Performing, report: Report, seconds: float) -> Work:
    """Work on a run until nothing is left for this worker, or its time is over.

    Args:
        run_id: of the run.
        performing: is entered once, and gives what does the work on one tenant after the other.
        report: told of each claim, before the work on it begins.
        seconds: after which no further tenant is begun.
    """
    done = Work()
    ends = time.monotonic() + seconds
    worker = f"{socket.gethostname()}:{os.getpid()}"
    with _ledger() as connection, performing as perform:
        while time.monotonic() < ends:
            claimed = claim(connection, run_id, worker)
            if isinstance(claimed, Idle):
                done.is_over, done.call_again_in = claimed.is_over, claimed.due_in
                return done
            done.wave, done.waves = claimed.items[0].wave, claimed.waves
            done.first_wave = done.first_wave or done.wave
            report(claimed)
            with kept_alive(db.engines[OPS_BIND], claimed):
                _work_on(connection, claimed, perform, done, ends)
    done.call_again_in = 0.0
    return done


def _work_on(
    connection: sa.Connection, claimed: Claim, perform: Perform, done: Work, ends: float
) -> None:
    begun: list[int] = []
    results: list[Result] = []
    written = 0
    write_at = 0.0
    try:
        for item in claimed.items:
            started = time.monotonic()
            begun.append(item.tenant_id)
            outcome = perform(item)
            now = time.monotonic()
            results.append(Result(item, outcome, now - started, now))
            done.add(item, outcome, tries_again=claimed.tries_again(item, outcome))
            if outcome.state != FAILED and now < write_at and len(begun) < len(claimed.items):
                continue
            may_go_on = finish(connection, claimed, results)
            written += len(results)
            results.clear()
            if not may_go_on or now > ends:
                return
            write_at = now + WRITE_EVERY_SECONDS
    finally:
        with suppress(sa.exc.DBAPIError):
            if results:
                finish(connection, claimed, results)
                written += len(results)
            # Whatever ends the work, such as Ctrl-C: what was not done is for others, at once.
            if written < len(claimed.items):
                release(connection, claimed, begun)


@contextmanager
def _ledger() -> Iterator[Any]:
    """A connection that writes the ledger, each statement a transaction."""
    with own_connection() as connection:
        # What a crash of the server may cost is the last outcomes: these tenants are claimed
        # again, and found done.
        connection.exec_driver_sql("SET synchronous_commit TO off")
        yield connection
