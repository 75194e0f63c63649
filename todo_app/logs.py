"""Logs as JSON lines (or readable ones), each with the request or task that it belongs to."""

from __future__ import annotations

import logging
import re
import sys
import time
import uuid
from typing import Any

import orjson
import structlog
from flask import Flask, Response, g, request

from todo_app.config import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_SECRET_PATHS = ("/auth/verify/", "/auth/reset-password/", "/feeds/")
"""Paths whose last part is a secret, or somebody's address."""


def configure(settings: Settings) -> None:
    """Send everything, structlog's and the standard library's, to standard error in one format."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.log_format == "json":
        render: list[Any] = [
            structlog.processors.ExceptionRenderer(
                # Local variables hold passwords and tokens.
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    else:
        render = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)


def _to_json(value: Any, default: Any = None, **_: Any) -> str:
    return orjson.dumps(value, default=default or str).decode()


def init_app(app: Flask) -> None:
    """Give each request an id, send it back, and log one line when it has been answered."""
    # Bound once: a logger from `get_logger` is put together anew for each line.
    log = structlog.get_logger("request").bind()

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        g.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.get("request_id", "")
        path = request.path
        for prefix in _SECRET_PATHS:
            if path.startswith(prefix):
                path = prefix + "…"
        log.info(
            "request",
            method=request.method,
            path=path,
            status=response.status_code,
            tenant=g.get("tenant"),
            user=g.get("caller"),
            ms=round((time.perf_counter() - g.get("started", 0)) * 1000, 1),
        )
        return response
