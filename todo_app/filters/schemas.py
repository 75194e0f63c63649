"""Shapes of kept filters."""

from __future__ import annotations

import marshmallow as ma

from todo_app.filters.language import MAX_LENGTH
from todo_app.lists.schemas import MAX_TITLE_LENGTH, PersonRefSchema
from todo_app.schemas import Boolean, Schema, String, Time
from todo_app.todos.schemas import SOME_TIME

FILTER_UUID = "2b9c8d7e-6f50-4a1b-8c2d-3e4f5a6b7c8d"
SOME_FILTER = "priority >= 3 and due < now+7d and assignee = me"
SHARED_TEXT = "Whether all people of the company see it; `me` is whoever asks."


class SavedFilterSchema(Schema):
    """A kept filter."""

    uuid = ma.fields.UUID(required=True, metadata={"example": FILTER_UUID})
    title = ma.fields.String(required=True, metadata={"example": "Urgent"})
    filter = ma.fields.String(required=True, metadata={"example": SOME_FILTER})
    is_shared = ma.fields.Boolean(
        required=True, metadata={"example": False, "description": SHARED_TEXT}
    )
    position = ma.fields.String(
        required=True,
        metadata={
            "example": "a0",
            "description": "Its place among its owner's filters, compared byte by byte.",
        },
    )
    owner = ma.fields.Nested(PersonRefSchema, required=True)
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class SavedFilterChangeSchema(Schema):
    """What of a kept filter may be changed; nothing is required."""

    title = String(min_length=1, max_length=MAX_TITLE_LENGTH, metadata={"example": "Urgent"})
    filter = String(min_length=1, max_length=MAX_LENGTH, metadata={"example": SOME_FILTER})
    is_shared = Boolean(metadata={"example": False, "description": SHARED_TEXT})


class SavedFilterCreateSchema(SavedFilterChangeSchema):
    """A filter to keep."""

    title = String(
        required=True, min_length=1, max_length=MAX_TITLE_LENGTH, metadata={"example": "Urgent"}
    )
    filter = String(
        required=True, min_length=1, max_length=MAX_LENGTH, metadata={"example": SOME_FILTER}
    )
