"""`/users`."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, request
from werkzeug.exceptions import UnsupportedMediaType

from todo_app.accounts import avatars, changes, deletion, schemas, service
from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.errors import PROBLEM_TYPE
from todo_app.pagination import Page, page_schema
from todo_app.permissions.service import roles
from todo_app.schemas import ProblemSchema

users = Blueprint("users", __name__, url_prefix="/users", description="People of the tenant")

CAN_READ = SignedIn("users:read")
CAN_WRITE = SignedIn(service.WRITE)
ANYBODY = SignedIn()
"""With a session: for what people may do to themselves."""

UserPage = page_schema(schemas.UserSchema)
UserQuery = schemas.user_query(tuple(service.ORDER_BY), "last_name")

STEP_UP = {
    "schema": ProblemSchema,
    "content_type": PROBLEM_TYPE,
    "description": "There is no valid token, or the password was shown too long ago for this.",
}
PICTURE = {"type": "string", "format": "binary"}


@users.route("/", guard=CAN_READ)
@users.arguments(UserQuery, location="query")
@users.response(200, UserPage)
def list_users(query: dict[str, Any]) -> Page:
    """List users

    `search` looks into names and address; neither case nor accents matter: `lodz` finds `Łódź`.
    """
    return service.page_of_users(query["page"], query["state"])


@users.route("/count", guard=CAN_READ)
@users.response(200, schemas.UserCountSchema)
def count_users() -> dict[str, int]:
    """Count users"""
    return {"count": service.count_users()}


@users.route("/roles", guard=CAN_READ)
@users.response(200, schemas.RoleListSchema)
def list_roles() -> dict[str, Any]:
    """List the roles that a user can have"""
    return {"items": roles()}


@users.route("/", methods=["POST"], guard=CAN_WRITE)
@users.arguments(schemas.UserCreateSchema)
@users.response(201, schemas.UserDetailSchema)
def create_user(data: dict[str, Any]) -> Any:
    """Add a user

    You can give them no role that permits what you may not do yourself.
    """
    values = changes.with_password_hash(current_user(), data)
    with transaction():
        return service.add_user(current_user(), values)


@users.route("/me", guard=ANYBODY)
@users.response(200, schemas.OwnUserSchema)
def get_me() -> Any:
    """Get yourself

    With your role and what it permits.
    """
    return service.get_user(current_user().uuid)


@users.route("/me", methods=["PATCH"], guard=ANYBODY)
@users.arguments(schemas.OwnChangeSchema)
@users.response(200, schemas.OwnUserSchema)
@users.alt_response(401, **STEP_UP)
def change_me(data: dict[str, Any]) -> Any:
    """Change yourself

    Only what is sent changes. A new address asks for `/auth/step-up` first, is mailed a code that
    confirms it, and the old one is told.
    """
    with transaction():
        return changes.change_own(current_user(), data, expected_versions())


@users.route("/<uuid:user_uuid>", guard=CAN_READ)
@users.response(200, schemas.UserDetailSchema)
def get_user(user_uuid: uuid.UUID) -> Any:
    """Get one user"""
    return service.get_user(user_uuid)


@users.route("/<uuid:user_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@users.arguments(schemas.UserChangeSchema)
@users.response(200, schemas.UserDetailSchema)
@users.alt_response(401, **STEP_UP)
def change_user(data: dict[str, Any], user_uuid: uuid.UUID) -> Any:
    """Change a user

    Only what is sent changes. Password, role and address of others ask for `/auth/step-up` first.
    A new password or role ends the user's sessions (your own: the others), and deactivation their
    API tokens, too.
    """
    values = changes.with_password_hash(current_user(), data, user_uuid)
    with transaction():
        return changes.change_user(current_user(), user_uuid, values, expected_versions())


@users.route("/<uuid:user_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@users.arguments(schemas.UserDeleteQuerySchema, location="query")
@users.response(204)
@users.alt_response(401, **STEP_UP)
def delete_user(query: dict[str, Any], user_uuid: uuid.UUID) -> None:
    """Delete a user

    The person can no longer sign in; what they made stays. With `force=true`, which asks for
    `/auth/step-up` first, names, address and all else that says who it was is wiped as well, also
    of somebody who has been deleted before; that cannot be undone.
    """
    with transaction():
        deletion.delete_user(current_user(), user_uuid, expected_versions(), **query)


@users.route("/<uuid:user_uuid>/reactivate", methods=["POST"], guard=CAN_WRITE, versioned=True)
@users.response(200, schemas.UserDetailSchema)
def reactivate_user(user_uuid: uuid.UUID) -> Any:
    """Reactivate a user

    Somebody who was deleted or deactivated can sign in again, unless somebody else has the address
    by now. An active user stays as they are.
    """
    with transaction():
        return deletion.reactivate_user(current_user(), user_uuid, expected_versions())


@users.route("/<uuid:user_uuid>/avatar", guard=CAN_READ)
@users.doc(
    responses={
        "200": {
            "description": "The picture, with an ETag.",
            "content": {avatars.MEDIA_TYPE: {"schema": PICTURE}},
        }
    }
)
def get_avatar(user_uuid: uuid.UUID) -> Response:
    """Get a user's picture

    256 by 256 pixels, whatever was sent. `If-None-Match` saves the transfer.
    """
    content, media_type = avatars.get_avatar(user_uuid)
    answer = Response(content, mimetype=media_type)
    answer.set_etag(avatars.etag_of(content))
    answer.make_conditional(request)
    return answer


@users.route(
    "/<uuid:user_uuid>/avatar",
    methods=["PUT"],
    guard=ANYBODY,
    max_body_bytes=avatars.MAX_BODY_BYTES,
)
@users.doc(
    requestBody={
        "required": True,
        "content": {media_type: {"schema": PICTURE} for media_type in avatars.FORMATS},
    }
)
@users.response(204)
@users.alt_response(413, schema=ProblemSchema, content_type=PROBLEM_TYPE, description="Too large.")
@users.alt_response(
    415, schema=ProblemSchema, content_type=PROBLEM_TYPE, description="Not PNG, JPEG or WebP."
)
@users.alt_response(
    422, schema=ProblemSchema, content_type=PROBLEM_TYPE, description="Not a usable picture."
)
def put_avatar(user_uuid: uuid.UUID) -> None:
    """Set a user's picture

    Your own, or that of somebody whom you may change: PNG, JPEG or WebP of up to 2 MiB and 16
    megapixels, as the body. It is cut to a square, and its metadata is left out.
    """
    avatars.check_may_picture(current_user(), user_uuid)
    if request.mimetype not in avatars.FORMATS:
        raise UnsupportedMediaType("The body must be image/png, image/jpeg or image/webp.")
    content = avatars.render(request.get_data(cache=False), request.mimetype)
    with transaction():
        avatars.put_avatar(current_user(), user_uuid, content)


@users.route("/<uuid:user_uuid>/avatar", methods=["DELETE"], guard=ANYBODY, versioned=False)
@users.response(204)
def delete_avatar(user_uuid: uuid.UUID) -> None:
    """Take a user's picture away

    Your own, or that of somebody whom you may change. Nothing happens where there is none.
    """
    avatars.check_may_picture(current_user(), user_uuid)
    with transaction():
        avatars.delete_avatar(current_user(), user_uuid)
