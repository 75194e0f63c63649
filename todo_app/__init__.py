"""The API: a TODO backend in which every company has a PostgreSQL schema of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import orjson
from flask import Flask, Response, request
from flask.json.provider import JSONProvider
from flask_cors import CORS
from flask_swagger_ui import get_swaggerui_blueprint
from werkzeug.middleware.proxy_fix import ProxyFix

from todo_app import auth, database, errors, histories, limits, logs, metrics
from todo_app.accounts import routes as accounts
from todo_app.activity import routes as activity
from todo_app.audit import routes as audit
from todo_app.bulk import routes as bulk
from todo_app.comments import routes as comments
from todo_app.config import Settings
from todo_app.database import db
from todo_app.errors import AppError
from todo_app.extensions import migrate
from todo_app.feeds import routes as feeds
from todo_app.fields import routes as fields
from todo_app.files import routes as files
from todo_app.filters import routes as filters
from todo_app.groups import routes as groups
from todo_app.health import health
from todo_app.invitations import routes as invitations
from todo_app.line import Line, reading_aside
from todo_app.lists import routes as lists
from todo_app.openapi import Api
from todo_app.permissions import routes as permissions
from todo_app.registration import routes as registration
from todo_app.relations import routes as relations
from todo_app.reminders import routes as reminders
from todo_app.sections import routes as sections
from todo_app.sessions import routes as sessions
from todo_app.settings import routes as settings_
from todo_app.shares import routes as shares
from todo_app.statistics import routes as statistics
from todo_app.sync import routes as sync
from todo_app.tags import routes as tags
from todo_app.time_entries import routes as time_entries
from todo_app.todos import routes as todos
from todo_app.transfer import routes as transfer
from todo_app.trash import routes as trash
from todo_app.two_factor import routes as two_factor
from todo_app.webhooks import routes as webhooks

VERSION = "0.1.0"

BLUEPRINTS = (
    registration.registration,
    invitations.invitations,
    sessions.sessions,
    sessions.tokens,
    two_factor.two_factor,
    two_factor.others,
    accounts.users,
    permissions.permissions,
    groups.groups,
    transfer.users,
    transfer.lists,
    transfer.tasks,
    settings_.settings,
    audit.audit,
    lists.lists,
    sections.sections,
    shares.shares,
    fields.fields,
    tags.tags,
    todos.tasks,
    bulk.bulk,
    relations.relations,
    time_entries.time_entries,
    time_entries.own_time,
    files.attachments,
    files.files,
    trash.trash,
    comments.comments,
    reminders.reminders,
    filters.filters,
    activity.activity,
    activity.task_activity,
    statistics.statistics,
    sync.sync,
    feeds.feeds,
    webhooks.webhooks,
)

SECURITY_SCHEMES = {
    "bearer": "A session's token, or an API token with the scope that is named; `admin` includes "
    "all others.",
    "session": "A session's token; no API token will do.",
}

EXPOSED_HEADERS = [
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Language",
    "Content-Range",
    "ETag",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
]
"""What programs in browsers may read, where an origin is allowed."""

SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
]
API_HEADERS = [
    *SECURITY_HEADERS,
    (
        "Content-Security-Policy",
        "default-src 'none'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-store"),
]
DOCUMENTATION_HEADERS = [
    *SECURITY_HEADERS,
    # Swagger UI starts itself from a script inside its page.
    (
        "Content-Security-Policy",
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        "script-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'",
    ),
]


class App(Flask):
    """Flask, told that no view is a coroutine: it would ask each hook and view at each request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Leave `func` as it is."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """Put the application together.

    Args:
        settings: left out, they are read from the environment.

    Raises:
        ConfigError: a setting has a value that cannot be used.
    """
    settings = settings or Settings.from_env(os.environ)
    app = App(__name__, static_folder=None)
    configure(app, settings)
    logs.configure(settings)
    database.init_app(app, settings)
    migrate.init_app(app, db, directory=str(histories.DIRECTORY))
    logs.init_app(app)
    metrics.init_app(app)
    init_request_checks(app)
    limits.init_app(app)
    auth.init_app(app)
    limits.count_tenants(app)
    register_blueprints(app, settings)
    init_headers(app, settings)
    trust_proxies(app, settings)
    inner = reading_aside(app.wsgi_app)
    app.wsgi_app = Line(inner, settings.pool_size)  # type: ignore[method-assign]
    return app


def configure(app: Flask, settings: Settings) -> None:
    """Take over the settings, and what Flask and its extensions want to know."""
    app.json = OrjsonProvider(app)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.config.update(
        SETTINGS=settings,
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        RATELIMIT_ENABLED=bool(settings.auth_rate_limit),
        RATELIMIT_STORAGE_URI=settings.redis_url or "memory://",
        RATELIMIT_STORAGE_OPTIONS=(
            {"socket_connect_timeout": 1, "socket_timeout": 1} if settings.redis_url else {}
        ),
        API_TITLE="TODO backend",
        API_VERSION=VERSION,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
    )


class OrjsonProvider(JSONProvider):
    """JSON by orjson: strict, and several times faster than the standard library."""

    def dumps(self, obj: object, **_: object) -> str:
        """Serialize to text."""
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **_: object) -> object:
        """Parse text or bytes."""
        return orjson.loads(s)

    def response(self, *args: object, **kwargs: object) -> Response:
        """An answer of type application/json."""
        body = orjson.dumps(self._prepare_response_obj(args, kwargs))
        return Response(body, mimetype="application/json")


class NullByteError(AppError):
    """A null byte stands in the address, which nothing here could store or find."""

    detail = "The address has a null byte."


def init_request_checks(app: Flask) -> None:
    """Refuse what no view could use."""

    @app.before_request
    def refuse_null_bytes() -> None:
        if "\x00" in request.path or b"%00" in request.query_string:
            raise NullByteError


def register_blueprints(app: Flask, settings: Settings) -> None:
    """Register the API's routes, its documentation, and the health checks."""
    api = Api(app)
    app.extensions["api"] = api
    # flask-smorest brings a renderer of its own; `errors` is the only one here.
    errors.init_app(app)
    for name, description in SECURITY_SCHEMES.items():
        api.add_token_kind(name, description)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    app.register_blueprint(health)
    app.register_blueprint(
        get_swaggerui_blueprint("/docs", "/openapi.json", config={"app_name": "TODO backend"})
    )


def trust_proxies(app: Flask, settings: Settings) -> None:
    """Take a client's address, scheme and host name from the proxies that are known to be there."""
    if settings.trusted_proxies:
        number = settings.trusted_proxies
        fix = ProxyFix(app.wsgi_app, x_for=number, x_proto=number, x_host=number)
        app.wsgi_app = fix  # type: ignore[method-assign]


def init_headers(app: Flask, settings: Settings) -> None:
    """Security headers for every answer, and CORS for the origins that are allowed."""
    if settings.cors_origins:
        CORS(app, origins=list(settings.cors_origins), expose_headers=EXPOSED_HEADERS)

    @app.after_request
    def add_headers(response: Response) -> Response:
        is_page = request.path.startswith("/docs")
        for name, value in DOCUMENTATION_HEADERS if is_page else API_HEADERS:
            # A view may know better, as of a file that is sent.
            response.headers.setdefault(name, value)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        return response
