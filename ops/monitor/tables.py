"""Metrics that the control plane's tables know: a handful of aggregates, bounded in time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from prometheus_client.core import (
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)

import celeryconfig
from ops.monitor.archives import archive_metrics
from ops.monitor.models import TenantCheck
from ops.runs.models import FAILED, ITEM_STATES, RUN_STATES, RUNNING, Run, RunItem
from ops.schedule import Firing
from ops.upgrades.script import revisions
from todo_app.database import db
from todo_app.outbox import OutboxMessage
from todo_app.tenancy import control_plane
from todo_app.tenants.models import ACTIVE, SUSPENDED, Tenant

STATEMENT_TIMEOUT = "2s"
RECENT = timedelta(days=1)
"""Runs that ended within this time count for durations and failures."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
"""Upper bounds of an item's duration, in seconds."""
UPGRADED_STATES = (ACTIVE, SUSPENDED)


def read() -> list[Metric]:
    """All of them, as the API's role sees them in one transaction.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away, not migrated, or too slow.
    """
    with control_plane():
        bound = sa.func.set_config("statement_timeout", STATEMENT_TIMEOUT, True)
        db.session.execute(sa.select(bound))
        parts = (_tenants, _runs, _heartbeats, _items, _checks, archive_metrics, _outbox, _firings)
        return [metric for part in parts for metric in part()]


def _tenants() -> Iterator[Metric]:
    known = revisions()
    tenants = _gauge("todo_tenants", "Tenants, by state and revision.", "state", "revision")
    behind = lag = canaries = 0
    statement = sa.select(
        Tenant.state,
        Tenant.revision,
        sa.func.count(),
        sa.func.count().filter(Tenant.is_canary),
    ).group_by(Tenant.state, Tenant.revision)
    for state, revision, number, marked in db.session.execute(statement):
        tenants.add_metric([state, revision or "base"], number)
        canaries += marked
        missing = sum(newer > revision for newer in known)
        if missing and state in UPGRADED_STATES:
            behind += number
            lag = max(lag, missing)
    yield tenants
    yield InfoMetricFamily(
        "todo_newest_revision", "The newest revision that this code knows.", {"revision": known[-1]}
    )
    yield _value("todo_tenants_behind", "Tenants below the newest revision.", behind)
    yield _value("todo_tenant_max_revisions_behind", "Revisions that the oldest lacks.", lag)
    yield _value("todo_canary_tenants", "Tenants that are upgraded first.", canaries)


def _runs() -> Iterator[Metric]:
    runs = _gauge("todo_runs", "Runs in the ledger, by kind and state.", "kind", "state")
    oldest = _gauge(
        "todo_run_oldest_start_timestamp_seconds",
        "When the oldest run that is running was started; nothing while none runs.",
        "kind",
    )
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(RUN_STATES, 0))
    statement = sa.select(
        Run.kind, Run.state, sa.func.count(), sa.func.min(Run.created_at)
    ).group_by(Run.kind, Run.state)
    for kind, state, number, first in db.session.execute(statement):
        counts[kind][state] = number
        if state == RUNNING:
            oldest.add_metric([kind], first.timestamp())
    for kind, states in counts.items():
        for state, number in states.items():
            runs.add_metric([kind, state], number)
    yield runs
    yield oldest


def _heartbeats() -> Iterator[Metric]:
    family = _gauge(
        "todo_run_last_heartbeat_timestamp_seconds",
        "Last sign of a worker, or the start, of the running run that has been silent longest.",
        "kind",
    )
    last = sa.func.greatest(
        Run.created_at, sa.func.max(RunItem.heartbeat_at), sa.func.max(RunItem.finished_at)
    )
    each = (
        sa.select(Run.kind, last.label("at"))
        .outerjoin(RunItem, RunItem.run_id == Run.id)
        .where(Run.state == RUNNING)
        .group_by(Run.id)
        .subquery()
    )
    for kind, at in db.session.execute(
        sa.select(each.c.kind, sa.func.min(each.c.at)).group_by(each.c.kind)
    ):
        family.add_metric([kind], at.timestamp())
    yield family


