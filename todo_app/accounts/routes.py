"""`/auth` and `/users`."""

from __future__ import annotations

import uuid
from typing import Any

from flask import current_app, request

from todo_app.accounts import schemas, service
from todo_app.auth import InTenant, Public, SignedIn, current_user, parse_token
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import set_scope, transaction
from todo_app.errors import PROBLEM_TYPE, NotFoundError
from todo_app.extensions import limiter
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.schemas import ProblemSchema
from todo_app.tenancy import TenantScope

MAX_USER_AGENT_LENGTH = 300

auth = Blueprint("auth", __name__, url_prefix="/auth", description="Registration and sessions")
users = Blueprint("users", __name__, url_prefix="/users", description="People of the tenant")

limiter.limit(
    lambda: current_app.config["SETTINGS"].auth_rate_limit,
    exempt_when=lambda: not current_app.config["SETTINGS"].auth_rate_limit,
)(auth)

UserPage = page_schema(schemas.UserSchema)
UserQuery = page_query(tuple(service.ORDER_BY), "last_name")


@auth.route("/register", methods=["POST"], guard=Public(), keeps_answer=True)
@auth.arguments(schemas.RegisterSchema)
@auth.response(201, schemas.RegisteredSchema)
def register(data: dict[str, Any]) -> service.Registration:
    """Register a company and its first user

    The tenant and its schema exist when this answers. The user is its master administrator.
    """
    public_url = current_app.config["SETTINGS"].public_url
    with transaction():
        return service.register(data["company"], data["user"], public_url)


@auth.route("/login", methods=["POST"], guard=InTenant())
@auth.arguments(schemas.LoginSchema)
@auth.response(200, schemas.SessionSchema)
@auth.alt_response(
    401,
    schema=ProblemSchema,
    content_type=PROBLEM_TYPE,
    description="Email address or password is wrong.",
)
def login(data: dict[str, Any]) -> service.Session:
    """Start a session

    The token of the answer goes into the Authorization header of further requests.
    """
    user_agent = (request.user_agent.string or "")[:MAX_USER_AGENT_LENGTH]
    with transaction():
        return service.log_in(**data, user_agent=user_agent)


@auth.route("/verify/<string:token>", guard=Public())
@auth.response(200, schemas.SessionCheckSchema)
def verify(token: str) -> dict[str, Any]:
    """Check a session token

    Tells whose session it is and when it ends; 404 where there is no such session.
    """
    parsed = parse_token(token)
    if parsed is None:
        raise NotFoundError("There is no such session.")
    set_scope(TenantScope(parsed.schema_name, "schema_name"))
    user, expires_at = service.check_session(parsed.digest)
    return {"user": user, "expires_at": expires_at}


@auth.route("/logout", methods=["POST"], guard=SignedIn())
@auth.response(204)
def logout() -> None:
    """End the session of the request's token"""
    with transaction():
        service.log_out(current_user().token_id)


@users.route("/", guard=SignedIn("users:read"))
@users.arguments(UserQuery, location="query")
@users.response(200, UserPage)
def list_users(query: PageRequest) -> Page:
    """List users"""
    return service.page_of_users(query)


@users.route("/count", guard=SignedIn("users:read"))
@users.response(200, schemas.UserCountSchema)
def count_users() -> dict[str, int]:
    """Count users"""
    return {"count": service.count_users()}


@users.route("/roles", guard=SignedIn("users:read"))
@users.response(200, schemas.RoleListSchema)
def list_roles() -> dict[str, Any]:
    """List the roles that a user can have"""
    return {"items": service.roles()}


@users.route("/", methods=["POST"], guard=SignedIn("users:write"))
@users.arguments(schemas.UserCreateSchema)
@users.response(201, schemas.UserDetailSchema)
def create_user(data: dict[str, Any]) -> Any:
    """Add a user"""
    with transaction():
        return service.add_user(current_user(), data)


@users.route("/<uuid:user_uuid>", guard=SignedIn("users:read"))
@users.response(200, schemas.UserDetailSchema)
def get_user(user_uuid: uuid.UUID) -> Any:
    """Get one user"""
    return service.get_user(user_uuid)


@users.route("/<uuid:user_uuid>", methods=["PATCH"], guard=SignedIn("users:write"))
@users.arguments(schemas.UserChangeSchema)
@users.response(200, schemas.UserDetailSchema)
def change_user(data: dict[str, Any], user_uuid: uuid.UUID) -> Any:
    """Change a user

    Only what is sent changes. A new password ends all sessions of the user.
    """
    with transaction():
        return service.change_user(current_user(), user_uuid, data, expected_versions())


@users.route("/<uuid:user_uuid>", methods=["DELETE"], guard=SignedIn("users:write"))
@users.response(204)
def delete_user(user_uuid: uuid.UUID) -> None:
    """Delete a user

    The person can no longer sign in; what they made stays.
    """
    with transaction():
        service.delete_user(current_user(), user_uuid, expected_versions())
