"""The Celery side of the tenants' lifecycle."""

from __future__ import annotations

from celery import shared_task
from flask import current_app

from ops.tenants import job
from todo_app.config import Settings
from todo_app.tenancy import operations


@shared_task(name="ops.tenants.tasks.keep_spares")
def keep_spares() -> str:
    """Keep ready schemas for registrations."""
    settings: Settings = current_app.config["SETTINGS"]
    return f"{job.keep_spares(settings.spare_schemas)} spare schemas built"


@shared_task(name="ops.tenants.tasks.drop_deleting")
def drop_deleting() -> str:
    """Drop the schemas of tenants that an operator has deleted."""
    with operations():
        slugs = job.deleting()
    for slug in slugs:
        job.drop(slug)
    return f"dropped: {', '.join(slugs) or 'nobody'}"
