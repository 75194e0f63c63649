"""The Celery side of upgrades."""

from __future__ import annotations

from celery import Task, shared_task

from ops.runs import queue
from ops.upgrades import plan


@shared_task(name="ops.upgrades.tasks.work", bind=True)
def work(self: Task, run_id: int, run: str) -> str:
    """Work on a run of an upgrade or downgrade; `run` says what it is, for those who look on."""
    return queue.work_in_task(self, run_id)


@shared_task(name="ops.upgrades.tasks.reconcile")
def reconcile() -> str:
    """Put the catalogue's copy of every revision right."""
    corrections = [correction.text for correction in plan.reconcile()]
    return "; ".join(corrections) or "the catalogue is right"
