"""Metrics of the archives: how old they are, and when their restore was last proven."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from prometheus_client.core import GaugeMetricFamily, Metric

from ops.archives.models import COMPLETE, INCOMPLETE, RUNNING, ArchiveRow, BackupSet
from todo_app.database import db
from todo_app.tenants.models import ACTIVE, SUSPENDED, Tenant


def archive_metrics() -> Iterator[Metric]:
    """All of them, in the current transaction."""
    sets = GaugeMetricFamily("todo_backup_sets", "Backup sets, by state.", labels=["state"])
    by_state = sa.select(BackupSet.state, sa.func.count()).group_by(BackupSet.state)
    counts = dict.fromkeys((RUNNING, COMPLETE, INCOMPLETE), 0)
    for state, number in db.session.execute(by_state):
        counts[state] = number
    for state, number in counts.items():
        sets.add_metric([state], number)
    yield sets
    last = sa.select(sa.func.max(BackupSet.finished_at)).where(BackupSet.state == COMPLETE)
    yield _moment(
        "todo_backup_last_complete_timestamp_seconds",
        "When the last complete set was finished.",
        db.session.scalar(last),
    )
    damaged = sa.select(sa.func.count()).where(ArchiveRow.error.is_not(None))
    yield _value(
        "todo_archives_damaged",
        "Archives with which something is wrong.",
        db.session.scalar(damaged) or 0,
    )
    newest = (
        sa.select(ArchiveRow.taken_at)
        .where(ArchiveRow.tenant_uuid == Tenant.uuid)
        .order_by(ArchiveRow.taken_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    each = (
        sa.select(newest.label("taken_at"), Tenant.last_proven_restore)
        .where(Tenant.state.in_((ACTIVE, SUSPENDED)))
        .subquery()
    )
    proven = each.c.last_proven_restore
    found = db.session.execute(
        sa.select(
            sa.func.count().filter(each.c.taken_at.is_(None)),
            sa.func.min(each.c.taken_at),
            sa.func.count().filter(proven.is_(None)),
            sa.func.max(proven),
        )
    ).one()
    yield _value("todo_tenants_without_archive", "Tenants that have none.", found[0])
    yield _moment(
        "todo_tenant_oldest_archive_timestamp_seconds",
        "When the newest archive of the tenant was taken whose newest one is the oldest.",
        found[1],
    )
    yield _value(
        "todo_tenants_never_proven", "Tenants whose restore has never been tried.", found[2]
    )
    yield _moment(
        "todo_last_proven_restore_timestamp_seconds",
        "When a restore was last proven.",
        found[3],
    )


def _value(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _moment(name: str, text: str, at: datetime | None) -> Metric:
    """A time in seconds since the epoch; a family without a sample where there is none."""
    return _value(name, text, at.timestamp()) if at else GaugeMetricFamily(name, text, labels=())
