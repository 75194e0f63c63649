"""Shapes of lists and tasks."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from todo_app.filters.language import MAX_LENGTH
from todo_app.pagination import PageRequest, page_query
from todo_app.schemas import Schema, String, Time
from todo_app.todos.models import HIGHEST_PRIORITY, LOWEST_PRIORITY, NEW, STATUSES

MAX_TITLE_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 20_000

LIST_UUID = "7c1f6c1e-6f0f-4a3e-9a51-3f0e9f2b8a10"
TASK_UUID = "0b9d6a52-52cb-4a08-8a4e-2f6f5d8b1c77"
USER_UUID = "d6f1a0a4-92a3-4b7e-a2a6-6d0c5f0b3e21"
SOME_TIME = "2026-03-01T09:30:00+00:00"


class PersonRefSchema(Schema):
    """A user of the tenant, as far as it takes to show a name."""

    uuid = ma.fields.UUID(required=True, metadata={"example": USER_UUID})
    first_name = ma.fields.String(required=True, metadata={"example": "Ada"})
    last_name = ma.fields.String(required=True, metadata={"example": "Lovelace"})


class TodoListRefSchema(Schema):
    """The list that a task is in."""

    uuid = ma.fields.UUID(required=True, metadata={"example": LIST_UUID})
    title = ma.fields.String(required=True, metadata={"example": "Groceries"})


class TodoListSchema(Schema):
    """A list as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": LIST_UUID})
    title = ma.fields.String(required=True, metadata={"example": "Groceries"})
    description = ma.fields.String(
        required=True, allow_none=True, metadata={"example": "For the week"}
    )
    color = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "#1e90ff", "description": "As `#rrggbb`, in lower case."},
    )
    created_by = ma.fields.Nested(PersonRefSchema, required=True)
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class TodoListChangeSchema(Schema):
    """What of a list may be changed; nothing is required."""

    title = String(min_length=1, max_length=MAX_TITLE_LENGTH, metadata={"example": "Groceries"})
    description = String(
        allow_none=True, max_length=MAX_DESCRIPTION_LENGTH, metadata={"example": "For the week"}
    )
    color = String(
        allow_none=True,
        max_length=7,
        validate=ma.validate.Regexp("^#[0-9a-fA-F]{6}$", error="Not a colour like #1e90ff."),
        metadata={"example": "#1e90ff"},
    )

    @ma.post_load
    def _lower_color(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return data | {"color": data["color"].lower()} if data.get("color") else data


class TodoListCreateSchema(TodoListChangeSchema):
    """A new list."""

    title = String(
        required=True,
        min_length=1,
        max_length=MAX_TITLE_LENGTH,
        metadata={"example": "Groceries"},
    )


class TaskSchema(Schema):
    """A task as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    title = ma.fields.String(required=True, metadata={"example": "Buy milk"})
    description = ma.fields.String(
        required=True, allow_none=True, metadata={"example": "2 litres, fresh"}
    )
    status = ma.fields.String(
        required=True,
        metadata={
            "example": NEW,
            "description": f"One of {', '.join(STATUSES)}; later versions may add more.",
        },
    )
    priority = ma.fields.Integer(
        required=True, metadata={"example": 3, "description": "0 is none, 5 the highest."}
    )
    due_at = Time(required=True, allow_none=True, metadata={"example": SOME_TIME})
    completed_at = Time(
        required=True,
        allow_none=True,
        metadata={"example": None, "description": "When the status became done; else null."},
    )
    list = ma.fields.Nested(TodoListRefSchema, required=True)
    assignee = ma.fields.Nested(
        PersonRefSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Who is to do it; null where nobody is."},
    )
    created_by = ma.fields.Nested(PersonRefSchema, required=True)
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class TaskChangeSchema(Schema):
    """What of a task may be changed; nothing is required."""

    list_uuid = ma.fields.UUID(
        metadata={"example": LIST_UUID, "description": "The list that the task is in."}
    )
    title = String(min_length=1, max_length=MAX_TITLE_LENGTH, metadata={"example": "Buy milk"})
    description = String(
        allow_none=True, max_length=MAX_DESCRIPTION_LENGTH, metadata={"example": "2 litres, fresh"}
    )
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES), metadata={"example": NEW})
    priority = ma.fields.Integer(
        strict=True,
        validate=ma.validate.Range(LOWEST_PRIORITY, HIGHEST_PRIORITY),
        metadata={"example": 3, "description": "0 is none, 5 the highest."},
    )
    due_at = Time(
        allow_none=True,
        metadata={"example": SOME_TIME, "description": "With any offset, never without one."},
    )
    assignee_uuid = ma.fields.UUID(
        allow_none=True,
        metadata={"example": USER_UUID, "description": "Who is to do it; null for nobody."},
    )


class TaskCreateSchema(TaskChangeSchema):
    """A new task."""

    list_uuid = ma.fields.UUID(
        required=True,
        metadata={"example": LIST_UUID, "description": "The list that the task is in."},
    )
    title = String(
        required=True, min_length=1, max_length=MAX_TITLE_LENGTH, metadata={"example": "Buy milk"}
    )


def task_query(fields: tuple[str, ...], default: str) -> type[Schema]:
    """The page parameters of tasks: those of every page, and filters beside them."""

    class TaskQuerySchema(page_query(fields, default)):  # type: ignore[misc]
        list_uuid = ma.fields.UUID(metadata={"description": "Only tasks of this list."})
        status = ma.fields.String(
            validate=ma.validate.OneOf(STATUSES),
            metadata={"description": "Only tasks with this status."},
        )
        assignee_uuid = ma.fields.UUID(metadata={"description": "Only tasks of this user."})
        # Not trimmed: errors count its columns.
        filter = ma.fields.String(
            validate=ma.validate.Length(1, MAX_LENGTH),
            metadata={
                "description": "Only tasks that this filter finds; see the filter language.",
                "example": "priority >= 3 and due < now+7d and assignee = me",
            },
        )

        @ma.post_load
        def _as_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
            page = PageRequest(**{name: data.pop(name) for name in PageRequest._fields})
            return {"page": page, "filters": data}

    return TaskQuerySchema
