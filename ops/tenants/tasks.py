"""The Celery side of the tenants' lifecycle."""

from __future__ import annotations

import structlog
from celery import shared_task
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from ops.tenants import job
from todo_app.config import Settings
from todo_app.errors import AppError, first_line
from todo_app.tenancy import operations

log = structlog.get_logger(__name__)


@shared_task(name="ops.tenants.tasks.keep_spares")
def keep_spares() -> str:
    """Keep ready schemas for registrations."""
    settings: Settings = current_app.config["SETTINGS"]
    return f"{job.keep_spares(settings.spare_schemas)} spare schemas built"


@shared_task(name="ops.tenants.tasks.drop_deleting")
def drop_deleting() -> str:
    """Drop the schemas of tenants that an operator has deleted."""
    with operations():
        waiting = job.deleting()
    failed = []
    for schema_name in waiting:
        try:
            job.drop(schema_name)
        except (AppError, SQLAlchemyError) as error:
            log.error("tenant not dropped", tenant=schema_name, error=first_line(error))
            failed.append(schema_name)
    if failed:
        raise RuntimeError(f"not dropped: {', '.join(failed)}; the log says why")
    return f"dropped: {', '.join(waiting) or 'nobody'}"
