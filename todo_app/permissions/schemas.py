"""Shapes of roles and permissions."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from todo_app.pagination import PageRequest, page_query
from todo_app.permissions.models import ALL_PERMISSIONS
from todo_app.schemas import Schema, String

ROLE_UUID = "4e0a7b3c-1a52-4f0b-8c55-0a6a8f3e9d12"
SOME_PERMISSIONS = ["tasks:read", "tasks:write", "users:read"]
MAX_TITLE_LENGTH = 100
MAX_DESCRIPTION_LENGTH = 1_000


def _are_unique(names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise ma.ValidationError("Names a permission twice.")


def _permissions(**kwargs: Any) -> ma.fields.Field[Any]:
    one = ma.fields.String(validate=ma.validate.OneOf(sorted(ALL_PERMISSIONS)))
    return ma.fields.List(
        one,
        validate=[ma.validate.Length(max=len(ALL_PERMISSIONS)), _are_unique],
        metadata={"example": SOME_PERMISSIONS, "uniqueItems": True},
        **kwargs,
    )


class RoleDetailSchema(Schema):
    """A role as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": ROLE_UUID})
    name = ma.fields.String(
        required=True,
        metadata={"example": "project_lead", "description": "Made from the first title; stays."},
    )
    title = ma.fields.String(required=True, metadata={"example": "Project lead"})
    description = ma.fields.String(
        required=True, allow_none=True, metadata={"example": "Runs one project"}
    )
    is_builtin = ma.fields.Boolean(
        required=True, metadata={"description": "Built-in roles never change."}
    )
    permissions = ma.fields.List(
        ma.fields.String(), required=True, metadata={"example": SOME_PERMISSIONS}
    )
    user_count = ma.fields.Integer(
        required=True, metadata={"example": 3, "description": "Users who have it."}
    )
    version = ma.fields.Integer(required=True, metadata={"example": 1})


class RoleChangeSchema(Schema):
    """What of a role may be changed; nothing is required."""

    title = String(min_length=1, max_length=MAX_TITLE_LENGTH, metadata={"example": "Project lead"})
    description = String(
        allow_none=True,
        max_length=MAX_DESCRIPTION_LENGTH,
        metadata={"example": "Runs one project"},
    )
    permissions = _permissions()


class RoleCreateSchema(RoleChangeSchema):
    """A new role."""

    title = String(
        required=True,
        min_length=1,
        max_length=MAX_TITLE_LENGTH,
        metadata={"example": "Project lead"},
    )
    permissions = _permissions(required=True)


class PermissionSchema(Schema):
    name = ma.fields.String(required=True, metadata={"example": "tasks:read"})
    description = ma.fields.String(required=True, metadata={"example": "See lists and tasks."})


class PermissionGroupSchema(Schema):
    name = ma.fields.String(required=True, metadata={"example": "tasks"})
    permissions = ma.fields.List(ma.fields.Nested(PermissionSchema), required=True)


class PermissionGroupListSchema(Schema):
    items = ma.fields.List(ma.fields.Nested(PermissionGroupSchema), required=True)


def holders_query(fields: tuple[str, ...], default: str) -> type[Schema]:
    """The page parameters of the users who have a permission, and which it is."""

    class HoldersQuerySchema(page_query(fields, default)):  # type: ignore[misc]
        permission = ma.fields.String(
            required=True,
            validate=ma.validate.OneOf(sorted(ALL_PERMISSIONS)),
            metadata={"description": "Only users who have this.", "example": "tasks:write"},
        )

        @ma.post_load
        def _as_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
            permission = data.pop("permission")
            return {"page": PageRequest(**data), "permission": permission}

    return HoldersQuerySchema
