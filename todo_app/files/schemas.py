"""Shapes of files."""

from __future__ import annotations

import marshmallow as ma

from todo_app.lists.schemas import PersonRefSchema
from todo_app.schemas import Schema, String, Time
from todo_app.todos.schemas import SOME_TIME, TASK_UUID

FILE_UUID = "0c9f4a52-1d7e-4b3c-8a65-2e9d7f40b1c8"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class AttachmentSchema(Schema):
    """A file of a task."""

    uuid = ma.fields.UUID(required=True, metadata={"example": FILE_UUID})
    task_uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    name = ma.fields.String(required=True, metadata={"example": "offer.pdf"})
    media_type = ma.fields.String(required=True, metadata={"example": "application/pdf"})
    size = ma.fields.Integer(required=True, metadata={"example": 48213, "description": "Bytes."})
    sha256 = ma.fields.String(
        required=True, metadata={"example": SHA256, "description": "Hash of the content."}
    )
    created_by = ma.fields.Nested(PersonRefSchema, required=True)
    created_at = Time(required=True, metadata={"example": SOME_TIME})


class UploadQuerySchema(Schema):
    """What a file is called."""

    name = String(
        required=True,
        min_length=1,
        max_length=1000,
        metadata={
            "example": "offer.pdf",
            "description": "Directories and control characters are left out of it.",
        },
    )


class UsageSchema(Schema):
    """What the files of the company take up; equal ones count once."""

    used_bytes = ma.fields.Integer(required=True, metadata={"example": 1048576})
    quota_bytes = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={"example": 1073741824, "description": "Null for any number."},
    )
