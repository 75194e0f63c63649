"""`/permissions`: roles, what they permit, and who has what."""

from __future__ import annotations

import uuid
from typing import Any

from todo_app.accounts import service as accounts
from todo_app.accounts.schemas import UserSchema
from todo_app.auth import SignedIn, current_user
from todo_app.blueprint import Blueprint, expected_versions
from todo_app.database import transaction
from todo_app.pagination import Page, PageRequest, page_query, page_schema
from todo_app.permissions import roles, schemas
from todo_app.permissions.models import PERMISSIONS

permissions = Blueprint(
    "permissions", __name__, url_prefix="/permissions", description="Roles, and who has what"
)

CAN_READ = SignedIn("users:read")
CAN_WRITE = SignedIn("roles:write", fresh=True)

RolePage = page_schema(schemas.RoleDetailSchema)
RoleQuery = page_query(tuple(roles.ORDER_BY), "title")
UserPage = page_schema(UserSchema)
UserQuery = page_query(tuple(accounts.ORDER_BY), "last_name")
HoldersQuery = schemas.holders_query(tuple(accounts.ORDER_BY), "last_name")


@permissions.route("/", guard=CAN_READ)
@permissions.arguments(RoleQuery, location="query")
@permissions.response(200, RolePage)
def list_roles_with_permissions(query: PageRequest) -> Page:
    """List roles with their permissions

    `search` looks into the title.
    """
    return roles.page_of_roles(query)


@permissions.route("/", methods=["POST"], guard=CAN_WRITE)
@permissions.arguments(schemas.RoleCreateSchema)
@permissions.response(201, schemas.RoleDetailSchema)
def create_role(data: dict[str, Any]) -> Any:
    """Add a role

    You can give it no permission that you do not have yourself. Its name is made from its title.
    """
    with transaction():
        return roles.add_role(current_user(), data)


@permissions.route("/groups", guard=CAN_READ)
@permissions.response(200, schemas.PermissionGroupListSchema)
def list_permission_groups() -> dict[str, Any]:
    """List all permissions by group

    Each with what it allows.
    """
    return {
        "items": [
            {
                "name": group,
                "permissions": [
                    {"name": name, "description": text} for name, text in members.items()
                ],
            }
            for group, members in PERMISSIONS.items()
        ]
    }


@permissions.route("/users", guard=CAN_READ)
@permissions.arguments(HoldersQuery, location="query")
@permissions.response(200, UserPage)
def list_holders(query: dict[str, Any]) -> Page:
    """List the users who have a permission"""
    return accounts.page_of_holders(query["page"], query["permission"])


@permissions.route("/<uuid:role_uuid>", guard=CAN_READ)
@permissions.response(200, schemas.RoleDetailSchema)
def get_role(role_uuid: uuid.UUID) -> Any:
    """Get one role"""
    return roles.get_role(role_uuid)


@permissions.route("/<uuid:role_uuid>", methods=["PATCH"], guard=CAN_WRITE)
@permissions.arguments(schemas.RoleChangeSchema)
@permissions.response(200, schemas.RoleDetailSchema)
def change_role(data: dict[str, Any], role_uuid: uuid.UUID) -> Any:
    """Change a role

    Only what is sent changes, at once for all who have the role. You need all permissions that the
    role has, before and after. Built-in roles never change (409).
    """
    with transaction():
        return roles.change_role(current_user(), role_uuid, data, expected_versions())


@permissions.route("/<uuid:role_uuid>", methods=["DELETE"], guard=CAN_WRITE)
@permissions.response(204)
def delete_role(role_uuid: uuid.UUID) -> None:
    """Delete a role

    A role that somebody has, or is invited to, stays (409), and so do the built-in ones.
    """
    with transaction():
        roles.delete_role(current_user(), role_uuid, expected_versions())


@permissions.route("/<uuid:role_uuid>/users", guard=CAN_READ)
@permissions.arguments(UserQuery, location="query")
@permissions.response(200, UserPage)
def list_users_of_role(query: PageRequest, role_uuid: uuid.UUID) -> Page:
    """List the users who have a role"""
    roles.get_role(role_uuid)
    return accounts.page_of_users_with_role(query, role_uuid)
