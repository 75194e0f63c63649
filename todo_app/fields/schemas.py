"""Shapes of custom fields."""

from __future__ import annotations

import marshmallow as ma

from todo_app.lists.schemas import SOME_TIME
from todo_app.schemas import Schema, String, Time
from todo_app.todos.models import FIELD_KINDS

FIELD_UUID = "9e8d7c6b-5a49-4382-b716-0f5e4d3c2b1a"
MAX_NAME_LENGTH = 100
MAX_OPTIONS = 100
MAX_OPTION_LENGTH = 100
KIND_TEXT = "What its values are; it never changes."
OPTIONS_TEXT = "Of which a value of a `choice` is one; none for other kinds."


class ListFieldSchema(Schema):
    """A custom field as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": FIELD_UUID})
    name = ma.fields.String(required=True, metadata={"example": "Risk"})
    kind = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(FIELD_KINDS),
        metadata={"example": "choice", "description": KIND_TEXT},
    )
    options = ma.fields.List(
        ma.fields.String(),
        required=True,
        metadata={"example": ["low", "high"], "description": OPTIONS_TEXT},
    )
    position = ma.fields.String(
        required=True,
        metadata={
            "example": "a0",
            "description": "Its place among the fields, compared byte by byte.",
        },
    )
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class ListFieldChangeSchema(Schema):
    """What of a field may be changed; nothing is required."""

    name = String(min_length=1, max_length=MAX_NAME_LENGTH, metadata={"example": "Risk"})
    options = ma.fields.List(
        String(min_length=1, max_length=MAX_OPTION_LENGTH),
        validate=ma.validate.Length(max=MAX_OPTIONS),
        metadata={"example": ["low", "high"], "description": OPTIONS_TEXT},
    )


class ListFieldCreateSchema(ListFieldChangeSchema):
    """A new field."""

    name = String(
        required=True, min_length=1, max_length=MAX_NAME_LENGTH, metadata={"example": "Risk"}
    )
    kind = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(FIELD_KINDS),
        metadata={"example": "choice", "description": KIND_TEXT},
    )
