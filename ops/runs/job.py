"""Runs from the outside: start one, look at it, cancel it, resume it, forget it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from ops.runs.claims import LOST_AFTER
from ops.runs.models import (
    CANCELLED,
    FAILED,
    ITEM_STATES,
    PENDING,
    RUNNING,
    SKIPPED,
    STOPPED,
    SUCCEEDED,
    Run,
    RunItem,
)
from todo_app.database import db
from todo_app.errors import ConflictError, NotFoundError
from todo_app.pagination import Page, PageQuery, PageRequest, contains

START_LOCK = 7_301_004
"""Key of the advisory lock under which runs start, so that two never take the same tenants."""

UNFINISHED = (STOPPED, CANCELLED, FAILED)
OPEN = RunItem.state.in_((PENDING, RUNNING))

RUNS_ORDER_BY = {"id": Run.id, "created_at": Run.created_at}
ITEMS_ORDER_BY = {"slug": RunItem.slug, "wave": RunItem.wave, "finished_at": RunItem.finished_at}


class RunUnderwayError(ConflictError):
    """Another run has not ended yet."""

    code = "run-underway"
    detail = "Another run works on these tenants."


class RunStateError(ConflictError):
    """The run is in a state that does not allow this."""

    code = "run-state"
    detail = "The run's state does not allow this."


class Member(NamedTuple):
    """A tenant that a run works on; the schema name stays its own whatever becomes of the slug."""

    tenant_id: int
    schema_name: str
    slug: str
    result: dict[str, Any]
    """What is known before the work, kept in the item's result."""


@dataclass(frozen=True)
class Limits:
    """How careful a run is."""

    has_canaries: bool = False
    """Whether the first wave stops the run as soon as one tenant of it fails."""
    max_failures: int = 0
    """Tenants that may fail before the run stops."""
    max_attempts: int = 5
    """Times that one tenant is tried."""
    concurrency: int = 8
    """Workers that may work on the run at once."""


