"""Shapes of reminders."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from todo_app.pagination import PageRequest, page_query
from todo_app.reminders.service import ORDER_BY
from todo_app.schemas import Schema, Time
from todo_app.todos.schemas import TASK_UUID

REMINDER_UUID = "1f2e3d4c-5b6a-4978-8695-a4b3c2d1e0f9"
SOON = "2100-03-01T09:30:00+00:00"
MAX_BEFORE = 366 * 86_400


class ReminderSchema(Schema):
    """A reminder as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": REMINDER_UUID})
    task_uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    at = Time(required=True, allow_none=True, metadata={"example": None})
    seconds_before = ma.fields.Integer(required=True, allow_none=True, metadata={"example": 3600})
    next_at = Time(
        required=True,
        allow_none=True,
        metadata={"example": SOON, "description": "When it will be sent; null for not any more."},
    )
    sent_at = Time(required=True, allow_none=True, metadata={"example": None})
    created_at = Time(required=True, metadata={"example": SOON})


class ReminderCreateSchema(Schema):
    """A new reminder: at a moment, or before the task is due."""

    task_uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    at = Time(metadata={"description": "When; with any offset, never without one."})
    seconds_before = ma.fields.Integer(
        strict=True,
        validate=ma.validate.Range(0, MAX_BEFORE),
        metadata={"example": 3600, "description": "How long before the task is due."},
    )

    @ma.validates_schema
    def _check_one(self, data: dict[str, Any], **_: Any) -> None:
        if ("at" in data) == ("seconds_before" in data):
            raise ma.ValidationError("Give either this or `seconds_before`.", "at")


class ReminderQuerySchema(page_query(tuple(ORDER_BY), "next_at")):  # type: ignore[misc]
    """The page parameters of reminders, which have no text to search in."""

    class Meta(Schema.Meta):
        """Nothing is searched."""

        exclude = ("search",)

    task_uuid = ma.fields.UUID(metadata={"description": "Only reminders of this task."})

    @ma.post_load
    def _as_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        names = {name: data.pop(name) for name in PageRequest._fields if name != "search"}
        return {"page": PageRequest(**names, search=""), "task_uuid": data.get("task_uuid")}
