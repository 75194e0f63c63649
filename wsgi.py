"""Composition root: the web application and the Celery application."""

import os

import ops
from ops.local.environment import with_running
from todo_app import create_app
from todo_app.config import Settings

app = create_app(Settings.from_env(with_running(os.environ)))
celery_app = ops.init_app(app)
