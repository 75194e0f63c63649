"""Shapes of tasks."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from todo_app.accounts.schemas import is_time_zone
from todo_app.filters.language import MAX_LENGTH as MAX_FILTER_LENGTH
from todo_app.lists.schemas import PersonRefSchema, PlaceSchema, TodoListRefSchema
from todo_app.pagination import PageRequest, page_query
from todo_app.schemas import Boolean, Schema, String, Time
from todo_app.todos.models import HIGHEST_PRIORITY, LOWEST_PRIORITY
from todo_app.todos.placing import Place
from todo_app.todos.recurrence import ANCHORS
from todo_app.todos.rrule import MAX_TEXT_LENGTH
from todo_app.todos.workflow import NEW, STATUSES

MAX_TITLE_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 20_000
MAX_ASSIGNEES = 50
MAX_TAGS = 50
MAX_FIELDS = 50
MAX_ESTIMATE = 10**9
"""Some thirty years of seconds."""

LIST_UUID = "7c1f6c1e-6f0f-4a3e-9a51-3f0e9f2b8a10"
TASK_UUID = "0b9d6a52-52cb-4a08-8a4e-2f6f5d8b1c77"
PARENT_UUID = "3a5c7e90-1b2d-4f68-8c9a-0d1e2f3a4b5c"
SECTION_UUID = "6f1e2d3c-4b5a-4697-8877-665544332211"
TAG_UUID = "a1b2c3d4-e5f6-4789-90ab-cdef01234567"
USER_UUID = "d6f1a0a4-92a3-4b7e-a2a6-6d0c5f0b3e21"
SOME_TIME = "2026-03-01T09:30:00+00:00"
PRIORITY_TEXT = "0 is none, 5 the highest."
ALL_DAY_TEXT = "Start and due are days in `timezone`, told as their first moments."
TIMEZONE_TEXT = (
    "On whose clocks a series keeps its time and days begin; where a task needs one and none is "
    "sent, it is that of the caller."
)
RECURRENCE_TEXT = "One RRULE of RFC 5545; null for a task that does not recur."
RECURS_FROM_TEXT = "What the next task's date is counted from."
FIELDS_TEXT = "Values of the list's own fields, by their names."


class TagRefSchema(Schema):
    """A tag as a task shows it."""

    uuid = ma.fields.UUID(required=True, metadata={"example": TAG_UUID})
    name = ma.fields.String(required=True, metadata={"example": "urgent"})
    color = ma.fields.String(required=True, allow_none=True, metadata={"example": "#1e90ff"})


class SubtasksSchema(Schema):
    """How many subtasks a task has, without those inside them."""

    total = ma.fields.Integer(required=True, metadata={"example": 3})
    done = ma.fields.Integer(required=True, metadata={"example": 1})


class TaskSchema(Schema):
    """A task as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    symbol = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "example": "OPS-17",
            "description": "The list's symbol and a number; null where the list has none.",
        },
    )
    title = ma.fields.String(required=True, metadata={"example": "Buy milk"})
    description = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "2 litres, *fresh*", "description": "Markdown."},
    )
    status = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(STATUSES),
        metadata={"example": NEW, "description": "Later versions may add more."},
    )
    priority = ma.fields.Integer(
        required=True, metadata={"example": 3, "description": PRIORITY_TEXT}
    )
    start_at = Time(required=True, allow_none=True, metadata={"example": None})
    due_at = Time(required=True, allow_none=True, metadata={"example": SOME_TIME})
    is_all_day = ma.fields.Boolean(
        required=True, metadata={"example": False, "description": ALL_DAY_TEXT}
    )
    timezone = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "Europe/Warsaw", "description": TIMEZONE_TEXT},
    )
    recurrence = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "FREQ=WEEKLY;BYDAY=MO", "description": RECURRENCE_TEXT},
    )
    recurs_from = ma.fields.String(
        required=True,
        allow_none=True,
        validate=ma.validate.OneOf(ANCHORS),
        metadata={"example": "due", "description": RECURS_FROM_TEXT},
    )
    estimate_seconds = ma.fields.Integer(required=True, allow_none=True, metadata={"example": 3600})
    tracked_seconds = ma.fields.Integer(
        required=True,
        metadata={"example": 1800, "description": "Of all time entries that have ended."},
    )
    completed_at = Time(
        required=True,
        allow_none=True,
        metadata={"example": None, "description": "When the status became done; else null."},
    )
    list = ma.fields.Nested(TodoListRefSchema, required=True)
    section_uuid = ma.fields.UUID(
        required=True, allow_none=True, metadata={"example": SECTION_UUID}
    )
    parent_uuid = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={"example": None, "description": "The task that it is a part of."},
    )
    position = ma.fields.String(
        required=True,
        metadata={
            "example": "a0",
            "description": "Its place among the tasks of its list, compared byte by byte.",
        },
    )
    subtasks = ma.fields.Nested(SubtasksSchema, required=True)
    assignees = ma.fields.List(
        ma.fields.Nested(PersonRefSchema),
        required=True,
        metadata={"description": "Who is to do it."},
    )
    tags = ma.fields.List(
        ma.fields.Nested(TagRefSchema),
        required=True,
        metadata={"description": "In the order of their names."},
    )
    fields = ma.fields.Dict(  # type: ignore[assignment]
        keys=ma.fields.String(),
        required=True,
        metadata={"example": {"Risk": "low"}, "description": FIELDS_TEXT},
    )
    created_by = ma.fields.Nested(PersonRefSchema, required=True)
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class TaskDetailSchema(TaskSchema):
    """One task as it is shown, with its description as HTML."""

    description_html = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "example": "<p>2 litres, <em>fresh</em></p>\n",
            "description": "The description, safe to put into a page.",
        },
    )


