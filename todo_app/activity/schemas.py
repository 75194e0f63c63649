"""Shapes of the timeline."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from todo_app.lists.schemas import PersonRefSchema, TodoListRefSchema
from todo_app.pagination import PageRequest, page_query
from todo_app.schemas import Schema, String, Time
from todo_app.todos.schemas import SOME_TIME, TASK_UUID


class ActiveTaskSchema(Schema):
    """A task that an entry is about."""

    uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    title = ma.fields.String(required=True, metadata={"example": "Buy milk"})


class ActivitySchema(Schema):
    """Something that was done."""

    at = Time(required=True, metadata={"example": SOME_TIME})
    action = ma.fields.String(
        required=True,
        metadata={"example": "task.changed", "description": "Later versions may add more."},
    )
    actor = ma.fields.Nested(
        PersonRefSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Who did it; null where the service did."},
    )
    list = ma.fields.Nested(TodoListRefSchema, required=True)
    task = ma.fields.Nested(
        ActiveTaskSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Null where it is about the list, or the caller cannot see it."},
    )
    changes = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.List(ma.fields.Raw(allow_none=True)),
        required=True,
        metadata={
            "example": {"status": ["new", "done"]},
            "description": "By field, what it was and what it became.",
        },
    )


class TaskActivityQuerySchema(page_query(("at",), "at")):  # type: ignore[misc]
    """The page parameters of one task's timeline."""

    order = ma.fields.String(load_default="desc", validate=ma.validate.OneOf(("asc", "desc")))
    actor_uuid = ma.fields.UUID(metadata={"description": "Only what this user did."})
    action = String(
        min_length=1,
        max_length=50,
        metadata={"description": "Only this action.", "example": "task.added"},
    )
    at_from = Time(metadata={"description": "Only what was done then or later."})
    at_before = Time(metadata={"description": "Only what was done earlier."})

    @ma.post_load
    def _as_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        page = PageRequest(**{name: data.pop(name) for name in PageRequest._fields})
        return {"page": page, "filters": data}


class ActivityQuerySchema(TaskActivityQuerySchema):
    """The page parameters of the timeline."""

    list_uuid = ma.fields.UUID(metadata={"description": "Only what was done in this list."})
    task_uuid = ma.fields.UUID(metadata={"description": "Only what was done to this task."})
