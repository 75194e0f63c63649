"""The Celery side of upgrades."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from ops.upgrades import job


@shared_task(name="ops.upgrades.tasks.move")
def move(tenants: list[str], target: str, downgrade: bool = False) -> list[dict[str, Any]]:
    """Bring a batch of tenants, by schema name, to a revision; tells the outcome of each."""
    return [job.move(name, target, downgrade=downgrade)._asdict() for name in tenants]
