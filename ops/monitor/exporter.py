"""The metrics of a worker, served on a port of its own by a thread of its main process."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog
from celery import current_app as current_celery
from celery import signals
from flask import Flask
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ops.monitor.metrics import exposition, is_allowed, state
from todo_app.config import Settings

CLIENT_TIMEOUT_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Exporter(ThreadingHTTPServer):
    """Answers `GET /metrics`, and nothing else.

    Args:
        app: the application whose state it tells.
        address: host and port to listen on.
        token: what a caller must show; empty lets everybody in.

    Raises:
        OSError, OverflowError: it cannot listen there.
    """

    def __init__(self, app: Flask, address: tuple[str, int], token: str) -> None:
        super().__init__(address, _Handler)
        self.app = app
        self.token = token

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with one request; the next one is served all the same."""
        log.warning("metrics not sent", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: Exporter
    timeout = CLIENT_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND)
        elif self._may_read():
            with self.server.app.app_context():
                text = exposition(state())
            self._answer(HTTPStatus.OK, text, ("Content-Type", CONTENT_TYPE_PLAIN_0_0_4))
        else:
            self._answer(HTTPStatus.UNAUTHORIZED, b"", ("WWW-Authenticate", "Bearer"))

    def _may_read(self) -> bool:
        token = self.server.token
        return not token or is_allowed(self.headers.get("Authorization", ""), token)

    def _answer(self, status: HTTPStatus, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Say nothing of the versions of Python and its server."""
        return "todo"

    def log_message(self, format: str, *args: Any) -> None:
        """Log no scrapes."""


@signals.worker_ready.connect
def _start(**_: Any) -> None:
    """Serve the metrics, where a port is set. Work goes on without them if that fails."""
    app: Flask = current_celery.flask_app
    settings: Settings = app.config["SETTINGS"]
    if not settings.worker_metrics_port:
        return
    address = (settings.worker_metrics_address, settings.worker_metrics_port)
    try:
        server = Exporter(app, address, settings.metrics_token)
    except (OSError, OverflowError) as error:
        log.error("metrics are not served", address=address, error=str(error))
        return
    app.extensions["exporter"] = server
    threading.Thread(target=server.serve_forever, daemon=True).start()


@signals.worker_shutdown.connect
def _stop(**_: Any) -> None:
    app: Flask = current_celery.flask_app
    server: Exporter | None = app.extensions.pop("exporter", None)
    if server is not None:
        server.shutdown()
        server.server_close()
