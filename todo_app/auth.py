"""From a bearer token to the current user, and who may call which route.

A session's token reads `<schema name>.<secret>`, an API token `<schema name>.api_<secret>`: the
first part chooses the tenant, the secret is stored there as a SHA-256 digest only. Every route has
a guard; `before_request` runs it before the view and before any input is parsed, so 401 and 403
come ahead of 422.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any, Protocol, cast

from flask import Flask, current_app, g, request

from todo_app.database import db, set_scope
from todo_app.errors import ForbiddenError, UnauthenticatedError
from todo_app.permissions.models import ALL_PERMISSIONS
from todo_app.sessions.models import NOTED_EVERY_SECONDS, note_use
from todo_app.tenancy import (
    ControlPlane,
    CurrentUser,
    TenantNotFoundError,
    Token,
    choose_tenant,
    current_tenant,
)

API_TOKEN_MARK = "api_"  # noqa: S105 (a mark)
"""Tells API tokens from sessions, for people, for scanners of leaked secrets, and for programs
older than API tokens, which would take one for a session."""

ADMIN_SCOPE = "admin"
SCOPES = ("tasks:read", "tasks:write", "users:read", ADMIN_SCOPE)
"""What an API token can be good for. `admin` is all that its user may do, except what needs a
session."""

FRESH_SECONDS = 600
"""For so long after the password was shown may a session do what is dangerous."""

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

_TOKEN = re.compile(r"(t_[a-z0-9_]{1,61})\.((?:api_)?[A-Za-z0-9_-]{43})", re.ASCII)


class StepUpNeededError(UnauthenticatedError):
    """The session is good, but the password was shown too long ago for this (RFC 9470)."""

    code = "step-up-needed"
    detail = "Confirm your password at /auth/step-up first."

    def __init__(self) -> None:
        super().__init__()
        self.headers["WWW-Authenticate"] = (
            f'Bearer error="insufficient_user_authentication", max_age="{FRESH_SECONDS}"'
        )


class ScopeMissingError(ForbiddenError):
    """An API token is not good for this (RFC 6750)."""

    code = "insufficient-scope"

    def __init__(self, scope: str | None) -> None:
        super().__init__(
            f"This API token lacks the scope {scope}." if scope else "This needs a session."
        )
        wanted = f', scope="{scope}"' if scope else ""
        self.headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope"{wanted}'


class SecondFactorMissingError(ForbiddenError):
    """The company asks for a second factor, and this user has none."""

    code = "second-factor-missing"
    detail = "Your company asks for a second factor: set one up at /auth/two-factor."


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


class AnyTenant:
    """Anyone, inside the tenant that header or host name tell, or outside of all tenants."""

    security: list[dict[str, list[str]]] = []  # noqa: RUF012 (never changed)
    needs_tenant = True

    def __call__(self) -> None:
        """Enter the tenant, where one is named."""
        set_scope(choose_tenant(request, token=None) or ControlPlane())


class SignedIn:
    """A signed-in user.

    Args:
        permission: what the user's role must have. It says, too, which scope an API token needs.
            Without one, any user may, and only with a session.
        fresh: whether the password must have been shown lately.
        session: whether only a session will do, whatever the permission.
        without_second_factor: whether it is open to those who still have to set one up.
    """

    needs_tenant = True

    def __init__(
        self,
        permission: str | None = None,
        *,
        fresh: bool = False,
        session: bool = False,
        without_second_factor: bool = False,
    ) -> None:
        if permission is not None and permission not in ALL_PERMISSIONS:
            raise ValueError(f"no such permission: {permission}")
        self.permission = permission
        self.fresh = fresh
        self.without_second_factor = without_second_factor
        self.scope: str | None = None
        if permission and not fresh and not session:
            self.scope = permission if permission in SCOPES else ADMIN_SCOPE
        self.security: list[dict[str, list[str]]] = (
            [{"bearer": [self.scope]}] if self.scope else [{"session": []}]
        )

    def __call__(self) -> None:
        """Enter the tenant of the token, find its user, and check what is asked for."""
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
        if user.used_ago is None or user.used_ago >= NOTED_EVERY_SECONDS:
            note_use(user.token_id, request.remote_addr)
        self._check(user)

    def _check(self, user: CurrentUser) -> None:
        if user.scopes is not None and (
            self.scope is None or not {self.scope, ADMIN_SCOPE} & set(user.scopes)
        ):
            raise ScopeMissingError(self.scope)
        if user.lacks_second_factor and not self.without_second_factor:
            raise SecondFactorMissingError
        if self.permission and self.permission not in user.permissions:
            raise ForbiddenError(f"Your role lacks the permission {self.permission}.")
        if self.fresh:
            check_fresh(user)


def check_fresh(user: CurrentUser) -> None:
    """Check that the user has shown the password lately, for rules that only some input needs.

    Raises:
        ScopeMissingError: the token is not a session's.
        StepUpNeededError: it was too long ago.
    """
    if user.scopes is not None:
        raise ScopeMissingError(None)
    if user.authenticated_ago is None or user.authenticated_ago > FRESH_SECONDS:
        raise StepUpNeededError


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
        if guard is None or request.method == "OPTIONS":
            return
        has_body = _read_body()
        guard()
        if not has_body and request.method in WITH_BODY:
            # Whoever sends it slowly holds no connection.
            db.session.rollback()


def _read_body() -> bool:
    """Read the body, where it says that it is not too long; whether it is there now.

    Ahead of the guard, which begins a transaction: a connection does not wait for a client.
    """
    length = request.content_length
    if length is None or length > current_app.config["MAX_CONTENT_LENGTH"]:
        return False
    request.get_data()
    return True
