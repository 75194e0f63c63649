"""The Celery application and the class of all its tasks."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Celery, Task
from flask import Flask

from todo_app.config import Settings


class OpsTask(Task):  # type: ignore[misc]
    """A task that runs inside the application's context, with its id on every log line."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task."""
        flask_app: Flask = self.app.flask_app
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(task=self.name, task_id=self.request.id)
        with flask_app.app_context():
            return self.run(*args, **kwargs)


def make_celery(app: Flask) -> Celery:
    """The Celery application of `app`, configured by `celeryconfig.py`."""
    settings: Settings = app.config["SETTINGS"]
    celery = Celery(app.import_name, task_cls=OpsTask)
    celery.config_from_object("celeryconfig")
    celery.conf.update(broker_url=settings.redis_url, result_backend=settings.redis_url)
    celery.flask_app = app
    celery.set_default()
    return celery
