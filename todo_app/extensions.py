"""The Flask extensions that have no module of their own; `db` lives in `database`."""

from __future__ import annotations

from flask_limiter import Limiter
from flask_migrate import Migrate

from todo_app.origin import caller_network

migrate = Migrate(directory="migrations", compare_type=True, render_as_batch=False)

limiter = Limiter(
    key_func=caller_network,
    strategy="fixed-window",
    headers_enabled=False,
    swallow_errors=True,
    in_memory_fallback_enabled=True,
)
"""Counts in the broker; while that is away, in memory, so that sign-in goes on working. Its headers
are written in `limits`: its own tell a date where the standard has seconds."""
