"""The Celery side of upkeep."""

from __future__ import annotations

from celery import Task, shared_task
from flask import current_app

from ops.runs import job as runs
from ops.runs import queue
from ops.runs.job import RunUnderwayError
from ops.runs.queue import BrokerAwayError
from ops.upkeep import files, job
from todo_app.database import transaction
from todo_app.tenancy import operations


@shared_task(name="ops.upkeep.tasks.work", bind=True)
def work(self: Task, run_id: int, run: str) -> str:
    """Work on a run of upkeep; `run` says what it is, for those who look on."""
    return queue.work_in_task(self, run_id)


@shared_task(name="ops.upkeep.tasks.sweep_files")
def sweep_files() -> str:
    """Delete the files of tenants that are gone, archives and all."""
    with operations():
        return f"files of {files.sweep_gone(current_app.config['SETTINGS'])} tenants deleted"


@shared_task(name="ops.upkeep.tasks.begin")
def begin() -> str:
    """Begin the upkeep of all tenants."""
    try:
        with operations(), transaction():
            run_id = job.start([], actor="beat")
            run = runs.look(run_id)
    except RunUnderwayError as error:
        return error.detail
    try:
        queue.wake(run)
    except BrokerAwayError as error:
        return f"run {run_id} ({run.title}) is planned: {error.detail}"
    return f"run {run_id} ({run.title}): {run.total} tenants"
