"""The loop of a worker: claim tenants, work on them, tell the ledger, until nothing is left."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from ops.runs.claims import Claim, Idle, Item, Outcome, claim, finish, kept_alive, release
from ops.runs.models import DONE, FAILED, SKIPPED
from todo_app.database import OPS_BIND, db, own_connection

Perform = Callable[[Sequence[Item]], Generator[Outcome]]
"""Works on tenants, one after the other, and yields what came of each; it may be closed early."""

Report = Callable[[Claim], None]


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


def work(run_id: int, perform: Perform, report: Report, seconds: float) -> Work:
    """Work on a run until nothing is left for this worker, or its time is over.

    Args:
        run_id: of the run.
        perform: does the work.
        report: told of each claim, before the work on it begins.
        seconds: after which no further tenant is begun.
    """
    done = Work()
    ends = time.monotonic() + seconds
    worker = f"{socket.gethostname()}:{os.getpid()}"
    with _ledger() as connection:
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
    try:
        _work_through(connection, claimed, perform, done, ends, begun)
    finally:
        # Whatever ends the work, such as Ctrl-C: what was not done is for others, at once.
        with suppress(sa.exc.DBAPIError):
            release(connection, claimed, begun)


def _work_through(
    connection: sa.Connection,
    claimed: Claim,
    perform: Perform,
    done: Work,
    ends: float,
    begun: list[int],
) -> None:
    with closing(perform(claimed.items)) as outcomes:
        for item, outcome, took in _timed(claimed.items, outcomes, begun):
            if claimed.tries_again(item, outcome):
                done.errors[item.slug] = f"to be tried again: {outcome.error}"
            else:
                done.errors.pop(item.slug, None)
                done.slugs[outcome.state].append(item.slug)
                if outcome.state == FAILED:
                    done.errors[item.slug] = str(outcome.error)
            if not finish(connection, claimed, item, outcome, took) or time.monotonic() > ends:
                break


def _timed(
    items: Sequence[Item], outcomes: Iterator[Outcome], begun: list[int]
) -> Iterator[tuple[Item, Outcome, float]]:
    for item in items:
        begun.append(item.tenant_id)
        started = time.monotonic()
        outcome = next(outcomes)
        yield item, outcome, time.monotonic() - started


@contextmanager
def _ledger() -> Iterator[Any]:
    """A connection that writes the ledger, each statement a transaction."""
    with own_connection() as connection:
        # What a crash of the server may cost is the last outcomes: these tenants are claimed
        # again, and found done.
        connection.exec_driver_sql("SET synchronous_commit TO off")
        yield connection
