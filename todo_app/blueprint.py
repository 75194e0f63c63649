"""The one kind of blueprint that the API uses: flask-smorest's, with a guard for every route.

`route()` needs a guard, documents the errors that the guard and the method can answer, and gives
POST its Idempotency-Key. `response()` renders a row or page, with an ETag where the row has a
version.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Protocol

import flask_smorest
import marshmallow as ma
import orjson
from flask import Response, g, request
from flask.typing import ResponseReturnValue
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.http import quote_etag

from todo_app.auth import Guard
from todo_app.errors import PROBLEM_TYPE
from todo_app.examples import path_parameters
from todo_app.idempotency import KEY_PARAMETER, idempotent
from todo_app.schemas import ProblemSchema

View = Callable[..., Any]

PROBLEM = ProblemSchema()


class Received(Protocol):
    """A body that has been read."""

    sha256: str


Receiver = Callable[..., AbstractContextManager[Received]]

MAX_VERSION_DIGITS = 10
"""Versions are numbers of 32 bits; Python refuses to read endless ones."""

TENANT_PARAMETER = {
    "name": "tenant",
    "in": "header",
    "required": False,
    "description": "Slug of the tenant. May be left out where the token or host name tells it.",
    "schema": {"type": "string"},
    "example": "acme",
}

IF_MATCH_PARAMETER = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "ETag of the version that the change starts from; another version answers 412.",
    "schema": {"type": "string"},
    "example": '"1-8c736521"',
}


class Parser(FlaskParser):
    """Reads arguments; every field that no schema names is an error, wherever it stands."""

    DEFAULT_UNKNOWN_BY_LOCATION = {  # noqa: RUF012 (declared so by webargs)
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": ma.RAISE,
    }

    def load_json(self, req: Any, schema: Any) -> Any:
        """The JSON body.

        Raises:
            UnsupportedMediaType: there is a body that does not say that it is JSON.
            BadRequest: it cannot be read.
        """
        if not req.is_json and (req.content_length or "Transfer-Encoding" in req.headers):
            raise UnsupportedMediaType("The body must be application/json.")
        body = req.get_data()
        try:
            return orjson.loads(body) if body else ma.missing
        except orjson.JSONDecodeError:
            raise BadRequest("The body is not valid JSON.") from None


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A flask-smorest blueprint whose routes are guarded and whose errors are documented."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(_add_header_parameters)

    def route(
        self,
        rule: str,
        *,
        guard: Guard,
        methods: Sequence[str] = ("GET",),
        keeps_answer: bool | None = None,
        versioned: bool | None = None,
        max_body_bytes: int | None = None,
        receive: Receiver | None = None,
        **options: Any,
    ) -> Callable[[View], View]:
        """Register a view.

        Args:
            rule: path below the blueprint's prefix.
            guard: who may call it; there is no default.
            methods: HTTP methods, as Flask takes them.
            keeps_answer: whether Idempotency-Key is obeyed; by default for POST with a token.
            versioned: whether If-Match is; by default for PATCH and DELETE.
            max_body_bytes: largest body, where it may be larger than others.
            receive: reads a body that is too long for memory, ahead of every transaction. It is
                called with the arguments of the path, and the view gets what it yields as `body`.
            options: further options of Flask and flask-smorest.
        """

        if keeps_answer is None:
            keeps_answer = "POST" in methods and bool(guard.security)
        if versioned is None:
            versioned = bool({"PATCH", "DELETE"} & set(methods))

        def decorator(view: View) -> View:
            outer = idempotent(view) if keeps_answer else _copy(view)
            if receive is not None:
                outer = _receiving(outer, receive)
            if max_body_bytes is not None:
                outer = _with_room(outer, max_body_bytes)
            outer.guard = guard  # type: ignore[attr-defined]
            errors = _errors(guard, methods, rule)
            parameters = [TENANT_PARAMETER] if guard.needs_tenant else []
            if keeps_answer:
                parameters.append(KEY_PARAMETER)
            if versioned:
                parameters.append(IF_MATCH_PARAMETER)
                errors.add(412)
            _document(outer, guard, errors, parameters)
            options.setdefault("parameters", path_parameters(rule))
            self.add_url_rule(rule, view.__name__, outer, methods=list(methods), **options)
            return view

        return decorator

    def arguments(
        self, schema: type[ma.Schema], *, location: str = "json", **kwargs: Any
    ) -> Callable[[View], View]:
        """Read the arguments of the view with `schema`, made once and not for each request."""
        decorator: Callable[[View], View] = super().arguments(schema(), location=location, **kwargs)
        return decorator

    def response(
        self, status_code: int, schema: type[ma.Schema] | None = None, **kwargs: Any
    ) -> Callable[[View], View]:
        """Render what the view returns with `schema`, and document it.

        A result with a `version` gets it as its ETag, and a matching If-None-Match answers 304.
        """
        serialize = schema().dump if schema else None
        document = super().response(status_code, schema, **kwargs)

        def decorator(view: View) -> View:
            @wraps(view)
            def wrapper(*args: Any, **kw: Any) -> ResponseReturnValue:
                result = view(*args, **kw)
                if isinstance(result, Response):
                    return result
                if serialize is None:
                    return Response(status=status_code)
                answer = Response(
                    orjson.dumps(serialize(result)),
                    status=status_code,
                    mimetype="application/json",
                )
                version = getattr(result, "version", None)
                if version is not None:
                    answer.headers["ETag"] = etag_of(version, answer.get_data())
                    if "If-None-Match" in request.headers:
                        answer.make_conditional(request)
                return answer

            wrapper._apidoc = document(view)._apidoc  # type: ignore[attr-defined]
            return wrapper

        return decorator


def etag_of(version: int, body: bytes) -> str:
    """The ETag of a row: its version, which If-Match compares, and a checksum of what is shown.

    The checksum stands for what the answer shows of other rows, such as the title of a task's list.
    """
    return quote_etag(f"{version}-{zlib.crc32(body):08x}")


def expected_versions() -> frozenset[int] | None:
    """The versions of which an If-Match header asks for one; None where any will do.

    A weak tag, or one that is not of ours, matches nothing.
    """
    if "If-Match" not in request.headers:
        return None
    tags = request.if_match
    if tags.star_tag:
        return None
    versions = (tag.partition("-")[0] for tag in tags.as_set() if tag)
    return frozenset(
        int(version)
        for version in versions
        if version.isascii() and version.isdigit() and len(version) <= MAX_VERSION_DIGITS
    )


def _add_header_parameters(
    doc: dict[str, Any], doc_info: dict[str, Any], **_: Any
) -> dict[str, Any]:
    parameters = doc_info.get("header_parameters")
    if parameters:
        doc["parameters"] = [*doc.get("parameters", []), *parameters]
    return doc


def _copy(view: View) -> View:
    @wraps(view)
    def wrapper(**kwargs: Any) -> Any:
        return view(**kwargs)

    return wrapper


def _with_room(view: View, max_body_bytes: int) -> View:
    @wraps(view)
    def wrapper(**kwargs: Any) -> Any:
        request.max_content_length = max_body_bytes
        return view(**kwargs)

    return wrapper


def _receiving(view: View, receive: Receiver) -> View:
    @wraps(view)
    def wrapper(**kwargs: Any) -> Any:
        with receive(**kwargs) as body:
            # By which `idempotent` tells it from others.
            g.body_digest = body.sha256
            return view(**kwargs, body=body)

    return wrapper


def _errors(guard: Guard, methods: Sequence[str], rule: str) -> set[int]:
    """The errors that any route of this kind can answer."""
    errors = {400, 429, 500, 503}
    if guard.security:
        errors |= {401, 403}
    if guard.needs_tenant:
        errors |= {403, 404}
    if "<" in rule:
        errors.add(404)
    if set(methods) - {"GET"}:
        errors.add(409)
    if {"POST", "PUT", "PATCH"} & set(methods):
        errors |= {413, 415, 422}
    return errors


def _document(view: Any, guard: Guard, errors: set[int], parameters: list[dict[str, Any]]) -> None:
    """Write down for OpenAPI what a route asks for and which errors it gives."""
    apidoc = dict(getattr(view, "_apidoc", {}))
    if "arguments" in apidoc:
        errors = errors | {422}
        apidoc["arguments"] = {**apidoc["arguments"], "responses": {}}
    responses = apidoc.setdefault("response", {}).setdefault("responses", {})
    for status in sorted(errors - set(responses)):
        responses[status] = [
            {
                "schema": PROBLEM,
                "description": ERROR_TEXTS[status],
                "content_type": PROBLEM_TYPE,
            }
        ]
    # Programs that make clients call their functions so.
    about: dict[str, Any] = {"operationId": view.__name__, "security": guard.security}
    permission = getattr(guard, "permission", None)
    if permission:
        about["x-permission"] = permission
    if getattr(guard, "fresh", False):
        about["x-step-up"] = True
    apidoc["manual_doc"] = {**apidoc.get("manual_doc", {}), **about}
    apidoc["header_parameters"] = parameters
    view._apidoc = apidoc


ERROR_TEXTS = {
    400: "The request cannot be read, or names no tenant.",
    401: "There is no valid token.",
    403: "The caller may not do this, or the tenant is not active.",
    404: "There is no such resource in this tenant.",
    409: "The request contradicts what is stored.",
    412: "The resource has changed since it was read.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "Some values are not acceptable; `errors` names them.",
    429: "Too many requests.",
    500: "Something went wrong in the service.",
    503: "The service, or this tenant, is not available for the moment.",
}
