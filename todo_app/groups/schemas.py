"""Shapes of groups."""

from __future__ import annotations

import marshmallow as ma

from todo_app.schemas import Schema, String, Time

GROUP_UUID = "a3b8f6de-90c5-4a6e-8a35-7f2f8f0c1d44"
SOME_TIME = "2026-03-01T09:30:00+00:00"
MAX_NAME_LENGTH = 100
MAX_DESCRIPTION_LENGTH = 1_000


class GroupSchema(Schema):
    uuid = ma.fields.UUID(required=True, metadata={"example": GROUP_UUID})
    name = ma.fields.String(required=True, metadata={"example": "Accounting"})
    description = ma.fields.String(
        required=True, allow_none=True, metadata={"example": "Third floor"}
    )
    member_count = ma.fields.Integer(required=True, metadata={"example": 4})
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class GroupChangeSchema(Schema):
    """What of a group may be changed; nothing is required."""

    name = String(min_length=1, max_length=MAX_NAME_LENGTH, metadata={"example": "Accounting"})
    description = String(
        allow_none=True, max_length=MAX_DESCRIPTION_LENGTH, metadata={"example": "Third floor"}
    )


class GroupCreateSchema(GroupChangeSchema):
    """A new group."""

    name = String(
        required=True, min_length=1, max_length=MAX_NAME_LENGTH, metadata={"example": "Accounting"}
    )