def _items() -> Iterator[Metric]:
    items = _gauge(
        "todo_run_items", "Tenants of the runs that are running, by state.", "kind", "state"
    )
    failures = _gauge(
        "todo_run_failures",
        "Tenants that failed in runs that are running or ended within a day.",
        "kind",
    )
    durations = GaugeHistogramMetricFamily(
        "todo_run_item_duration_seconds",
        "Time a tenant took in runs that are running or ended within a day.",
        labels=["kind"],
    )
    open_items: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(ITEM_STATES, 0))
    failed: dict[str, int] = {}
    counts: dict[str, list[int]] = {}
    sums: dict[str, float] = {}
    for kind, run_state, state, bucket, number, seconds in db.session.execute(_recent_items()):
        if run_state == RUNNING:
            open_items[kind][state] += number
        failed[kind] = failed.get(kind, 0) + (number if state == FAILED else 0)
        if bucket is not None:
            counts.setdefault(kind, [0] * (len(BUCKETS) + 1))[bucket] += number
            sums[kind] = sums.get(kind, 0.0) + seconds
    for kind, states in open_items.items():
        for state, number in states.items():
            items.add_metric([kind, state], number)
    for kind, number in failed.items():
        failures.add_metric([kind], number)
    for kind, per_bucket in counts.items():
        durations.add_metric([kind], _cumulated(per_bucket), sums[kind])
    yield items
    yield failures
    yield durations


def _recent_items() -> sa.Select[Any]:
    """Counts of items by kind, state of the run, state, and bucket of the duration."""
    # Not `extract`, whose decimal fractions cost more than all the rest.
    seconds = sa.func.date_part("epoch", RunItem.finished_at - RunItem.started_at)
    # A bucket of Prometheus holds its upper bound, one of PostgreSQL its lower.
    bounds = sa.cast([math.nextafter(bound, math.inf) for bound in BUCKETS], sa.ARRAY(sa.Float(53)))
    bucket = sa.func.width_bucket(seconds, bounds).label("bucket")
    is_recent = sa.or_(Run.finished_at.is_(None), Run.finished_at > sa.func.now() - RECENT)
    return (
        sa.select(
            Run.kind,
            Run.state.label("run_state"),
            RunItem.state,
            bucket,
            sa.func.count(),
            sa.func.sum(seconds),
        )
        .join(RunItem, RunItem.run_id == Run.id)
        .where(is_recent)
        .group_by(Run.kind, Run.state, RunItem.state, bucket)
    )


def _cumulated(counts: Iterable[int]) -> list[tuple[str, float]]:
    total = 0
    buckets = []
    bounds = (*(str(float(bound)) for bound in BUCKETS), "+Inf")
    for bound, count in zip(bounds, counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets


def _checks() -> Iterator[Metric]:
    differs = sa.func.cardinality(TenantCheck.differences) > 0
    statement = sa.select(
        sa.func.count(), sa.func.count().filter(differs), sa.func.min(TenantCheck.checked_at)
    ).join(Tenant, sa.and_(Tenant.id == TenantCheck.tenant_id, Tenant.state.in_(UPGRADED_STATES)))
    checked, drifted, oldest = db.session.execute(statement).one()
    yield _value("todo_tenants_checked", "Tenants whose schema has been checked.", checked)
    yield _value("todo_tenants_drifted", "Tenants whose schema differs from its revision.", drifted)
    yield _moment(
        "todo_tenant_oldest_check_timestamp_seconds",
        "When the tenant whose check is the oldest was checked.",
        oldest,
    )


def _outbox() -> Iterator[Metric]:
    messages = _gauge(
        "todo_outbox_messages", "Messages that are not delivered, waiting or given up.", "state"
    )
    has_failed = OutboxMessage.failed_at.is_not(None)
    waiting = sa.and_(OutboxMessage.delivered_at.is_(None), OutboxMessage.failed_at.is_(None))
    failed = sa.select(sa.func.count()).where(has_failed).scalar_subquery()
    number, oldest, failures = db.session.execute(
        sa.select(sa.func.count(), sa.func.min(OutboxMessage.created_at), failed).where(waiting)
    ).one()
    messages.add_metric(["waiting"], number)
    messages.add_metric(["failed"], failures)
    yield messages
    yield _moment(
        "todo_outbox_oldest_timestamp_seconds",
        "When the message that has waited longest was written.",
        oldest,
    )


def _firings() -> Iterator[Metric]:
    family = _gauge(
        "todo_schedule_last_fired_timestamp_seconds",
        "When a worker last took a scheduled job; 0 if none ever did.",
        "schedule",
    )
    names = sa.values(sa.column("name", sa.Text), name="names").data(
        [(name,) for name in celeryconfig.beat_schedule]
    )
    last = (
        sa.select(Firing.fired_at)
        .where(Firing.job == names.c.name)
        .order_by(Firing.scheduled_for.desc())
        .limit(1)
        .scalar_subquery()
    )
    for name, at in db.session.execute(sa.select(names.c.name, last)):
        family.add_metric([name], at.timestamp() if at else 0)
    yield family


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _value(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _moment(name: str, text: str, at: datetime | None) -> GaugeMetricFamily:
    """A time in seconds since the epoch; a family without a sample where there is none."""
    return _value(name, text, at.timestamp()) if at else _gauge(name, text)
