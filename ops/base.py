"""The Celery application and the class of all its tasks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from celery import Celery, Task, signals
from celery import current_app as current_celery
from flask import Flask

from ops import broker
from ops.schedule import JOB_HEADER, SLOT_HEADER, take
from todo_app.config import Settings
from todo_app.database import db, transaction
from todo_app.tenancy import operations


class OpsTask(Task):  # type: ignore[misc]
    """A task that runs inside the application's context, with its id on every log line.

    A task that beat has sent runs only if this message is the first one of its slot.
    """

    abstract = True
    # Celery would cut what operators read in Flower in the middle of the tenants' names.
    resultrepr_maxsize = 16_384

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task."""
        flask_app: Flask = self.app.flask_app
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(task=self.name, task_id=self.request.id)
        with flask_app.app_context():
            if not self._is_ours():
                return "another beat has fired this already"
            return self.run(*args, **kwargs)

    def _is_ours(self) -> bool:
        headers = self.request.headers or {}
        job = headers.get(JOB_HEADER)
        if job is None:
            return True
        scheduled_for = datetime.fromisoformat(headers[SLOT_HEADER])
        with operations(), transaction():
            return take(job, scheduled_for, self.request.id)


def make_celery(app: Flask) -> Celery:
    """The Celery application of `app`, configured by `celeryconfig.py`."""
    settings: Settings = app.config["SETTINGS"]
    broker.install()
    celery = Celery(app.import_name, task_cls=OpsTask)
    celery.config_from_object("celeryconfig")
    celery.conf.update(broker_url=settings.redis_url, result_backend=settings.redis_url)
    celery.flask_app = app
    celery.set_default()
    return celery


@signals.worker_process_init.connect
def _forget_connections(**_: Any) -> None:
    """Give each worker process connections of its own: a socket must not be shared by a fork."""
    with current_celery.flask_app.app_context():
        for engine in db.engines.values():
            engine.dispose(close=False)
