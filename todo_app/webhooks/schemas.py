"""Shapes of webhooks and of what they were sent."""

from __future__ import annotations

from typing import Any, NamedTuple

import marshmallow as ma

from todo_app.lists.schemas import SOME_TIME, PersonRefSchema
from todo_app.pagination import PageRequest, page_query
from todo_app.schemas import Boolean, Schema, String, Time
from todo_app.webhooks.addresses import MAX_URL_LENGTH
from todo_app.webhooks.deliveries import MOST_REPLAYED
from todo_app.webhooks.kinds import CHOICES, TEST
from todo_app.webhooks.models import DELIVERED, FAILED, OFF_REASONS, STATES

WEBHOOK_UUID = "2f9c1d7e-8b3a-4c56-9e0f-1a2b3c4d5e6f"
DELIVERY_UUID = "0198f3c1-6a52-4d2e-9f5b-0a6c1f1f8a11"
URL = "https://hooks.example.com/todo-events"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # noqa: S105 (an example)
URL_TEXT = "http:// or https://, of a public host; port 80, 443, or 1024 and above."
EVENTS_TEXT = (
    "The actions of the timeline; `task.*` stands for all of tasks, `*` for all there are and will "
    "be."
)


class WebhookSchema(Schema):
    """A webhook as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": WEBHOOK_UUID})
    url = ma.fields.String(required=True, metadata={"example": URL})
    events = ma.fields.List(
        ma.fields.String(),
        required=True,
        metadata={"example": ["comment.added", "task.*"], "description": EVENTS_TEXT},
    )
    is_active = ma.fields.Boolean(required=True, metadata={"example": True})
    off_reason = ma.fields.String(
        required=True,
        allow_none=True,
        validate=ma.validate.OneOf(OFF_REASONS),
        metadata={
            "example": None,
            "description": "Why the service has switched it off: the receiver answered 410 "
            "(`gone`), or took nothing for days (`failing`).",
        },
    )
    failures = ma.fields.Integer(
        required=True,
        metadata={"example": 0, "description": "Attempts that failed since one was accepted."},
    )
    failing_since = Time(required=True, allow_none=True, metadata={"example": None})
    former_secret_until = Time(
        required=True,
        allow_none=True,
        metadata={
            "example": None,
            "description": "Until then messages are signed with the former secret, too.",
        },
    )
    created_by = ma.fields.Nested(PersonRefSchema, required=True)
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class WebhookWithSecretSchema(WebhookSchema):
    """A webhook whose secret has just been made."""

    secret = ma.fields.String(
        required=True,
        metadata={"example": SECRET, "description": "Verifies signatures. Shown this once."},
    )


def _url(**kwargs: Any) -> String:
    # Unsafe ones are told why by a rule of their own.
    return String(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        metadata={"example": URL, "description": URL_TEXT},
        **kwargs,
    )


def _events(**kwargs: Any) -> ma.fields.List[str]:
    return ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(CHOICES)),
        validate=ma.validate.Length(1, len(CHOICES)),
        metadata={"example": ["comment.added", "task.*"], "description": EVENTS_TEXT},
        **kwargs,
    )


class WebhookCreateSchema(Schema):
    """A new webhook."""

    url = _url(required=True)
    events = _events(required=True)


class WebhookChangeSchema(Schema):
    """What of a webhook may be changed; nothing is required."""

    url = _url()
    events = _events()
    is_active = Boolean(metadata={"example": True})


class DeliverySchema(Schema):
    """A message as the log shows it; all but the last attempt is forgotten."""

    uuid = ma.fields.UUID(
        required=True,
        metadata={"example": DELIVERY_UUID, "description": "The header `webhook-id`."},
    )
    event = ma.fields.String(required=True, metadata={"example": "task.added"})
    state = ma.fields.String(
        required=True, validate=ma.validate.OneOf(STATES), metadata={"example": DELIVERED}
    )
    attempts = ma.fields.Integer(required=True, metadata={"example": 1})
    status = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={"example": 204, "description": "Of the answer; null where none came."},
    )
    error = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": None, "description": "Why the message was not accepted."},
    )
    answer = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": None, "description": "The first 1,000 characters of the answer."},
    )
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    attempted_at = Time(required=True, allow_none=True, metadata={"example": SOME_TIME})
    next_at = Time(required=True, allow_none=True, metadata={"example": None})
    ended_at = Time(required=True, allow_none=True, metadata={"example": SOME_TIME})


class DeliveryDetailSchema(DeliverySchema):
    """A message with what it says."""

    payload = ma.fields.Dict(
        keys=ma.fields.String(),
        required=True,
        metadata={
            "example": {"type": TEST, "timestamp": "2026-03-01T09:30:00.000+00:00", "data": {}}
        },
    )


class DeliveryQuery(NamedTuple):
    """Which messages a client asks for."""

    page: PageRequest
    filters: dict[str, Any]


class DeliveryQuerySchema(page_query(("created_at",), "created_at")):  # type: ignore[misc]
    """The page parameters, and what messages are to have; the newest come first."""

    class Meta:
        """There is no text to search in."""

        exclude = ("search",)

    order = ma.fields.String(load_default="desc", validate=ma.validate.OneOf(("asc", "desc")))
    state = ma.fields.String(validate=ma.validate.OneOf(STATES), metadata={"example": FAILED})
    event = String(min_length=1, max_length=100, metadata={"example": "task.added"})
    since = Time(metadata={"example": SOME_TIME, "description": "From this moment on."})
    until = Time(metadata={"example": SOME_TIME, "description": "Before this moment."})

    @ma.post_load
    def _as_request(self, data: dict[str, Any], **_: Any) -> DeliveryQuery:
        names = [name for name in PageRequest._fields if name in data]
        page = PageRequest(search="", **{name: data.pop(name) for name in names})
        return DeliveryQuery(page, data)


class ReplaySchema(Schema):
    """Which messages are to be sent again."""

    since = Time(
        required=True, metadata={"example": SOME_TIME, "description": "From this moment on."}
    )
    until = Time(metadata={"example": SOME_TIME, "description": "Before this moment."})
    state = ma.fields.String(
        load_default=FAILED,
        validate=ma.validate.OneOf((FAILED, DELIVERED)),
        metadata={"example": FAILED},
    )


class ReplayedSchema(Schema):
    """How many will be sent again."""

    replayed = ma.fields.Integer(
        required=True,
        metadata={"example": 12, "description": f"At most {MOST_REPLAYED:,}, the oldest ones."},
    )
