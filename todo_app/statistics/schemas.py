"""Shapes of statistics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import marshmallow as ma

from todo_app.schemas import Schema, Time
from todo_app.statistics.service import GROUPS, TIMES
from todo_app.todos.schemas import SOME_TIME

MAX_DAYS = 366
DEFAULT_DAYS = 30


def _number(description: str, example: int = 3) -> ma.fields.Integer:
    return ma.fields.Integer(
        required=True, metadata={"example": example, "description": description}
    )


class CountersSchema(Schema):
    """What a start page shows."""

    open = _number("Neither done nor rejected.", 12)
    overdue = _number("Open, and due before now.")
    due_today = _number("Open, and due on the caller's day.")
    due_this_week = _number("Open, and due within seven days, today among them.", 5)
    without_due = _number("Open, and never due.", 4)
    mine = _number("Open, and assigned to the caller.", 6)
    mine_overdue = _number("Of these, the overdue.", 1)
    done_today = _number("Done on the caller's day.", 2)
    done = _number("All that are done.", 40)


class TaskGroupQuerySchema(Schema):
    """Which tasks are counted, and how."""

    by = ma.fields.String(
        load_default="status", validate=ma.validate.OneOf(GROUPS), metadata={"example": "status"}
    )
    list_uuid = ma.fields.UUID(metadata={"description": "Only tasks of this list."})
    since = Time(metadata={"description": "Only tasks created then or later."})
    before = Time(metadata={"description": "Only tasks created earlier."})


class TaskGroupSchema(Schema):
    """Tasks of one kind."""

    key = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "example": "in_progress",
            "description": "A status, a priority, or the id of a list or user; null for tasks "
            "without assignee.",
        },
    )
    title = ma.fields.String(required=True, allow_none=True, metadata={"example": "in_progress"})
    total = _number("All.", 10)
    open = _number("Neither done nor rejected.", 6)
    done = _number("Done.", 4)
    overdue = _number("Open, and due before now.", 1)


class TaskGroupsSchema(Schema):
    """Tasks by kind."""

    items = ma.fields.List(ma.fields.Nested(TaskGroupSchema), required=True)


class SpanSchema(Schema):
    """A time: the last 30 days, where nothing is said."""

    since = Time(metadata={"example": SOME_TIME})
    before = Time(metadata={"description": "Now, where it is left out."})
    list_uuid = ma.fields.UUID(metadata={"description": "Only tasks of this list."})

    @ma.post_load
    def _fill(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        before = data.setdefault("before", datetime.now(UTC))
        since = data.setdefault("since", before - timedelta(days=DEFAULT_DAYS))
        if not timedelta(0) < before - since <= timedelta(days=MAX_DAYS):
            raise ma.ValidationError(f"Up to {MAX_DAYS} days, and not before `since`.", "before")
        return data


class PeriodsQuerySchema(SpanSchema):
    """Which time, and how it is divided."""

    by = ma.fields.String(
        load_default="day", validate=ma.validate.OneOf(TIMES), metadata={"example": "day"}
    )


class PeriodSchema(Schema):
    """What happened in a day, or in an hour of all days."""

    key = ma.fields.String(
        required=True,
        metadata={"example": "2026-03-01", "description": "A day, or an hour from 00 to 23."},
    )
    created = _number("Tasks that were created.")
    done = _number("Tasks that were done.", 2)


class PeriodsSchema(Schema):
    """What happened when; times in which nothing happened are left out."""

    items = ma.fields.List(ma.fields.Nested(PeriodSchema), required=True)


class PercentilesSchema(Schema):
    """Seconds that so many in a hundred needed at most; null where there are none."""

    p50 = ma.fields.Float(required=True, allow_none=True, metadata={"example": 86400.0})
    p85 = ma.fields.Float(required=True, allow_none=True, metadata={"example": 259200.0})
    p95 = ma.fields.Float(required=True, allow_none=True, metadata={"example": 604800.0})


class FlowSchema(Schema):
    """How work flows."""

    done = _number("Tasks that were done in the time.", 40)
    done_per_day = ma.fields.Float(required=True, metadata={"example": 1.33})
    lead_seconds = ma.fields.Nested(
        PercentilesSchema, required=True, metadata={"description": "From creation to completion."}
    )
    cycle_seconds = ma.fields.Nested(
        PercentilesSchema,
        required=True,
        metadata={"description": "From the first moment in progress; of tasks that were."},
    )


class FirstStepsSchema(Schema):
    """What the caller has done already."""

    added_list = ma.fields.Boolean(required=True, metadata={"example": True})
    added_task = ma.fields.Boolean(required=True, metadata={"example": True})
    completed_task = ma.fields.Boolean(required=True, metadata={"example": False})
    invited_somebody = ma.fields.Boolean(required=True, metadata={"example": False})
