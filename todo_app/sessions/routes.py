"""`/auth`: signing in and out, sessions, the own password, and API tokens."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from todo_app.auth import AnyTenant, Public, SignedIn, current_user, parse_token
from todo_app.blueprint import Blueprint
from todo_app.database import current_session, set_scope, transaction
from todo_app.errors import PROBLEM_TYPE, NotFoundError
from todo_app.hashing import place
from todo_app.limits import limit_by_address
from todo_app.schemas import ProblemSchema
from todo_app.sessions import own_password, schemas, service
from todo_app.sessions import tokens as api_tokens
from todo_app.sessions.signing_in import FAILURES, log_in, note_failure, tenant_of
from todo_app.tenancy import TenantScope

sessions = Blueprint("sessions", __name__, url_prefix="/auth", description="Signing in and out")
limit_by_address(sessions)
tokens = Blueprint("tokens", __name__, url_prefix="/auth/tokens", description="API tokens")
limit_by_address(tokens)

OWN = SignedIn(without_second_factor=True)


def _refuses(description: str) -> Any:
    """Document what a 401 of the route means."""
    return sessions.alt_response(
        401, schema=ProblemSchema, content_type=PROBLEM_TYPE, description=description
    )


@sessions.route("/login", methods=["POST"], guard=AnyTenant())
@sessions.arguments(schemas.LoginSchema)
@sessions.response(200, schemas.SessionSchema)
@_refuses(
    "Email address or password is wrong; or, by `type`, a code of the second factor is needed "
    "(second-factor-needed) or wrong (wrong-code)."
)
def login(data: dict[str, Any]) -> service.Session:
    """Start a session

    The token of the answer goes into the Authorization header of further requests. Without a
    tenant, the address alone must lead to one.
    """
    tenant_named = isinstance(current_session().scope, TenantScope)
    try:
        with place():
            if not tenant_named:
                only = tenant_of(data["email"], data["password"])
                set_scope(TenantScope(only, "schema_name"))
            with transaction():
                return log_in(**data, tenant_named=tenant_named)
    except FAILURES as error:
        if tenant_named:
            with transaction():
                note_failure(data["email"], error.code)
        raise


@sessions.route("/verify/<string:token>", guard=Public())
@sessions.response(200, schemas.SessionCheckSchema)
def verify(token: str) -> service.TokenCheck:
    """Check a token

    Tells whose session or API token it is, when it ends, and what its scopes are; 404 where there
    is no such token.
    """
    parsed = parse_token(token)
    if parsed is None:
        raise NotFoundError("There is no such token.")
    set_scope(TenantScope(parsed.schema_name, "schema_name"))
    return service.check_token(parsed.digest)


@sessions.route("/logout", methods=["POST"], guard=OWN)
@sessions.response(204)
def logout() -> None:
    """End the session of the request's token"""
    with transaction():
        service.log_out(current_user())


@sessions.route("/sessions", guard=OWN)
@sessions.response(200, schemas.SessionListSchema)
def list_sessions() -> dict[str, Any]:
    """List the own sessions

    With device and place of the last use, known to the minute.
    """
    return {"items": service.sessions_of(current_user())}


@sessions.route("/sessions", methods=["DELETE"], guard=OWN, versioned=False)
@sessions.arguments(schemas.EndSessionsSchema, location="query")
@sessions.response(204)
def end_sessions(query: dict[str, bool]) -> None:
    """End all other own sessions"""
    with transaction():
        service.end_own_sessions(current_user(), **query)


@sessions.route("/sessions/<uuid:session_uuid>", methods=["DELETE"], guard=OWN, versioned=False)
@sessions.response(204)
def end_session(session_uuid: uuid.UUID) -> None:
    """End one of the own sessions"""
    with transaction():
        service.end_session(current_user(), session_uuid)


@sessions.route("/step-up", methods=["POST"], guard=OWN, keeps_answer=False)
@sessions.arguments(schemas.StepUpSchema)
@sessions.response(204)
@_refuses("The password or the code is wrong, or there is no valid token.")
def step_up(data: dict[str, Any]) -> None:
    """Show the password again

    For 10 minutes this session may then do what needs that: `x-step-up` marks those operations.
    Who has a second factor sends a code, too.
    """
    data.setdefault("code", None)
    with transaction():
        own_password.step_up(current_user(), **data)


@sessions.route("/password", methods=["POST"], guard=SignedIn(), keeps_answer=False)
@sessions.arguments(schemas.PasswordChangeSchema)
@sessions.response(204)
@_refuses("The current password is wrong, or there is no valid token.")
def change_password(data: dict[str, Any]) -> None:
    """Change the own password

    All other sessions end; API tokens stay. A mail tells of it.
    """
    with transaction():
        own_password.change_own_password(current_user(), **data)


@tokens.route("/", guard=SignedIn())
@tokens.response(200, schemas.TokenListSchema)
def list_tokens() -> dict[str, Any]:
    """List the own API tokens"""
    return {"items": api_tokens.tokens_of(current_user())}


@tokens.route("/", methods=["POST"], guard=SignedIn(fresh=True), keeps_answer=False)
@tokens.arguments(schemas.TokenCreateSchema)
@tokens.response(201, schemas.NewTokenSchema)
def create_token(data: dict[str, Any]) -> api_tokens.TokenInfo:
    """Make an API token

    The token is shown this once. It may do what its scopes and its user's role both permit;
    `admin` includes all other scopes. A mail tells of it.
    """
    with transaction():
        return api_tokens.make_token(current_user(), **data)


@tokens.route("/<uuid:token_uuid>", methods=["DELETE"], guard=SignedIn(), versioned=False)
@tokens.response(204)
def revoke_token(token_uuid: uuid.UUID) -> None:
    """Revoke an API token"""
    with transaction():
        api_tokens.revoke_token(current_user(), token_uuid)


@tokens.route(
    "/<uuid:token_uuid>/rotate", methods=["POST"], guard=SignedIn(fresh=True), keeps_answer=False
)
@tokens.arguments(schemas.TokenRotateSchema)
@tokens.response(201, schemas.NewTokenSchema)
def rotate_token(data: dict[str, int], token_uuid: uuid.UUID) -> api_tokens.TokenInfo:
    """Replace an API token

    By one of the same name, scopes and length of life. The old one ends at once, or after the
    overlap.
    """
    with transaction():
        overlap = timedelta(seconds=data["overlap_seconds"])
        return api_tokens.rotate_token(current_user(), token_uuid, overlap)
