"""A scheduled job fires once for each slot, whatever the number of beats."""

from __future__ import annotations

import importlib
import secrets
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from celery.schedules import crontab, schedule
from flask import Flask

import celeryconfig
from ops.schedule import JOB_HEADER, KEPT_FOR, SLOT_HEADER, Firing, slot, sweep, take
from todo_app.database import db, transaction
from todo_app.tenancy import operations

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("plan", "now", "expected"),
    [
        (schedule(timedelta(seconds=5)), NOON + timedelta(seconds=4.9), NOON),
        (schedule(timedelta(seconds=5)), NOON + timedelta(seconds=5), NOON + timedelta(seconds=5)),
        (schedule(timedelta(hours=1)), NOON + timedelta(minutes=59), NOON),
        (crontab(hour="12", minute="0"), NOON + timedelta(seconds=59), NOON),
    ],
)
def test_beats_that_run_at_nearly_the_same_time_mean_the_same_slot(
    plan: object, now: datetime, expected: datetime
) -> None:
    assert slot(plan, now) == expected


def test_a_slot_is_taken_once_but_its_own_task_may_come_again(app: Flask) -> None:
    job = secrets.token_hex(4)
    with app.app_context(), operations(), transaction():
        assert take(job, NOON, "first") is True
        assert take(job, NOON, "second") is False
        assert take(job, NOON, "first") is True
        assert take(job, NOON + timedelta(seconds=5), "second") is True


def test_a_task_of_a_taken_slot_does_nothing(app: Flask) -> None:
    celery = app.extensions["celery"]
    celery.loader.import_default_modules()
    task = celery.tasks["ops.tenants.tasks.drop_deleting"]
    headers = {JOB_HEADER: secrets.token_hex(4), SLOT_HEADER: NOON.isoformat()}
    results = []
    for task_id in ("first", "second"):
        task.push_request(id=task_id, headers=headers)
        try:
            results.append(task())
        finally:
            task.pop_request()
    assert results[0].startswith("dropped")
    assert results[1] == "another beat has fired this already"


def test_old_firings_are_swept(app: Flask) -> None:
    job = secrets.token_hex(4)
    with app.app_context(), operations(), transaction():
        take(job, datetime.now(UTC) - 2 * KEPT_FOR, "old")
        take(job, datetime.now(UTC), "new")
        sweep()
        kept = db.session.scalars(sa.select(Firing.task_id).where(Firing.job == job)).all()
    assert kept == ["new"]


def test_the_schedule_names_tasks_that_exist(app: Flask) -> None:
    celery = app.extensions["celery"]
    celery.loader.import_default_modules()
    for entry in celeryconfig.beat_schedule.values():
        assert entry["task"] in celery.tasks


def test_every_task_has_a_queue_that_a_worker_takes_from(app: Flask) -> None:
    names = {queue.name for queue in celeryconfig.task_queues}
    assert names == {"upgrades", "backups", "restores", "upkeep", "delivery", "default"}
    assert {route["queue"] for route in celeryconfig.task_routes.values()} <= names


def test_no_message_becomes_visible_again_while_its_task_runs() -> None:
    config = importlib.reload(celeryconfig)
    timeouts = {
        config.visibility_timeout,
        config.broker_transport_options["visibility_timeout"],
        config.result_backend_transport_options["visibility_timeout"],
    }
    assert len(timeouts) == 1
    assert timeouts.pop() > config.task_time_limit
