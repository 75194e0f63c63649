"""The Celery side of backups."""

from __future__ import annotations

from celery import Task, shared_task
from flask import current_app

from ops.backups import closing, job, retention
from ops.runs import job as runs
from ops.runs import queue
from ops.runs.queue import BrokerAwayError
from todo_app.config import Settings
from todo_app.database import transaction
from todo_app.tenancy import operations

NO_STORAGE = "BACKUP_URL is not set: there are no backups"


@shared_task(name="ops.backups.tasks.work", bind=True)
def work(self: Task, run_id: int, run: str) -> str:
    """Work on a run of backups; `run` says what it is, for those who look on."""
    return queue.work_in_task(self, run_id)


@shared_task(name="ops.backups.tasks.back_up_all")
def back_up_all() -> str:
    """Begin a set of all tenants."""
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.backup_url:
        return NO_STORAGE
    spread = settings.backup_spread_seconds
    with operations(), transaction():
        _, run_id = job.create([], actor="beat", settings=settings, spread_seconds=spread)
        run = runs.look(run_id)
    try:
        queue.wake(run)
    except BrokerAwayError as error:
        return f"run {run_id} ({run.title}) is planned: {error.detail}"
    return f"run {run_id} ({run.title}): {run.total} tenants"


@shared_task(name="ops.backups.tasks.close")
def close() -> str:
    """Finish the sets whose runs are over, and tell the operator of what failed."""
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.backup_url:
        return NO_STORAGE
    # Apart, for the first needs no storage.
    with operations(), transaction():
        done = [f"run {run_id} was told" for run_id in closing.tell_failures(settings)]
    with operations(), transaction():
        done += [f"{set_.name} is {set_.state}" for set_ in closing.close(settings)]
    return "; ".join(done) or "nothing to close"


@shared_task(name="ops.backups.tasks.prune")
def prune() -> str:
    """Delete the archives that no rule keeps."""
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.backup_url:
        return NO_STORAGE
    with operations():
        archives = retention.superfluous(settings)
    retention.prune(settings, archives)
    return f"{len(archives)} archives deleted"