class TaskPlaceSchema(Schema):
    """Where a task is."""

    list_uuid = ma.fields.UUID(
        metadata={"example": LIST_UUID, "description": "The list that the task is in."}
    )
    section_uuid = ma.fields.UUID(
        allow_none=True,
        metadata={"example": SECTION_UUID, "description": "A section of the list."},
    )
    parent_uuid = ma.fields.UUID(
        allow_none=True,
        metadata={
            "example": None,
            "description": "A task of the list that it becomes a part of; null for none.",
        },
    )


class TaskChangeSchema(TaskPlaceSchema):
    """What of a task may be changed; nothing is required."""

    title = String(min_length=1, max_length=MAX_TITLE_LENGTH, metadata={"example": "Buy milk"})
    description = String(
        allow_none=True,
        max_length=MAX_DESCRIPTION_LENGTH,
        metadata={"example": "2 litres, *fresh*", "description": "Markdown."},
    )
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES), metadata={"example": NEW})
    priority = ma.fields.Integer(
        strict=True,
        validate=ma.validate.Range(LOWEST_PRIORITY, HIGHEST_PRIORITY),
        metadata={"example": 3, "description": PRIORITY_TEXT},
    )
    start_at = Time(
        allow_none=True,
        metadata={"example": None, "description": "With any offset, never without one."},
    )
    due_at = Time(
        allow_none=True,
        metadata={"example": SOME_TIME, "description": "With any offset, never without one."},
    )
    is_all_day = Boolean(metadata={"example": False, "description": ALL_DAY_TEXT})
    timezone = ma.fields.String(
        allow_none=True,
        validate=is_time_zone,
        metadata={"example": "Europe/Warsaw", "description": TIMEZONE_TEXT},
    )
    recurrence = String(
        allow_none=True,
        min_length=1,
        max_length=MAX_TEXT_LENGTH,
        metadata={"example": "FREQ=WEEKLY;BYDAY=MO", "description": RECURRENCE_TEXT},
    )
    recurs_from = ma.fields.String(
        validate=ma.validate.OneOf(ANCHORS),
        metadata={"example": "due", "description": RECURS_FROM_TEXT},
    )
    estimate_seconds = ma.fields.Integer(
        strict=True,
        allow_none=True,
        validate=ma.validate.Range(0, MAX_ESTIMATE),
        metadata={"example": 3600},
    )
    assignee_uuids = ma.fields.List(
        ma.fields.UUID(),
        validate=ma.validate.Length(max=MAX_ASSIGNEES),
        metadata={
            "example": [USER_UUID],
            "description": "Who is to do it, all of them; only people who can see the list.",
        },
    )
    tag_uuids = ma.fields.List(
        ma.fields.UUID(),
        validate=ma.validate.Length(max=MAX_TAGS),
        metadata={"example": [TAG_UUID], "description": "All tags of the task."},
    )
    fields = ma.fields.Dict(  # type: ignore[assignment]
        keys=String(min_length=1),
        values=ma.fields.Raw(allow_none=True),
        validate=ma.validate.Length(max=MAX_FIELDS),
        metadata={
            "example": {"Risk": "low"},
            "description": f"{FIELDS_TEXT} Those that are not named stay; null takes one away.",
        },
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


class TaskMoveSchema(TaskPlaceSchema, PlaceSchema):
    """Where a task is put; what is left out stays, except in another list."""

    @ma.post_load
    def _as_place(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        place = Place(data.pop("after_uuid", None), data.pop("before_uuid", None))
        return {"place": place, "target": data}


class EnteredSchema(Schema):
    """A status, and when a task got it."""

    status = ma.fields.String(required=True, metadata={"example": NEW})
    at = Time(required=True, metadata={"example": SOME_TIME})


class TimesSchema(Schema):
    """The way of a task through its statuses."""

    seconds = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.Float(),
        required=True,
        metadata={
            "example": {"new": 3600.5, "in_progress": 60.0},
            "description": "How long it has had each status, up to now; of those that it had.",
        },
    )
    entries = ma.fields.List(
        ma.fields.Nested(EnteredSchema),
        required=True,
        metadata={"description": "In their order."},
    )


def task_query(fields: tuple[str, ...], default: str) -> type[Schema]:
    """The page parameters of tasks: those of every page, and filters beside them."""
    flag: dict[str, Any] = {"truthy": {"true"}, "falsy": {"false"}}

    class TaskQuerySchema(page_query(fields, default)):  # type: ignore[misc]
        list_uuid = ma.fields.UUID(metadata={"description": "Only tasks of this list."})
        section_uuid = ma.fields.UUID(metadata={"description": "Only tasks of this section."})
        parent_uuid = ma.fields.UUID(metadata={"description": "Only subtasks of this task."})
        status = ma.fields.String(
            validate=ma.validate.OneOf(STATUSES),
            metadata={"description": "Only tasks with this status."},
        )
        assignee_uuid = ma.fields.UUID(metadata={"description": "Only tasks of this user."})
        tag_uuid = ma.fields.UUID(metadata={"description": "Only tasks with this tag."})
        is_open = ma.fields.Boolean(
            **flag, metadata={"description": "Only what is neither done nor rejected, or is."}
        )
        is_subtask = ma.fields.Boolean(
            **flag, metadata={"description": "Only subtasks, or only others."}
        )
        due_from = Time(metadata={"description": "Only what is due then or later."})
        due_before = Time(metadata={"description": "Only what is due earlier."})
        filter_uuid = ma.fields.UUID(
            metadata={"description": "Only tasks that this kept filter finds."}
        )
        # Not trimmed: errors count its columns.
        filter = ma.fields.String(
            validate=ma.validate.Length(1, MAX_FILTER_LENGTH),
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
