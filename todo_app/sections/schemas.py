"""Shapes of sections."""

from __future__ import annotations

import marshmallow as ma

from todo_app.lists.schemas import MAX_TITLE_LENGTH, SOME_TIME
from todo_app.schemas import Schema, String, Time

SECTION_UUID = "5d0f4c11-3e2b-4a67-9c88-1b2a3c4d5e6f"


class SectionSchema(Schema):
    """A section as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": SECTION_UUID})
    title = ma.fields.String(required=True, metadata={"example": "This week"})
    position = ma.fields.String(
        required=True,
        metadata={
            "example": "a0",
            "description": "Its place in the list, compared byte by byte.",
        },
    )
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class SectionChangeSchema(Schema):
    """What of a section may be changed; nothing is required."""

    title = String(min_length=1, max_length=MAX_TITLE_LENGTH, metadata={"example": "This week"})


class SectionCreateSchema(Schema):
    """A new section."""

    title = String(
        required=True,
        min_length=1,
        max_length=MAX_TITLE_LENGTH,
        metadata={"example": "This week"},
    )
