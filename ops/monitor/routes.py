"""`/metrics` of the API: its requests, and the state of the installation."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ops.monitor.metrics import exposition, is_allowed, state
from todo_app import metrics as requests
from todo_app.config import Settings
from todo_app.errors import NotFoundError, UnauthenticatedError

metrics = Blueprint("metrics", __name__)


@metrics.get("/metrics")
def show() -> Response:
    """What Prometheus scrapes, for those who have METRICS_TOKEN; without one it is not there."""
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.metrics_token:
        raise NotFoundError("There is nothing at this address.")
    if not is_allowed(request.headers.get("Authorization", ""), settings.metrics_token):
        raise UnauthenticatedError
    text = exposition(requests.collector(), state())
    return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)
