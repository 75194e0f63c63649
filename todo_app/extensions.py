"""The Flask extensions that have no module of their own; `db` lives in `database`."""

from __future__ import annotations

from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_migrate import Migrate

migrate = Migrate(directory="migrations", compare_type=True, render_as_batch=False)

limiter = Limiter(
    key_func=get_remote_address,
    strategy="fixed-window",
    headers_enabled=True,
    swallow_errors=True,
    in_memory_fallback_enabled=True,
)
"""Counts in the broker; while that is away, in memory, so that sign-in goes on working."""
