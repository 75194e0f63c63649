"""What Celery's settings promise to the ledger, asked of a real worker and of every task."""

from __future__ import annotations

import subprocess

from celery import Celery
from flask import Flask

import celeryconfig

ROUTES = {
    "ops.upgrades.tasks.work": "upgrades",
    "ops.backups.tasks.any": "backups",
    "ops.upkeep.tasks.begin": "upkeep",
    "ops.delivery.tasks.deliver": "delivery",
    "ops.runs.tasks.wake_stalled": "default",
    "ops.monitor.tasks.sweep": "default",
}


def celery_of(app: Flask) -> Celery:
    celery: Celery = app.extensions["celery"]
    celery.loader.import_default_modules()
    return celery


def test_a_task_is_acknowledged_when_it_has_ended_and_has_a_time_limit(app: Flask) -> None:
    celery = celery_of(app)
    tasks = [task for name, task in celery.tasks.items() if name.startswith("ops.")]
    assert len(tasks) >= len(celeryconfig.beat_schedule)
    limit = celeryconfig.LONGEST_TASK.total_seconds()
    for task in tasks:
        assert task.acks_late, task.name
        assert task.reject_on_worker_lost, task.name
        assert task.acks_on_failure_or_timeout, task.name
        assert 0 < (task.time_limit or celery.conf.task_time_limit) <= limit, task.name
        assert task.send_events, task.name


def test_a_worker_does_as_it_is_told(app: Flask, worker: subprocess.Popen[bytes]) -> None:
    inspect = celery_of(app).control.inspect(timeout=10, limit=1)
    (stats,) = inspect.stats().values()
    assert stats["pool"]["implementation"].endswith("prefork:TaskPool")
    assert stats["pool"]["timeouts"] == [0, celeryconfig.LONGEST_TASK.total_seconds()]
    assert stats["prefetch_count"] == stats["pool"]["max-concurrency"]
    (queues,) = inspect.active_queues().values()
    expected = {"upgrades", "backups", "restores", "upkeep", "delivery", "default"}
    assert {queue["name"] for queue in queues} == expected
    (settings,) = inspect.conf().values()
    assert settings["worker_send_task_events"] is True
    assert settings["task_send_sent_event"] is True
    # On the way out, a worker gives what it cannot end in time back to the queue.
    assert settings["worker_soft_shutdown_timeout"] > 0
    assert settings["worker_enable_soft_shutdown_on_idle"] is True


def test_each_folder_of_tasks_has_its_queue(app: Flask) -> None:
    route = celery_of(app).amqp.router.route
    assert {name: route({}, name)["queue"].name for name in ROUTES} == ROUTES
