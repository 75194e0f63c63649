"""How many requests each route has answered, and how fast.

Under gunicorn each worker counts in a file of its own, which the others can read: a scrape shows
the requests of all of them, whichever answers it (see gunicorn.conf.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from http import HTTPMethod

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "todo_http_requests",
    "Requests answered, by the route's rule, method and status.",
    ["route", "method", "status"],
    registry=REGISTRY,
)
DURATION = Histogram(
    "todo_http_request_duration_seconds",
    "Time from a request's first hook to its answer, by the route's rule and method.",
    ["route", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)

NO_ROUTE = "none"
OTHER_METHOD = "other"
METHODS = frozenset(HTTPMethod)


def init_app(app: Flask) -> None:
    """Count each request once it has been answered."""
    found: dict[tuple[str, str, int], tuple[Callable[[], None], Callable[[float], None]]] = {}

    @app.after_request
    def count(response: Response) -> Response:
        # Never the path, nor a method that somebody made up: each would be a series of its own.
        rule = request.url_rule
        method = request.method
        key = (
            rule.rule if rule else NO_ROUTE,
            method if method in METHODS else OTHER_METHOD,
            response.status_code,
        )
        if key not in found:
            found[key] = (REQUESTS.labels(*key).inc, DURATION.labels(*key[:2]).observe)
        increment, observe = found[key]
        increment()
        observe(time.perf_counter() - g.started)
        return response


def collector() -> Collector:
    """What gives the counts: of all workers under gunicorn, else of this process."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if os.path.isdir(directory):
        return MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]
    return REGISTRY
