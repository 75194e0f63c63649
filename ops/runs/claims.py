"""Runs from the inside: how a worker takes tenants, tells what came of each, and moves a run on.

A claim is taken under the lock of the run's row, so what it sees of waves, failures and other
workers is exact. Whoever finds a wave closed opens the next one, or ends the run.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from ops.runs.models import FAILED, PENDING, RUNNING, STOPPED, SUCCEEDED, Run, RunItem

BATCH_SIZE = 50
"""Most tenants of one claim."""

HEARTBEAT_SECONDS = 3.0
LOST_AFTER = timedelta(seconds=15)
"""A worker that has not been heard for so long is taken for lost: its tenants are claimed again."""
IDLE = LOST_AFTER + timedelta(seconds=1)
"""A run of which nothing has been heard for so long needs workers to be woken."""

FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0

WORKER_LOST = "the worker was lost while it worked on this tenant"

RUNS = Run.__table__
ITEMS = RunItem.__table__


class Item(NamedTuple):
    """A claimed tenant."""

    tenant_id: int
    schema_name: str
    slug: str
    wave: int
    attempts: int
    """The present one included."""
    result: dict[str, Any]
    run_id: int = 0
    token: uuid.UUID | None = None
    """What it is held by; None where no run is behind the work."""


@dataclass(frozen=True)
class Outcome:
    """What came of one tenant.

    `state` is done, skipped or failed. A failure that may `retry` is tried again later, up to the
    run's number of attempts.
    """

    state: str
    error: str | None = None
    retry: bool = False
    result: Mapping[str, Any] = field(default_factory=dict)


class Result(NamedTuple):
    """What came of a claimed tenant."""

    item: Item
    outcome: Outcome
    seconds: float
    """How long the work took."""
    ended: float
    """When it ended, by the clock of `time.monotonic`."""


class Claim(NamedTuple):
    """Tenants that one worker holds."""

    run_id: int
    token: uuid.UUID
    items: list[Item]
    waves: int
    max_attempts: int
    left: int
    """Tenants of the open wave that nobody has begun yet, these included."""
    has_opened: bool
    """Whether this claim has opened its wave."""
    has_room: bool
    """Whether another worker would find something to do beside this one."""

    def tries_again(self, item: Item, outcome: Outcome) -> bool:
        """Whether a tenant is tried another time after this outcome."""
        return outcome.retry and item.attempts < self.max_attempts


class Idle(NamedTuple):
    """Why nothing could be claimed."""

    is_over: bool
    """The run has ended, stopped, or was cancelled."""
    due_in: float | None
    """Seconds until a tenant that waits for its next attempt may be tried; None where none does."""


def claim(connection: sa.Connection, run_id: int, worker: str) -> Claim | Idle:
    """Take some tenants of the open wave, and move the run on where that wave is closed.

    Args:
        connection: in autocommit mode.
        run_id: of the run.
        worker: name of the caller, for people.
    """
    with _locked(connection, run_id) as run:
        if run is None or run.state != RUNNING:
            return Idle(is_over=True, due_in=None)
        return _claim(connection, run, worker)


@contextmanager
def _locked(connection: sa.Connection, run_id: int) -> Iterator[Any]:
    """A transaction that holds the row of the run; None where there is no such run any more."""
    try:
        yield connection.execute(_LOCK_RUN, {"run_id": run_id}).one_or_none()
    except BaseException:
        with suppress(sa.exc.DBAPIError):
            connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


# In one round trip; a worker that claims one tenant after the other feels each of them.
_LOCK_RUN = sa.text("BEGIN; SELECT * FROM public.ops_runs WHERE id = :run_id FOR UPDATE")


def _claim(connection: sa.Connection, run: Any, worker: str) -> Claim | Idle:
    wave, opened = run.wave, False
    while True:
        values = {"run_id": run.id, "wave": wave, "lost_after": LOST_AFTER}
        count = connection.execute(_COUNTS, values).one()
        if count.lost:
            _take_from_lost_workers(connection, run)
            continue
        if _stop(connection, run, wave, count.failed):
            return Idle(is_over=True, due_in=None)
        if count.pending or count.running:
            break
        if wave == run.waves:
            state = FAILED if count.failed else SUCCEEDED
            _end(connection, run.id, state, None)
            return Idle(is_over=True, due_in=None)
        wave += 1
        opened = True
        connection.execute(sa.update(Run).where(RUNS.c.id == run.id).values(wave=wave))
    if count.workers >= run.concurrency:
        return Idle(is_over=False, due_in=None)
    # Half of a fair share, so that the last claims are small and all workers end together. Those
    # tried before come last and one by one: a tenant that kills its worker costs no other an
    # attempt.
    size = max(1, min(BATCH_SIZE, count.fresh // (2 * (count.workers + 1))))
    token = uuid.uuid4()
    values = {"run_id": run.id, "wave": wave, "token": token, "worker": worker, "size": size}
    rows = connection.execute(_TAKE, values).all()
    if not rows:
        return Idle(is_over=False, due_in=count.due_in)
    items = sorted((Item._make(row) for row in rows), key=lambda item: item.tenant_id)
    has_room = count.pending > len(items) and count.workers + 1 < run.concurrency
    return Claim(run.id, token, items, run.waves, run.max_attempts, count.pending, opened, has_room)


_COUNTS = sa.text(
    "SELECT count(*) FILTER (WHERE state = 'pending') AS pending,"
    " count(*) FILTER (WHERE state = 'pending' AND attempts = 0) AS fresh,"
    " count(*) FILTER (WHERE state = 'running') AS running,"
    " count(*) FILTER (WHERE state = 'running' AND heartbeat_at < now() - :lost_after) AS lost,"
    " count(DISTINCT claim) FILTER (WHERE state = 'running') AS workers,"
    " (SELECT count(*) FROM public.ops_run_items"
    "  WHERE run_id = :run_id AND state = 'failed') AS failed,"
    " extract(epoch FROM min(due_at) FILTER (WHERE state = 'pending') - now())::float AS due_in"
    " FROM public.ops_run_items"
    " WHERE run_id = :run_id AND wave = :wave AND state IN ('pending', 'running')"
)

# Materialized, or a plan may run the inner query more than once and take more than its limit.
_TAKE = sa.text(
    "WITH chosen AS MATERIALIZED (SELECT tenant_id FROM public.ops_run_items"
    "  WHERE run_id = :run_id AND wave = :wave AND state = 'pending' AND due_at <= now()"
    "  ORDER BY attempts, tenant_id LIMIT :size FOR UPDATE SKIP LOCKED)"
    " UPDATE public.ops_run_items AS i SET state = 'running', claim = :token, worker = :worker,"
    " attempts = i.attempts + 1, heartbeat_at = now(), started_at = now() FROM chosen"
    " WHERE i.run_id = :run_id AND i.tenant_id = chosen.tenant_id"
    " RETURNING i.tenant_id, i.schema_name, i.slug, i.wave, i.attempts, i.result, i.run_id, i.claim"
)


def _stop(connection: sa.Connection, run: Any, wave: int, failed: int) -> bool:
    """Stop the run where more tenants failed than may."""
    if run.has_canaries and wave == 1 and failed:
        reason = "a canary failed, so no other tenant was touched"
    elif failed > run.max_failures:
        reason = f"{failed} tenants failed, {run.max_failures} may"
    else:
        return False
    _end(connection, run.id, STOPPED, reason)
    return True


def _end(connection: sa.Connection, run_id: int, state: str, error: str | None) -> None:
    values = {"state": state, "error": error, "finished_at": sa.func.now()}
    connection.execute(sa.update(Run).where(RUNS.c.id == run_id).values(values))


def _take_from_lost_workers(connection: sa.Connection, run: Any) -> None:
    is_last = ITEMS.c.attempts >= run.max_attempts
    connection.execute(
        sa.update(RunItem)
        .where(
            ITEMS.c.run_id == run.id,
            ITEMS.c.state == RUNNING,
            ITEMS.c.heartbeat_at < sa.func.now() - LOST_AFTER,
        )
        .values(
            state=sa.case((is_last, FAILED), else_=PENDING),
            finished_at=sa.case((is_last, sa.func.now())),
            error=WORKER_LOST,
            claim=None,
        )
    )


def finish(connection: sa.Connection, claim: Claim, results: Sequence[Result]) -> bool:
    """Write what came of some tenants.

    Args:
        connection: in autocommit mode.
        claim: that holds the tenants.
        results: at least one.

    Returns:
        Whether the worker may go on with the next tenant of the claim: the run still runs and
        the claim is still the worker's.
    """
    now = time.monotonic()
    rows = [_row(claim, result, now) for result in results]
    values = {"run_id": claim.run_id, "token": claim.token, "rows": rows}
    states = connection.execute(_FINISH, values).scalars().all()
    if len(states) < len(rows) or states[0] != RUNNING:
        return False
    if any(row["state"] == FAILED for row in rows):
        # The budget holds from the first failure too many, not from the next claim on.
        with _locked(connection, claim.run_id) as run:
            failed = connection.execute(_FAILED, {"run_id": run.id}).scalar_one()
            return run.state == RUNNING and not _stop(connection, run, run.wave, failed)
    return True


def _row(claim: Claim, result: Result, now: float) -> dict[str, Any]:
    item, outcome, seconds, ended = result
    again = claim.tries_again(item, outcome)
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (item.attempts - 1))
    return {
        "tenant_id": item.tenant_id,
        "state": PENDING if again else outcome.state,
        # Jitter, so that those who waited for one lock do not come back all at once.
        "pause": pause * random.uniform(0.5, 1.5) if again else 0,  # noqa: S311
        "result": dict(outcome.result),
        "error": outcome.error,
        "ended_ago": now - ended,
        "seconds": seconds,
    }


_FAILED = sa.text(
    "SELECT count(*) FROM public.ops_run_items WHERE run_id = :run_id AND state = 'failed'"
)

# Over what the worker has noted in the item meanwhile; how far it was is over with the work.
_FINISH = sa.text(
    "UPDATE public.ops_run_items AS i SET"
    " state = r.state,"
    " due_at = now() + r.pause * interval '1 second',"
    " finished_at = CASE WHEN r.state <> 'pending'"
    "  THEN now() - r.ended_ago * interval '1 second' END,"
    " started_at = now() - (r.ended_ago + r.seconds) * interval '1 second',"
    " result = (i.result - 'progress') || r.result, error = r.error, claim = NULL"
    " FROM jsonb_to_recordset(:rows) AS r(tenant_id bigint, state text, pause float,"
    "  result jsonb, error text, ended_ago float, seconds float)"
    " WHERE i.run_id = :run_id AND i.tenant_id = r.tenant_id AND i.claim = :token"
    " RETURNING (SELECT state FROM public.ops_runs WHERE id = :run_id)"
).bindparams(sa.bindparam("rows", type_=JSONB))


def release(connection: sa.Connection, claim: Claim, begun: Sequence[int] = ()) -> None:
    """Give back the tenants of a claim of which nothing has come; for those begun it was a try."""
    tries = sa.case((ITEMS.c.tenant_id.in_(begun), ITEMS.c.attempts), else_=ITEMS.c.attempts - 1)
    connection.execute(
        sa.update(RunItem)
        .where(ITEMS.c.run_id == claim.run_id, ITEMS.c.claim == claim.token)
        .values(state=PENDING, claim=None, started_at=None, attempts=tries)
    )


@contextmanager
def kept_alive(engine: sa.Engine, claim: Claim) -> Iterator[None]:
    """Renew the heartbeat of a claim while the block runs, from a thread of its own."""
    ended = threading.Event()
    statement = (
        sa.update(RunItem)
        .where(ITEMS.c.run_id == claim.run_id, ITEMS.c.claim == claim.token)
        .values(heartbeat_at=sa.func.now())
    )

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            # A beat that cannot be written is one that is missed; the next one may go through.
            with suppress(sa.exc.SQLAlchemyError), engine.begin() as connection:
                connection.execute(statement)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
