"""Housekeeping of the control plane."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from flask import current_app

from ops import schedule
from ops.delivery import job as delivery
from ops.monitor import drift
from ops.runs import job as runs
from todo_app.config import Settings
from todo_app.database import transaction
from todo_app.tenancy import operations


@shared_task(name="ops.monitor.tasks.check")
def check() -> str:
    """Compare all tenants with what their revision makes; what differs is kept for operators."""
    return drift.check_all(current_app.config["SETTINGS"]).summary


@shared_task(name="ops.monitor.tasks.sweep")
def sweep() -> str:
    """Delete records of what was fired, delivered and run long ago."""
    settings: Settings = current_app.config["SETTINGS"]
    with operations(), transaction():
        return (
            f"{schedule.sweep()} firings, {delivery.sweep()} messages and "
            f"{runs.sweep(timedelta(days=settings.keep_runs_days))} runs deleted"
        )
