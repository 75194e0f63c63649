"""Composition root: the web application and the Celery application."""

import gc
import os

# All that is made until the program stands stays for good, so looking through it for garbage again
# and again only delays every command; frozen, it is not copied into forked workers either.
gc.disable()

import ops  # noqa: E402
from ops.local.environment import with_running  # noqa: E402
from todo_app import create_app  # noqa: E402
from todo_app.config import Settings  # noqa: E402

app = create_app(Settings.from_env(with_running(os.environ)))
celery_app = ops.init_app(app)

gc.freeze()
gc.enable()
