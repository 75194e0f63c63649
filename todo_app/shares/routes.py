"""`/lists/{list_uuid}/members`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint
from todo_app.database import transaction
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.shares import schemas, service

shares = Blueprint(
    "shares",
    __name__,
    url_prefix="/lists/<uuid:list_uuid>/members",
    description="With whom a list is shared",
)

CAN_READ = SignedIn("tasks:read")
CAN_WRITE = SignedIn("tasks:write")

MemberPage = page_schema(schemas.ListMemberSchema)
MemberQuery = page_query(tuple(service.ORDER_BY), "name")


@shares.route("", guard=CAN_READ)
@shares.arguments(MemberQuery, location="query")
@shares.response(200, MemberPage)
def list_list_members(query: PageRequest, list_uuid: uuid.UUID) -> Page:
    """List with whom a list is shared

    Users and groups; the creator of the list is not among them. `search` looks into the name.
    """
    return service.page_of_members(current_user(), list_uuid, query)


@shares.route("/users/<uuid:user_uuid>", methods=["PUT"], guard=CAN_WRITE)
@shares.arguments(schemas.ListAccessSchema)
@shares.response(200, schemas.ListMemberSchema)
def put_list_user(data: dict[str, Any], list_uuid: uuid.UUID, user_uuid: uuid.UUID) -> Any:
    """Share a list with a user

    Or change what they may do. For an admin of the list. Of several shares the strongest counts.
    """
    with transaction():
        return service.put_user(current_user(), list_uuid, user_uuid, data["access"])


@shares.route("/users/<uuid:user_uuid>", methods=["DELETE"], guard=CAN_WRITE, versioned=False)
@shares.response(204)
def delete_list_user(list_uuid: uuid.UUID, user_uuid: uuid.UUID) -> None:
    """Take a list from a user

    For an admin of the list; everybody may leave one. Nothing happens where it is not shared.
    """
    with transaction():
        service.delete_user(current_user(), list_uuid, user_uuid)


@shares.route("/groups/<uuid:group_uuid>", methods=["PUT"], guard=CAN_WRITE)
@shares.arguments(schemas.ListAccessSchema)
@shares.response(200, schemas.ListMemberSchema)
def put_list_group(data: dict[str, Any], list_uuid: uuid.UUID, group_uuid: uuid.UUID) -> Any:
    """Share a list with a group

    Or change what the people in it may do. For an admin of the list.
    """
    with transaction():
        return service.put_group(current_user(), list_uuid, group_uuid, data["access"])


@shares.route("/groups/<uuid:group_uuid>", methods=["DELETE"], guard=CAN_WRITE, versioned=False)
@shares.response(204)
def delete_list_group(list_uuid: uuid.UUID, group_uuid: uuid.UUID) -> None:
    """Take a list from a group

    For an admin of the list. Nothing happens where it is not shared.
    """
    with transaction():
        service.delete_group(current_user(), list_uuid, group_uuid)
