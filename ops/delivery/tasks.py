"""The Celery side of delivery."""

from __future__ import annotations

from celery import shared_task
from flask import current_app

from ops.delivery import job

RUNS_FOR_SECONDS = 60.0


@shared_task(name="ops.delivery.tasks.deliver")
def deliver() -> str:
    """Deliver what the outbox holds."""
    delivered = job.deliver(current_app.config["SETTINGS"], RUNS_FOR_SECONDS)
    return f"{delivered} delivered"
