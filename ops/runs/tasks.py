"""The Celery side of the ledger."""

from __future__ import annotations

from celery import shared_task

from ops.runs import job, queue
from ops.runs.claims import IDLE
from todo_app.tenancy import operations

EXPIRES = 60.0


@shared_task(name="ops.runs.tasks.wake_stalled")
def wake_stalled() -> str:
    """Wake workers for runs that nobody works on: their messages or their workers were lost."""
    with operations():
        runs = job.stalled(IDLE)
    for run in runs:
        queue.wake(run, expires=EXPIRES)
    return f"woken: {', '.join(f'run {run.id} ({run.title})' for run in runs) or 'no run'}"
