"""Shapes of tags."""

from __future__ import annotations

import marshmallow as ma

from todo_app.lists.schemas import SOME_TIME, Color
from todo_app.schemas import Schema, String, Time

TAG_UUID = "1c2d3e4f-5a6b-4c7d-8e9f-0a1b2c3d4e5f"
OTHER_TAG_UUID = "6f5e4d3c-2b1a-4f0e-9d8c-7b6a5f4e3d2c"
MAX_NAME_LENGTH = 50


class TagSchema(Schema):
    """A tag as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": TAG_UUID})
    name = ma.fields.String(required=True, metadata={"example": "urgent"})
    color = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "#1e90ff", "description": "As `#rrggbb`, in lower case."},
    )
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class TagChangeSchema(Schema):
    """What of a tag may be changed; nothing is required."""

    name = String(min_length=1, max_length=MAX_NAME_LENGTH, metadata={"example": "urgent"})
    color = Color()


class TagCreateSchema(TagChangeSchema):
    """A new tag."""

    name = String(
        required=True, min_length=1, max_length=MAX_NAME_LENGTH, metadata={"example": "urgent"}
    )


class TagMergeSchema(Schema):
    """The tag that another becomes."""

    into_uuid = ma.fields.UUID(required=True, metadata={"example": OTHER_TAG_UUID})
