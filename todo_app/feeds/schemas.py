"""Shapes of calendars."""

from __future__ import annotations

import marshmallow as ma

from todo_app.feeds.address import EXAMPLE
from todo_app.lists.schemas import LIST_UUID, SOME_TIME
from todo_app.schemas import Schema, Time
from todo_app.todos.ical import EVENTS, TODOS

FEED_UUID = "7a1d0c52-9f0e-4a57-8f43-2b6c1d9e0f5a"
ABOUT_LIST = "The list that it shows; null for your own tasks of all lists."


class FeedListSchema(Schema):
    """The list that a calendar shows."""

    uuid = ma.fields.UUID(required=True, metadata={"example": LIST_UUID})
    title = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "Groceries", "description": "Null once you do not see it any more."},
    )


class FeedSchema(Schema):
    """A calendar, without its address, which nobody knows but whoever has made it."""

    uuid = ma.fields.UUID(required=True, metadata={"example": FEED_UUID})
    list = ma.fields.Nested(
        FeedListSchema,
        required=True,
        allow_none=True,
        metadata={"description": ABOUT_LIST},
    )
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    last_used_at = Time(
        required=True,
        allow_none=True,
        metadata={
            "example": SOME_TIME,
            "description": "When a program has read it last, up to an hour before.",
        },
    )


class FeedsSchema(Schema):
    """All calendars of a user."""

    items = ma.fields.List(ma.fields.Nested(FeedSchema), required=True)


class NewFeedSchema(FeedSchema):
    """A new calendar, with its addresses, which are shown this once."""

    url = ma.fields.String(
        required=True,
        metadata={
            "example": f"https://todo.example.com/feeds/{EXAMPLE}.ics",
            "description": "For programs that know to-dos: each task is a VTODO.",
        },
    )
    events_url = ma.fields.String(
        required=True,
        metadata={
            "example": f"https://todo.example.com/feeds/{EXAMPLE}.ics?kind={EVENTS}",
            "description": "For those that know events only: each task with a date is a VEVENT.",
        },
    )


class FeedCreateSchema(Schema):
    """What a new calendar shows."""

    list_uuid = ma.fields.UUID(
        load_default=None,
        allow_none=True,
        metadata={"example": LIST_UUID, "description": ABOUT_LIST},
    )


class CalendarQuerySchema(Schema):
    """As what a calendar has tasks."""

    kind = ma.fields.String(
        load_default=TODOS,
        validate=ma.validate.OneOf((TODOS, EVENTS)),
        metadata={"example": EVENTS, "description": "VTODO, or VEVENT of those with a date."},
    )
