"""Says what came of sets and of other runs, in the storage and to the operator."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from ops.archives.models import COMPLETE, INCOMPLETE, RUNNING, ArchiveRow, BackupSet
from ops.backups.job import CREATE
from ops.runs import job as runs
from ops.runs.claims import LOST_AFTER
from ops.runs.models import FAILED as RUN_FAILED
from ops.runs.models import RUNNING as RUN_RUNNING
from ops.runs.models import SKIPPED, STOPPED, Run, RunItem
from todo_app.config import Settings
from todo_app.database import db
from todo_app.outbox import send_mail
from todo_app.storage import Storage
from todo_app.tenants.models import Tenant

TELLING_KINDS = ("backups", "restores")
TELL_WITHIN = timedelta(days=1)
TOLD = "told"
"""Param of a run: the end of it of which the operator has been told."""

NAMED = 20
"""Tenants that a mail names."""


def close(settings: Settings) -> list[BackupSet]:
    """Say what came of the sets whose runs are over, and write it into the storage.

    May be called at any time, by several at once: each set is closed by one of them.

    Returns:
        The sets that were closed.

    Raises:
        StorageError: the rest is closed once the storage answers again.
    """
    runs_on = sa.exists().where(Run.id == BackupSet.run_id, Run.state == RUN_RUNNING)
    # Of a run that was cancelled, too, what was begun is finished.
    works_on = sa.exists().where(
        RunItem.run_id == BackupSet.run_id,
        RunItem.state == RUN_RUNNING,
        RunItem.heartbeat_at > sa.func.now() - LOST_AFTER,
    )
    # Or its run was resumed since.
    has_ended_again = sa.exists().where(
        Run.id == BackupSet.run_id, Run.finished_at > BackupSet.finished_at
    )
    is_open = sa.or_(
        BackupSet.state == RUNNING, sa.and_(BackupSet.state == INCOMPLETE, has_ended_again)
    )
    statement = sa.select(BackupSet).where(is_open, ~runs_on, ~works_on)
    closed = list(db.session.scalars(statement.with_for_update(skip_locked=True)))
    if not closed:
        return []
    storage = Storage(settings.need("backup_url"))
    for set_ in closed:
        set_.failures = _failures(set_)
        set_.state = INCOMPLETE if set_.failures else COMPLETE
        set_.finished_at = datetime.now(UTC)
        db.session.flush()
        storage.put(set_manifest_name(set_.name), _manifest(set_))
        if set_.failures and settings.operator_mail:
            send_mail(settings.operator_mail, f"Backup set {set_.name} is incomplete", _told(set_))
    return closed


def set_manifest_name(name: str) -> str:
    """Name of a set's manifest in the storage."""
    return f"{name}/set.json"


def _failures(set_: BackupSet) -> dict[str, str]:
    """Why tenants are not in the set; those who are gone, or were left out, are not missed."""
    has_archive = sa.exists().where(
        ArchiveRow.set_id == set_.id, ArchiveRow.tenant_uuid == Tenant.uuid
    )
    rows = db.session.execute(
        sa.select(RunItem.slug, RunItem.error)
        .join(Tenant, Tenant.id == RunItem.tenant_id)
        .where(RunItem.run_id == set_.run_id, RunItem.state != SKIPPED, ~has_archive)
        .order_by(RunItem.slug)
    )
    return {row.slug: row.error or "never begun" for row in rows}


def _manifest(set_: BackupSet) -> bytes:
    archives = db.session.scalars(
        sa.select(ArchiveRow.name).where(ArchiveRow.set_id == set_.id).order_by(ArchiveRow.name)
    )
    return json.dumps(
        {
            "name": set_.name,
            "state": set_.state,
            "is_consistent": set_.is_consistent,
            "is_whole": set_.is_whole,
            "actor": set_.actor,
            "created_at": set_.created_at.isoformat(),
            "finished_at": set_.finished_at and set_.finished_at.isoformat(),
            "failures": set_.failures,
            "archives": list(archives),
        },
        indent=1,
        ensure_ascii=False,
    ).encode()


def _told(set_: BackupSet) -> str:
    lines = [f"{slug}: {error}" for slug, error in list(set_.failures.items())[:NAMED]]
    more = len(set_.failures) - len(lines)
    if more:
        lines.append(f"and {more} more")
    return "\n".join(
        [
            f"{len(set_.failures)} tenants are not in the backup set {set_.name}:",
            "",
            *lines,
            "",
            "Ask for a new consistent set."
            if set_.is_consistent
            else f"Try these again: flask runs resume {set_.run_id} --failed",
        ]
    )


def tell_failures(settings: Settings) -> list[int]:
    """Mail the operator what failed in verifications, drills and restores; sets tell by themselves.

    Returns:
        The runs that were told, each once.
    """
    if not settings.operator_mail:
        return []
    ended = sa.cast(Run.finished_at, sa.Text)
    statement = (
        sa.update(Run)
        .where(
            Run.kind.in_(TELLING_KINDS),
            Run.state.in_((RUN_FAILED, STOPPED)),
            Run.finished_at > sa.func.now() - TELL_WITHIN,
            Run.params["action"].astext != CREATE,
            # A run that was resumed may fail once more.
            Run.params[TOLD].astext.is_distinct_from(ended),
        )
        .values(params=Run.params.concat(sa.func.jsonb_build_object(TOLD, ended)))
        .returning(Run.id, Run.title, Run.state)
        .execution_options(synchronize_session=False)
    )
    found = db.session.execute(statement).all()
    for run in found:
        lines = [f"{item.slug}: {item.error}" for item in runs.failures(run.id)[:NAMED]]
        text = "\n".join([*lines, "", f"All of it: flask runs show {run.id}"])
        send_mail(settings.operator_mail, f"Run {run.id} ({run.title}) {run.state}", text)
    return [run.id for run in found]
