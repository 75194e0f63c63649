"""Shapes of time entries."""

from __future__ import annotations

import marshmallow as ma

from todo_app.lists.schemas import PersonRefSchema
from todo_app.schemas import Schema, String, Time
from todo_app.todos.schemas import SOME_TIME, TASK_UUID

ENTRY_UUID = "8d2f6b31-7c4a-4e59-a1b0-3f9e5d7c6b84"
LATER = "2026-03-01T10:45:00+00:00"
MAX_NOTE_LENGTH = 1000


class TimeEntrySchema(Schema):
    """Time that somebody has spent on a task."""

    uuid = ma.fields.UUID(required=True, metadata={"example": ENTRY_UUID})
    task_uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    user = ma.fields.Nested(PersonRefSchema, required=True)
    started_at = Time(required=True, metadata={"example": SOME_TIME})
    ended_at = Time(
        required=True,
        allow_none=True,
        metadata={"example": LATER, "description": "Null while it is running."},
    )
    seconds = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={"example": 4500, "description": "Null while it is running."},
    )
    note = ma.fields.String(required=True, allow_none=True, metadata={"example": "Reading"})
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class TimeEntryStartSchema(Schema):
    """What a new running entry may have."""

    note = String(allow_none=True, max_length=MAX_NOTE_LENGTH, metadata={"example": "Reading"})


class TimeEntryChangeSchema(TimeEntryStartSchema):
    """What of an entry may be changed; nothing is required."""

    started_at = Time(metadata={"example": SOME_TIME})
    ended_at = Time(allow_none=True, metadata={"example": LATER})


class TimeEntryCreateSchema(TimeEntryStartSchema):
    """Time that was spent without a running entry."""

    started_at = Time(required=True, metadata={"example": SOME_TIME})
    ended_at = Time(required=True, metadata={"example": LATER})
