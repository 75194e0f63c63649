"""`/groups`."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.accounts import service as accounts
from todo_app.accounts.schemas import UserSchema
from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.groups import schemas, service
from todo_app.pagination import Page, PageRequest, page_query, page_schema

groups = Blueprint("groups", __name__, url_prefix="/groups", description="Groups of users")

CAN_READ = SignedIn("users:read")
CAN_WRITE = SignedIn("groups:write")

GroupPage = page_schema(schemas.GroupSchema)
GroupQuery = page_query(tuple(service.ORDER_BY), "name")
MemberPage = page_schema(UserSchema)
MemberQuery = page_query(tuple(accounts.ORDER_BY), "last_name")


@groups.route("/", guard=CAN_READ)
@groups.arguments(GroupQuery, location="query")
@groups.response(200, GroupPage)
def list_groups(query: PageRequest) -> Page:
    """List groups

    `search` looks into name and description.
    """
    return service.page_of_groups(query)


@groups.route("/", methods=["POST"], guard=CAN_WRITE)
@groups.arguments(schemas.GroupCreateSchema)
@groups.response(201, schemas.GroupSchema)
def create_group(data: dict[str, Any]) -> Any:
    """Add a group

    No two groups have one name, in whatever case.
    """
    with transaction():
        return service.add_group(current_user(), data)


@groups.route("/<uuid:group_uuid>", guard=CAN_READ)
@groups.response(200, schemas.GroupSchema)
def get_group(group_uuid: uuid.UUID) -> Any:
    """Get one group"""
    return service.get_group(group_uuid)


@groups.route("/<uuid:group_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@groups.arguments(schemas.GroupChangeSchema)
@groups.response(200, schemas.GroupSchema)
def change_group(data: dict[str, Any], group_uuid: uuid.UUID) -> Any:
    """Change a group

    Only what is sent changes.
    """
    with transaction():
        return service.change_group(current_user(), group_uuid, data, expected_versions())


@groups.route("/<uuid:group_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@groups.response(204)
def delete_group(group_uuid: uuid.UUID) -> None:
    """Delete a group

    The people in it stay.
    """
    with transaction():
        service.delete_group(current_user(), group_uuid, expected_versions())


@groups.route("/<uuid:group_uuid>/members", guard=CAN_READ)
@groups.arguments(MemberQuery, location="query")
@groups.response(200, MemberPage)
def list_members(query: PageRequest, group_uuid: uuid.UUID) -> Page:
    """List who is in a group"""
    return accounts.page_of_group(query, service.group_id_of(group_uuid))


@groups.route("/<uuid:group_uuid>/members/<uuid:user_uuid>", methods=["PUT"], guard=CAN_WRITE)
@groups.response(204)
def put_member(group_uuid: uuid.UUID, user_uuid: uuid.UUID) -> None:
    """Put a user into a group

    Nothing happens where they are in it.
    """
    with transaction():
        service.put_member(current_user(), group_uuid, user_uuid)


@groups.route(
    "/<uuid:group_uuid>/members/<uuid:user_uuid>",
    methods=["DELETE"],
    guard=CAN_WRITE,
    versioned=False,
)
@groups.response(204)
def delete_member(group_uuid: uuid.UUID, user_uuid: uuid.UUID) -> None:
    """Take a user out of a group

    Nothing happens where they are not in it.
    """
    with transaction():
        service.delete_member(current_user(), group_uuid, user_uuid)
