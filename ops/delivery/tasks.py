"""The Celery side of delivery."""

from __future__ import annotations

from celery import shared_task
from flask import current_app

from ops.delivery import job, notices, webhooks

RUNS_FOR_SECONDS = 60.0
NOTICES_RUN_FOR_SECONDS = 30.0
WEBHOOKS_RUN_FOR_SECONDS = 20.0
"""Shorter, for mails wait meanwhile where a worker does one thing at a time."""


@shared_task(name="ops.delivery.tasks.deliver")
def deliver() -> str:
    """Write mails of what tenants have to tell, and deliver what the outbox holds."""
    notices.send(NOTICES_RUN_FOR_SECONDS)
    delivered = job.deliver(current_app.config["SETTINGS"], RUNS_FOR_SECONDS)
    return f"{delivered} delivered"


@shared_task(name="ops.delivery.tasks.send_webhooks")
def send_webhooks() -> str:
    """Send what tenants have for webhooks."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    return f"{webhooks.send(app.app_context, WEBHOOKS_RUN_FOR_SECONDS)} attempts"
