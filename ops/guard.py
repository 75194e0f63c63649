"""Lets operators, and nobody else, into `/cc`."""

from __future__ import annotations

from flask import g, request

from ops.operators import job
from todo_app.auth import bearer_token
from todo_app.database import set_scope, transaction
from todo_app.errors import ForbiddenError, UnauthenticatedError
from todo_app.tenancy import ControlPlane

OPERATOR: list[dict[str, list[str]]] = [{"operator": []}]
"""OpenAPI's way to say that an operation takes an operator's token."""


class OperatorGuard:
    """An operator whose token has `scope`. Each use is recorded before anything is done."""

    security = OPERATOR
    needs_tenant = False

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def __call__(self) -> None:
        """Find the operator and write the audit entry."""
        set_scope(ControlPlane())
        token = bearer_token()
        with transaction():
            operator = job.find(token)
            if operator is None:
                raise UnauthenticatedError
            is_valid = job.is_valid(operator)
            allowed = is_valid and self.scope in operator.scopes
            job.record(
                operator.name,
                f"{request.method} {request.endpoint}",
                request.full_path.rstrip("?"),
                allowed=allowed,
                address=request.remote_addr or "",
                request_id=g.request_id,
            )
        if not is_valid:
            raise UnauthenticatedError
        g.scopes = operator.scopes
        need_scope(self.scope)
        g.caller = f"operator:{operator.name}"


def need_scope(scope: str) -> None:
    """Check that the operator's token has a scope that only the view knows.

    Raises:
        ForbiddenError: it has not.
    """
    if scope not in g.scopes:
        raise ForbiddenError(f"This token lacks the scope {scope}.")
