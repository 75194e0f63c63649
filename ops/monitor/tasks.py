"""Housekeeping of the control plane."""

from __future__ import annotations

from celery import shared_task

from ops import schedule
from ops.delivery import job as delivery
from todo_app.database import transaction
from todo_app.tenancy import operations


@shared_task(name="ops.monitor.tasks.sweep")
def sweep() -> str:
    """Delete records of what was fired and delivered long ago."""
    with operations(), transaction():
        return f"{schedule.sweep()} firings and {delivery.sweep()} messages deleted"
