"""Errors that a client may see, and the one place that renders them.

Rules raise an `AppError`; nothing else in the program builds an error answer. The shape is that of
RFC 9457, `application/problem+json`. What is not an `AppError` or an HTTP error of the framework
becomes a plain 500 (or 503 when the database is away): its text goes to the log, never to a client.

Titles are in the language of the user, or of the request; `detail` is English, as are all texts
that developers look for in documents and logs.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar

import orjson
import structlog
from flask import Flask, Response, g, request
from sqlalchemy import exc as sa_exc
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException

from todo_app.languages import negotiate, translate

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
BAD_TEXT_STATES = ("22021", "22P05")
"""SQLSTATE of text that PostgreSQL cannot store, such as a null byte."""

log = structlog.get_logger(__name__)


class AppError(Exception):
    """Base of the errors that a client is told about.

    Args:
        detail: one sentence for the person who reads the answer; the class's own when left out.
        errors: by location and field, what is wrong with the input.
        headers: further headers of the answer.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad-request"
    detail: str = "The request cannot be served."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.detail)
        self.detail = detail or self.detail
        self.errors = errors
        self.headers = headers or {}


class UnauthenticatedError(AppError):
    """No token, or one that is unknown, expired or revoked: the answer is the same for all."""

    status = 401
    code = "unauthenticated"
    detail = "A valid bearer token is needed."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class ForbiddenError(AppError):
    """The caller is known and may not do this."""

    status = 403
    code = "forbidden"
    detail = "You are not allowed to do this."


class NotFoundError(AppError):
    """There is no such thing, or it belongs to another tenant."""

    status = 404
    code = "not-found"
    detail = "There is no such resource."


class ConflictError(AppError):
    """The request contradicts what is stored."""

    status = 409
    code = "conflict"
    detail = "The request contradicts the current state."


class PreconditionFailedError(AppError):
    """The resource has changed since the client read it."""

    status = 412
    code = "precondition-failed"
    detail = "The resource has changed; read it again and repeat the change."


class InvalidInputError(AppError):
    """Input of the right form that breaks a rule."""

    status = 422
    code = "invalid-input"
    detail = "Some values are not acceptable."


class UnavailableError(AppError):
    """Something that the answer needs is away for now."""

    status = 503
    code = "unavailable"
    detail = "The service is not available for the moment; try again."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def first_line(error: BaseException) -> str:
    """The first line of an error's text, as the database or library worded it.

    Of an error about a value (SQLSTATE class 22) only the kind: its text repeats the value, which
    may be a person's.
    """
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "pgcode", None) or ""
    if code.startswith("22"):
        return f"{type(cause).__name__} (SQLSTATE {code})"
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]


def problem(
    status: int,
    code: str,
    detail: str,
    errors: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An answer of type `application/problem+json` for one error."""
    phrase, language = HTTPStatus(status).phrase, _language()
    body: dict[str, Any] = {
        "type": f"urn:todo:problem:{code}",
        "title": translate(phrase, language),
        "status": status,
        "detail": detail,
        "request_id": g.get("request_id", ""),
    }
    if errors:
        body["errors"] = errors
    answer = Response(
        orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS),
        status=status,
        content_type=PROBLEM_TYPE,
        headers=headers,
    )
    if body["title"] != phrase:
        answer.content_language.add(language)
    return answer


def _language() -> str:
    """That of the signed-in user, else the one that the request prefers."""
    user = g.get("user")
    return user.language if user else negotiate(request.headers.get("Accept-Language"))


def _render_app_error(error: AppError) -> Response:
    return problem(error.status, error.code, error.detail, error.errors, error.headers)


def _render_http_error(error: HTTPException) -> Response:
    """An error of Flask, Werkzeug or webargs, in the same shape."""
    status = error.code or 500
    data = getattr(error, "data", None) or {}
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() in ("allow", "retry-after", "location", "www-authenticate")
    }
    code = HTTPStatus(status).name.lower().replace("_", "-")
    if status == 422:
        code = InvalidInputError.code
    detail = {
        404: "There is nothing at this address.",
        413: "The request body is too large.",
        422: InvalidInputError.detail,
        429: "Too many requests; wait and try again.",
    }.get(status, error.description or HTTPStatus(status).phrase)
    return problem(status, code, detail, data.get("messages"), headers)


def _render_database_error(error: sa_exc.DBAPIError) -> Response:
    state = getattr(error.orig, "pgcode", None)
    if state in BAD_TEXT_STATES:
        return _render_app_error(InvalidInputError("A text has characters that cannot be stored."))
    # The database is away, or gave up this transaction (deadlock, timeout): try again.
    if error.connection_invalidated or isinstance(error, sa_exc.OperationalError):
        log.warning("database error", error=type(error.orig).__name__, sqlstate=state)
        return _render_app_error(UnavailableError())
    return _render_unexpected(error)


def _render_unexpected(error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return problem(500, "internal", "Something went wrong here; the log has the request id.")


def init_app(app: Flask) -> None:
    """Register the renderers."""
    app.register_error_handler(AppError, _render_app_error)
    app.register_error_handler(HTTPException, _render_http_error)
    app.register_error_handler(sa_exc.DBAPIError, _render_database_error)
    app.register_error_handler(
        sa_exc.TimeoutError, lambda _: _render_app_error(UnavailableError("Too busy; try again."))
    )
    app.register_error_handler(
        StaleDataError, lambda _: _render_app_error(PreconditionFailedError())
    )
    app.register_error_handler(Exception, _render_unexpected)


def as_problem(error: AppError | None) -> Any:
    """The problem document of an error that is a part of an answer; None for none."""
    return error and problem(error.status, error.code, error.detail, error.errors).get_json()
