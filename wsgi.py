"""Composition root: the web application and the Celery application."""

import ops
from todo_app import create_app

app = create_app()
celery_app = ops.init_app(app)
