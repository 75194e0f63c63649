"""The state of the installation as Prometheus reads it.

Nothing is counted here: all is read from PostgreSQL and the broker when it is asked for, so a
restart loses nothing, and every process tells the same.
"""

from __future__ import annotations

import hmac
import math
import threading
import time
from collections.abc import Callable, Iterable

import redis
import sqlalchemy as sa
import structlog
from flask import current_app
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ops.monitor import queues, tables
from todo_app.config import ConfigError, Settings
from todo_app.errors import first_line

KEPT_SECONDS = 5.0
"""Scrapes within this time get the same answer: they cannot be used to load the database."""

AWAY = (sa.exc.SQLAlchemyError, redis.RedisError, ConfigError, ValueError)

log = structlog.get_logger(__name__)


class StateCollector:
    """Reads the state, one reader at a time, and keeps it for a few seconds.

    Args:
        settings: `redis_url`. The database is that of the current application.
    """

    def __init__(self, settings: Settings) -> None:
        self._parts: dict[str, Callable[[], list[Metric]]] = {
            "database": tables.read,
            "broker": lambda: queues.read(settings),
        }
        self._lock = threading.Lock()
        self._read_at = -math.inf
        self._metrics: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        """The metrics; a part that is away has none, and says so in `todo_up`."""
        with self._lock:
            if time.monotonic() - self._read_at >= KEPT_SECONDS:
                self._metrics = self._read()
                self._read_at = time.monotonic()
            return self._metrics

    def _read(self) -> list[Metric]:
        up = GaugeMetricFamily(
            "todo_up", "Whether a part could be asked for what is shown here.", labels=["part"]
        )
        metrics: list[Metric] = [up]
        for part, read in self._parts.items():
            try:
                metrics += read()
            except AWAY as error:
                log.warning("no metrics", part=part, error=first_line(error))
                up.add_metric([part], 0)
            else:
                up.add_metric([part], 1)
        return metrics


def state() -> StateCollector:
    """The collector of the current application."""
    collector: StateCollector = current_app.extensions.setdefault(
        "metrics", StateCollector(current_app.config["SETTINGS"])
    )
    return collector


def exposition(*collectors: Collector) -> bytes:
    """Prometheus' text format of what these collectors give."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)


def is_allowed(authorization: str, token: str) -> bool:
    """Whether an Authorization header shows the token, compared in constant time."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode(), token.encode()
    )
