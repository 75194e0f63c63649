"""From a bearer token to the current user, and who may call which route.

A token reads `<schema name>.<secret>`: the first part chooses the tenant, the second is stored
there as a SHA-256 digest only. Every route has a guard; `before_request` runs it before the view
and before any input is parsed, so 401 and 403 come ahead of 422.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any, Protocol, cast

from flask import Flask, current_app, g, request

from todo_app.database import set_scope
from todo_app.errors import ForbiddenError, UnauthenticatedError
from todo_app.tenancy import (
    ControlPlane,
    CurrentUser,
    TenantNotFoundError,
    TenantNotGivenError,
    Token,
    choose_tenant,
    current_tenant,
)

BEARER: list[dict[str, list[str]]] = [{"bearer": []}]
"""OpenAPI's way to say that an operation takes a bearer token."""

_TOKEN = re.compile(r"(t_[a-z0-9_]{1,61})\.([A-Za-z0-9_-]{43})", re.ASCII)


class Guard(Protocol):
    """Lets a request through to its view, or raises an `AppError`."""

    security: list[dict[str, list[str]]]
    """What OpenAPI says that the caller must show."""
    needs_tenant: bool
    """Whether the tenant may have to be named in a header."""

    def __call__(self) -> None:
        """Check the current request and set its scope."""


def new_secret() -> str:
    """A fresh random secret of 256 bits, in 43 URL-safe characters."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of a secret.

    A secret has 256 random bits, so a fast hash is enough: there is nothing to guess.
    """
    return hashlib.sha256(secret.encode()).digest()


def parse_token(text: str) -> Token | None:
    """Split a token; None if it cannot be one."""
    match = _TOKEN.fullmatch(text)
    return Token(match[1], digest(match[2])) if match else None


def bearer_token() -> str:
    """The bearer token of the current request.

    Raises:
        UnauthenticatedError: there is none.
    """
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value:
        raise UnauthenticatedError
    return value.strip()


class Public:
    """Anyone; the view works in the control plane or chooses a scope itself."""

    security: list[dict[str, list[str]]] = []  # noqa: RUF012 (never changed)
    needs_tenant = False

    def __call__(self) -> None:
        """Let everybody in."""
        set_scope(ControlPlane())


class InTenant:
    """Anyone who names a tenant."""

    security: list[dict[str, list[str]]] = []  # noqa: RUF012 (never changed)
    needs_tenant = True

    def __call__(self) -> None:
        """Enter the tenant of the header or host name."""
        scope = choose_tenant(request, token=None)
        if scope is None:
            raise TenantNotGivenError
        set_scope(scope)


class SignedIn:
    """A signed-in user, whose role has `permission` where one is named."""

    security = BEARER
    needs_tenant = True

    def __init__(self, permission: str | None = None) -> None:
        self.permission = permission

    def __call__(self) -> None:
        """Enter the tenant of the token and find its user."""
        token = parse_token(bearer_token())
        if token is None:
            raise UnauthenticatedError
        scope = choose_tenant(request, token)
        assert scope is not None  # noqa: S101 (a token always names a tenant)
        set_scope(scope)
        try:
            current_tenant()
        except TenantNotFoundError:
            raise UnauthenticatedError from None
        user = scope.user
        if user is None:
            raise UnauthenticatedError
        g.user = user
        g.caller = str(user.uuid)
        if self.permission and self.permission not in user.permissions:
            raise ForbiddenError(f"Your role lacks the permission {self.permission}.")


def current_user() -> CurrentUser:
    """The user of the current request, which a `SignedIn` guard has found."""
    return cast(CurrentUser, g.user)


def guard_of(endpoint: str | None) -> Guard | None:
    """The guard of an endpoint; None for those outside the API, such as the documentation."""
    view: Any = current_app.view_functions.get(endpoint or "")
    return getattr(view, "guard", None)


def init_app(app: Flask) -> None:
    """Run the guard of each route before its view."""

    @app.before_request
    def select_schema() -> None:
        guard = guard_of(request.endpoint)
        if guard is not None and request.method != "OPTIONS":
            guard()
