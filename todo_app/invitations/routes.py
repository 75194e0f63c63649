"""`/users/invitations`: how people join a company that exists."""

from __future__ import annotations

import uuid
from typing import Any

from flask import current_app

from todo_app.accounts.models import User
from todo_app.accounts.schemas import UserDetailSchema
from todo_app.auth import Public, SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE
from todo_app.invitations import schemas, service
from todo_app.pagination import Page, page_schema
from todo_app.registration.entering import enter_by_token
from todo_app.schemas import ProblemSchema

invitations = Blueprint(
    "invitations",
    __name__,
    url_prefix="/users/invitations",
    description="Invitations to join a company",
)

CAN_READ = SignedIn("users:read")
CAN_WRITE = SignedIn("users:write")

InvitationPage = page_schema(schemas.InvitationSchema)
InvitationQuery = schemas.invitation_query(tuple(service.ORDER_BY), "created_at")


@invitations.route("/", guard=CAN_READ)
@invitations.arguments(InvitationQuery, location="query")
@invitations.response(200, InvitationPage)
def list_invitations(query: dict[str, Any]) -> Page:
    """List invitations

    `search` looks into the address.
    """
    return service.page(query["page"], query["state"])


@invitations.route("/", methods=["POST"], guard=CAN_WRITE)
@invitations.arguments(schemas.InvitationCreateSchema)
@invitations.response(201, schemas.InvitationSchema)
def invite(data: dict[str, Any]) -> Any:
    """Invite somebody

    A code that is good for seven days is mailed to the address. You can hand out no role that
    permits more than yours.
    """
    with transaction():
        return service.invite(
            current_user(), data["email"], data["role_uuid"], data.get("language"), _public_url()
        )


@invitations.route("/<uuid:invitation_uuid>", guard=CAN_READ)
@invitations.response(200, schemas.InvitationSchema)
def get_invitation(invitation_uuid: uuid.UUID) -> Any:
    """Get one invitation"""
    return service.get(invitation_uuid)


@invitations.route("/<uuid:invitation_uuid>/resend", methods=["POST"], guard=CAN_WRITE)
@invitations.response(200, schemas.InvitationSchema)
def resend_invitation(invitation_uuid: uuid.UUID) -> Any:
    """Mail an invitation again

    With a new code, good for seven days; the old one is not good any more. At most once a minute.
    """
    with transaction():
        return service.resend(current_user(), invitation_uuid, _public_url())


@invitations.route("/<uuid:invitation_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@invitations.response(204)
def revoke_invitation(invitation_uuid: uuid.UUID) -> None:
    """Revoke an invitation

    Its code is not good any more; it stays in the list.
    """
    with transaction():
        service.revoke(current_user(), invitation_uuid, expected_versions())


@invitations.route("/accept", methods=["POST"], guard=Public())
@invitations.arguments(schemas.InvitationAcceptSchema)
@invitations.response(201, UserDetailSchema)
@invitations.alt_response(
    403,
    schema=ProblemSchema,
    content_type=PROBLEM_TYPE,
    description="The tenant is not active.",
)
@invitations.alt_response(
    404,
    schema=ProblemSchema,
    content_type=PROBLEM_TYPE,
    description="`invalid-token`: the code is used up, expired, revoked, or was never one.",
)
def accept_invitation(data: dict[str, Any]) -> User:
    """Accept an invitation

    Makes an account with the mailed code. It is active at once: sign in at `/auth/login`.
    """
    token_digest = enter_by_token(data.pop("token"))
    with transaction():
        return service.accept(token_digest, data)


def _public_url() -> str:
    return str(current_app.config["SETTINGS"].public_url)