@dataclass(frozen=True)
class Snapshot:
    """A run as it stands at one moment."""

    id: int
    kind: str
    title: str
    params: dict[str, Any]
    actor: str
    state: str
    error: str | None
    wave: int
    waves: int
    max_failures: int
    concurrency: int
    created_at: datetime
    finished_at: datetime | None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of tenants."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """Tenants that are done with, whatever came of them."""
        return self.total - self.counts[PENDING] - self.counts[RUNNING]

    @property
    def is_over(self) -> bool:
        """Whether nobody works on it any more."""
        return self.state != RUNNING and not self.counts[RUNNING]


def start(
    kind: str,
    title: str,
    params: Mapping[str, Any],
    waves: Sequence[Sequence[Member]],
    limits: Limits,
    *,
    actor: str,
    spread_seconds: float = 0,
) -> int:
    """Write a run and its items. Nobody works on it before the transaction is committed.

    Args:
        kind: the folder of `ops` whose `work` task does it.
        title: what it does, for people.
        params: what the task needs to know.
        waves: who is worked on, in which order; may be empty.
        limits: how careful to be.
        actor: who asked for it.
        spread_seconds: over which the tenants are spread, so that they do not begin all at once.

    Returns:
        The number of the run.

    Raises:
        RunUnderwayError: a run of the same kind works on one of the tenants.
    """
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(START_LOCK)))
    filled = [wave for wave in waves if wave]
    members = [(number, member) for number, wave in enumerate(filled, 1) for member in wave]
    _refuse_overlap(kind, [member.tenant_id for _, member in members])
    run = Run(
        kind=kind,
        title=title,
        params=dict(params),
        actor=actor,
        waves=max(1, len(filled)),
        has_canaries=limits.has_canaries,
        max_failures=limits.max_failures,
        max_attempts=limits.max_attempts,
        concurrency=limits.concurrency,
    )
    if not members:
        run.state, run.finished_at = SUCCEEDED, sa.func.now()
    db.session.add(run)
    db.session.flush()
    rows = [{"run_id": run.id, "wave": wave, **member._asdict()} for wave, member in members]
    if rows:
        db.session.execute(sa.insert(RunItem), rows)
    if spread_seconds:
        due_at = sa.func.now() + sa.func.random() * timedelta(seconds=spread_seconds)
        db.session.execute(sa.update(RunItem).where(RunItem.run_id == run.id).values(due_at=due_at))
    return run.id


def _refuse_overlap(kind: str, tenant_ids: Sequence[int], but: int = 0) -> None:
    """Raise where a running run of this kind, other than `but`, works on one of the tenants."""
    statement = (
        sa.select(Run.id, Run.title, Run.actor)
        .join(RunItem, RunItem.run_id == Run.id)
        .where(Run.kind == kind, Run.state == RUNNING, Run.id != but, OPEN)
        .where(RunItem.tenant_id == sa.any_(sa.cast(tenant_ids, sa.ARRAY(sa.BigInteger))))
        .limit(1)
    )
    other = db.session.execute(statement).first()
    if other is not None:
        raise RunUnderwayError(
            f"Run {other.id} ({other.title}, by {other.actor}) works on these tenants: "
            f"`flask runs watch {other.id}` shows it, `flask runs cancel {other.id}` ends it."
        )


def get(run_id: int, *, for_update: bool = False) -> Run:
    """The run with this number.

    Raises:
        NotFoundError: there is none, or no longer.
    """
    run = db.session.get(Run, run_id, with_for_update=for_update, populate_existing=True)
    if run is None:
        raise NotFoundError(f"There is no run {run_id}.")
    return run


def look(run_id: int) -> Snapshot:
    """How far a run is.

    Raises:
        NotFoundError: there is none, or no longer.
    """
    run = get(run_id)
    # In a run that has ended nobody claims the tenants of a lost worker again.
    is_lost = sa.and_(RunItem.state == RUNNING, RunItem.heartbeat_at < sa.func.now() - LOST_AFTER)
    item_state = sa.case((is_lost, PENDING), else_=RunItem.state)
    statement = (
        sa.select(item_state, sa.func.count()).where(RunItem.run_id == run_id).group_by(item_state)
    )
    counts = dict.fromkeys(ITEM_STATES, 0)
    for state, number in db.session.execute(statement):
        counts[state] = number
    values = {
        name: getattr(run, name) for name in Snapshot.__dataclass_fields__ if hasattr(run, name)
    }
    return Snapshot(**values, counts=counts)


def page(request: PageRequest) -> Page:
    """A page of runs; `search` looks into title, state and actor."""
    table = Run.__table__
    rows = sa.select(*table.c)
    if request.search:
        pattern = contains(request.search)
        rows = rows.where(
            sa.or_(*(table.c[name].ilike(pattern) for name in ("title", "state", "actor")))
        )
    return PageQuery(rows, RUNS_ORDER_BY, table.c.id).fetch(request)


def page_items(run_id: int, request: PageRequest) -> Page:
    """A page of a run's tenants; `search` looks into slug and state.

    Raises:
        NotFoundError: there is no such run.
    """
    get(run_id)
    table = RunItem.__table__
    rows = sa.select(*table.c).where(table.c.run_id == run_id)
    if request.search:
        pattern = contains(request.search)
        rows = rows.where(sa.or_(table.c.slug.ilike(pattern), table.c.state.ilike(pattern)))
    return PageQuery(rows, ITEMS_ORDER_BY, table.c.tenant_id).fetch(request)


def items(run_id: int, state: str | None = None) -> list[RunItem]:
    """All tenants of a run, in order of wave and slug."""
    statement = sa.select(RunItem).where(RunItem.run_id == run_id)
    if state is not None:
        statement = statement.where(RunItem.state == state)
    return list(db.session.scalars(statement.order_by(RunItem.wave, RunItem.slug)))


def failures(run_id: int, but: Sequence[int] = ()) -> list[RunItem]:
    """The tenants that failed, without those in `but`, oldest failure first."""
    statement = sa.select(RunItem).where(
        RunItem.run_id == run_id, RunItem.state == FAILED, RunItem.tenant_id.not_in(but)
    )
    return list(db.session.scalars(statement.order_by(RunItem.finished_at, RunItem.slug)))


def recent(limit: int) -> list[Snapshot]:
    """The newest runs."""
    ids = db.session.scalars(sa.select(Run.id).order_by(Run.id.desc()).limit(limit)).all()
    return [look(run_id) for run_id in ids]


def cancel(run_id: int, actor: str) -> None:
    """Stop a run. Tenants that are being worked on are finished, no other one is begun.

    Args:
        run_id: its number.
        actor: who wants it, for the record.

    Raises:
        NotFoundError
        RunStateError: it does not run.
    """
    run = get(run_id, for_update=True)
    if run.state != RUNNING:
        raise RunStateError(f"Run {run_id} is {run.state}: there is nothing to cancel.")
    run.state, run.error, run.finished_at = CANCELLED, f"cancelled by {actor}", sa.func.now()
    db.session.flush()


def resume(run_id: int, *, failed_only: bool = False) -> None:
    """Go on with a run that was cancelled or stopped, or try again what failed in it.

    Args:
        run_id: its number.
        failed_only: leave out the tenants that were never tried.

    Raises:
        NotFoundError
        RunStateError: it runs, or has nothing left.
        RunUnderwayError: another run works on its tenants.
    """
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(START_LOCK)))
    run = get(run_id, for_update=True)
    if run.state not in UNFINISHED:
        raise RunStateError(f"Run {run_id} is {run.state}: there is nothing to resume.")
    this = RunItem.run_id == run_id
    left = db.session.execute(
        sa.select(RunItem.tenant_id, RunItem.state).where(
            this, RunItem.state.in_((PENDING, RUNNING, FAILED))
        )
    ).all()
    if failed_only and not any(item.state == FAILED for item in left):
        raise RunStateError(f"In run {run_id} no tenant failed.")
    _refuse_overlap(run.kind, [item.tenant_id for item in left], but=run_id)
    if failed_only:
        left_out = {"state": SKIPPED, "error": "left out", "finished_at": sa.func.now()}
        db.session.execute(
            sa.update(RunItem).where(this, RunItem.state == PENDING).values(left_out)
        )
    again = {"state": PENDING, "attempts": 0, "error": None, "due_at": sa.func.now()}
    db.session.execute(
        sa.update(RunItem)
        .where(this, RunItem.state.in_((PENDING, FAILED)))
        .values(**again, started_at=None, finished_at=None, claim=None, worker=None)
    )
    first = db.session.scalar(sa.select(sa.func.min(RunItem.wave)).where(this, OPEN))
    run.state, run.error, run.finished_at = RUNNING, None, None
    run.wave = first or run.wave
    db.session.flush()


def stalled(idle: timedelta) -> list[Snapshot]:
    """Runs with due items of which no worker has been heard for `idle`.

    So it is when their messages were lost with the broker, or their workers were killed.
    """
    item = sa.orm.aliased(RunItem)
    heard = sa.func.greatest(sa.func.max(item.heartbeat_at), sa.func.max(item.finished_at))
    last = sa.select(heard).where(item.run_id == Run.id).correlate(Run).scalar_subquery()
    due = sa.exists().where(
        RunItem.run_id == Run.id,
        RunItem.wave == Run.wave,
        sa.or_(
            sa.and_(RunItem.state == PENDING, RunItem.due_at <= sa.func.now()),
            RunItem.state == RUNNING,
        ),
    )
    open_ = sa.exists().where(RunItem.run_id == Run.id, RunItem.wave == Run.wave, OPEN)
    statement = sa.select(Run.id).where(
        Run.state == RUNNING,
        sa.func.coalesce(last, Run.created_at) < sa.func.now() - idle,
        # A worker that was killed between the last item and the end of the wave leaves none open.
        sa.or_(due, ~open_),
    )
    return [look(run_id) for run_id in db.session.scalars(statement)]


def sweep(keep: timedelta) -> int:
    """Forget runs that ended longer than `keep` ago.

    Returns:
        How many.
    """
    old = sa.and_(Run.state != RUNNING, Run.finished_at < sa.func.now() - keep)
    return len(db.session.execute(sa.delete(Run).where(old).returning(Run.id)).all())
