"""Shapes of users."""

from __future__ import annotations

import functools
import zoneinfo
from typing import Any

import marshmallow as ma

from todo_app.accounts.models import LANGUAGES
from todo_app.accounts.passwords import MAX_LENGTH, MIN_LENGTH
from todo_app.pagination import PageRequest, page_query
from todo_app.registration.checks import is_lasting_address
from todo_app.schemas import Boolean, Email, Schema, String, Time

USER_STATES = ("present", "active", "inactive", "deleted", "all")
TASK_FATES = ("keep", "unassign")


def password_field(**kwargs: object) -> ma.fields.String:
    """A new password."""
    return ma.fields.String(
        load_only=True,
        validate=ma.validate.Length(MIN_LENGTH, MAX_LENGTH),
        metadata={"example": "correct horse battery", "format": "password"},
        **kwargs,  # type: ignore[arg-type]
    )


@functools.cache
def _time_zones() -> set[str]:
    # PostgreSQL does not know the machine's own zone by this name.
    return zoneinfo.available_timezones() - {"localtime"}


def is_time_zone(name: str) -> None:
    """Refuse what is no time zone."""
    if name not in _time_zones():
        raise ma.ValidationError("Not a time zone of the IANA database.")


class RoleSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True, metadata={"example": "user"})
    title = ma.fields.String(required=True, metadata={"example": "User"})


class RoleListSchema(Schema):
    items = ma.fields.List(ma.fields.Nested(RoleSchema), required=True)


class UserSchema(Schema):
    uuid = ma.fields.UUID(required=True)
    first_name = ma.fields.String(required=True, metadata={"example": "Ada"})
    last_name = ma.fields.String(required=True, metadata={"example": "Lovelace"})
    email = ma.fields.String(required=True, metadata={"example": "ada@acme.com"})
    phone = ma.fields.String(required=True, allow_none=True, metadata={"example": "+48 22 100"})
    is_active = ma.fields.Boolean(required=True)
    is_verified = ma.fields.Boolean(required=True)
    role = ma.fields.Nested(RoleSchema, required=True)


class UserDetailSchema(UserSchema):
    language = ma.fields.String(required=True, metadata={"example": "en-US"})
    timezone = ma.fields.String(required=True, metadata={"example": "Europe/Warsaw"})
    has_avatar = ma.fields.Boolean(
        required=True, metadata={"description": "Whether there is a picture at `…/avatar`."}
    )
    created_at = Time(required=True)
    updated_at = Time(required=True)
    deleted_at = Time(
        required=True,
        allow_none=True,
        metadata={"example": None, "description": "Null for all who are not deleted."},
    )


class OwnRoleSchema(RoleSchema):
    permissions = ma.fields.List(
        ma.fields.String(), required=True, metadata={"example": ["tasks:read", "tasks:write"]}
    )


class OwnUserSchema(UserDetailSchema):
    """The user who asks, and what they may do."""

    role = ma.fields.Nested(OwnRoleSchema, required=True)


class OwnChangeSchema(Schema):
    """What people may change of themselves; nothing is required."""

    first_name = String(min_length=1, max_length=100, metadata={"example": "Ada"})
    last_name = String(min_length=1, max_length=100, metadata={"example": "Lovelace"})
    email = Email(validate=is_lasting_address, metadata={"example": "ada@acme.com"})
    phone = String(allow_none=True, max_length=30, metadata={"example": "+48 22 100"})
    language = ma.fields.String(validate=ma.validate.OneOf(LANGUAGES))
    timezone = ma.fields.String(validate=is_time_zone, metadata={"example": "Europe/Warsaw"})


class UserChangeSchema(OwnChangeSchema):
    """What of a user may be changed; nothing is required."""

    password = password_field()
    role_uuid = ma.fields.UUID()
    is_active = Boolean()


class UserCreateSchema(UserChangeSchema):
    first_name = String(required=True, min_length=1, max_length=100, metadata={"example": "Ada"})
    last_name = String(
        required=True, min_length=1, max_length=100, metadata={"example": "Lovelace"}
    )
    email = Email(required=True, validate=is_lasting_address, metadata={"example": "ada@acme.com"})
    password = password_field(required=True)
    role_uuid = ma.fields.UUID(required=True)


class UserCountSchema(Schema):
    count = ma.fields.Integer(required=True, metadata={"example": 1})


class UserDeleteQuerySchema(Schema):
    """What becomes of a user who is deleted."""

    tasks = ma.fields.String(
        validate=ma.validate.OneOf(TASK_FATES),
        metadata={
            "example": "unassign",
            "description": "`keep` (as without it) leaves their open tasks assigned to them, "
            "`unassign` to nobody.",
        },
    )
    reassign_to = ma.fields.UUID(
        metadata={
            "example": "d6f1a0a4-92a3-4b7e-a2a6-6d0c5f0b3e21",
            "description": "Who gets their open tasks instead.",
        }
    )
    force = ma.fields.Boolean(
        load_default=False,
        truthy={"true"},
        falsy={"false"},
        metadata={"description": "Erase the person: whatever says who it was is wiped for good."},
    )

    @ma.validates_schema
    def _agree(self, data: dict[str, Any], **_: Any) -> None:
        if "tasks" in data and "reassign_to" in data:
            raise ma.ValidationError("Not together with `tasks`.", "reassign_to")


def user_query(fields: tuple[str, ...], default: str) -> type[Schema]:
    """The page parameters of users: those of every page, and their state beside them."""

    class UserQuerySchema(page_query(fields, default)):  # type: ignore[misc]
        state = ma.fields.String(
            load_default=USER_STATES[0],
            validate=ma.validate.OneOf(USER_STATES),
            metadata={"description": "Only such users; `present` are all who are not deleted."},
        )

        @ma.post_load
        def _as_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
            state = data.pop("state")
            return {"page": PageRequest(**data), "state": state}

    return UserQuerySchema
