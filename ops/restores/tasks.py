"""The Celery side of restores."""

from __future__ import annotations

from celery import Task, shared_task
from flask import current_app

from ops.restores import job
from ops.restores import sweep as sweeping
from ops.runs import job as runs
from ops.runs import queue
from ops.runs.queue import BrokerAwayError
from todo_app.config import Settings
from todo_app.database import transaction
from todo_app.tenancy import operations


@shared_task(name="ops.restores.tasks.work", bind=True)
def work(self: Task, run_id: int, run: str) -> str:
    """Work on a run of restores; `run` says what it is, for those who look on."""
    return queue.work_in_task(self, run_id)


@shared_task(name="ops.restores.tasks.drill")
def drill() -> str:
    """Begin to try the restores of some tenants."""
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.backup_url or not settings.backup_drills:
        return "no drill: BACKUP_URL is not set, or BACKUP_DRILLS is 0"
    with operations(), transaction():
        run_id = job.start_drill([], settings.backup_drills, actor="beat", settings=settings)
        run = runs.look(run_id)
    try:
        queue.wake(run)
    except BrokerAwayError as error:
        return f"run {run_id} ({run.title}) is planned: {error.detail}"
    return f"run {run_id} ({run.title})"


@shared_task(name="ops.restores.tasks.sweep")
def sweep() -> str:
    """Drop what restores have put aside and nobody has asked for in time."""
    return f"{len(sweeping.sweep())} schemas dropped"
