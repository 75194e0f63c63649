"""`/auth`: how companies come in, and how a lost password is replaced."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from flask import Response, current_app, jsonify

from todo_app.auth import AnyTenant, Public, SignedIn
from todo_app.blueprint import Blueprint
from todo_app.database import current_session, transaction
from todo_app.errors import PROBLEM_TYPE, InvalidInputError
from todo_app.limits import limit_by_address
from todo_app.registration import limit, resets, schemas, service
from todo_app.registration.entering import enter_by_token
from todo_app.schemas import Email, ProblemSchema
from todo_app.sessions.schemas import SessionSchema
from todo_app.sessions.service import Session
from todo_app.tenancy import TenantScope, current_tenant

registration = Blueprint(
    "registration", __name__, url_prefix="/auth", description="Registration and lost passwords"
)
limit_by_address(registration)

PROBLEM: dict[str, Any] = {"schema": ProblemSchema, "content_type": PROBLEM_TYPE}
INVALID_TOKEN = {
    **PROBLEM,
    "description": "`invalid-token`: the code is used up, expired, replaced, or was never one.",
}
INACTIVE = {**PROBLEM, "description": "The tenant is not active."}

RESET_KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "An email address, or the code that was mailed.",
    "schema": {"type": "string", "minLength": 1},
    "example": "ada@acme.com",
}
RESET_HELP = {
    "detail": "POST here, with your email address at the end of the path, to get a mail with a "
    "code. Then POST to /auth/reset-password/<code> with a JSON body that has the new `password`."
}
ASKED = {"detail": "If this address has an account, a mail with a code is on its way to it."}

_email = Email()


@registration.route("/register", methods=["POST"], guard=Public(), keeps_answer=True)
@registration.arguments(schemas.RegisterSchema)
@registration.response(201, schemas.RegisteredSchema)
def register(data: dict[str, Any]) -> service.Registration:
    """Register a company and its first user

    The tenant and its schema exist when this answers. The user is its master administrator, and can
    sign in once the code that is mailed has been sent to `/auth/first_run`.
    """
    public_url = current_app.config["SETTINGS"].public_url
    with transaction():
        return service.register(data["company"], data["user"], public_url)


@registration.route("/first_run", methods=["POST"], guard=Public())
@registration.arguments(schemas.FirstRunSchema)
@registration.response(200, SessionSchema)
@registration.alt_response(
    401, description="The password, or the code of the second factor, is wrong.", **PROBLEM
)
@registration.alt_response(403, **INACTIVE)
@registration.alt_response(404, **INVALID_TOKEN)
def first_run(data: dict[str, Any]) -> Session:
    """Confirm an email address, and sign in

    With the mailed code and the password that was chosen. The code is good once; after a wrong
    password it may be tried again.
    """
    token_digest = enter_by_token(data["token"])
    with transaction():
        return service.first_run(token_digest, data["password"], data.get("code"))


@registration.route("/account_limit", guard=SignedIn("users:read"))
@registration.response(200, schemas.AccountLimitSchema)
def account_limit() -> limit.AccountLimit:
    """How many users the company has, and may have"""
    return limit.account_limit()


@registration.route("/reset-password/<string:key>", guard=Public(), parameters=[RESET_KEY])
@registration.response(200, schemas.DetailSchema)
def explain_reset(key: str) -> dict[str, str]:
    """How to set a new password

    Does nothing: links in mails are followed by programs, too.
    """
    return RESET_HELP


@registration.route(
    "/reset-password/<string:key>", methods=["POST"], guard=AnyTenant(), parameters=[RESET_KEY]
)
@registration.arguments(schemas.ResetSchema, required=False)
@registration.response(204)
@registration.alt_response(
    202, schema=schemas.DetailSchema, description="Asked for; the same for every address."
)
@registration.alt_response(404, **INVALID_TOKEN)
def reset_password(data: dict[str, str], key: str) -> Response | None:
    """Ask for a new password, or set it

    With an email address in the path and no body: has a code mailed to it, if it has an account,
    and answers 202 whether or not it has. Without a tenant, all of the address's accounts get one.

    With the mailed code in the path and `password` in the body: sets the password, ends all
    sessions and answers 204. The code is good once and for an hour.
    """
    if "@" in key:
        return _ask_for_reset(key, data)
    if "password" not in data:
        raise InvalidInputError(errors={"json": {"password": ["The new password is missing."]}})
    token_digest = enter_by_token(key)
    with transaction():
        resets.set_password(token_digest, data["password"])
    return None


def _ask_for_reset(key: str, data: dict[str, str]) -> Response:
    try:
        email = _email.deserialize(key)
    except ma.ValidationError as error:
        raise InvalidInputError(errors={"path": {"key": error.messages}}) from None
    if "password" in data:
        raise InvalidInputError(
            errors={"json": {"password": ["Comes with the mailed code, not with an address."]}}
        )
    with transaction():
        in_tenant = isinstance(current_session().scope, TenantScope)
        resets.ask(email, current_tenant().schema_name if in_tenant else None)
    answer = jsonify(ASKED)
    answer.status_code = 202
    return answer
