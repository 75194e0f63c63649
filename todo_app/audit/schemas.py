"""Shapes of the record of who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import marshmallow as ma

from todo_app.pagination import PageRequest, page_query
from todo_app.schemas import Schema, String, Time


class AuditQuery(NamedTuple):
    """Which entries a client asks for."""

    page: PageRequest
    filters: dict[str, Any]


class AuditQuerySchema(page_query(("at",), "at")):  # type: ignore[misc]
    """The page parameters, and what entries are to have; the newest come first."""

    order = ma.fields.String(load_default="desc", validate=ma.validate.OneOf(("asc", "desc")))
    actor_uuid = ma.fields.UUID(metadata={"description": "Only what this user did."})
    action = String(
        min_length=1,
        max_length=100,
        metadata={
            "example": "user.",
            "description": "Only this action; one that ends with a dot stands for all that begin "
            "with it.",
        },
    )
    target_kind = String(min_length=1, max_length=100, metadata={"example": "user"})
    target_uuid = ma.fields.UUID(metadata={"description": "Only what was done to this."})
    since = Time(metadata={"description": "Only from this moment on."})
    until = Time(metadata={"description": "Only before this moment."})

    @ma.post_load
    def _as_request(self, data: dict[str, Any], **_: Any) -> AuditQuery:
        page = PageRequest(**{name: data.pop(name) for name in PageRequest._fields})
        return AuditQuery(page, data)


class AuditEntrySchema(Schema):
    at = Time(required=True, metadata={"example": datetime.fromisoformat("2026-05-03T14:05:00Z")})
    actor_uuid = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={"description": "Null where nobody was signed in."},
    )
    actor_name = ma.fields.String(required=True, metadata={"example": "Ada Lovelace"})
    action = ma.fields.String(required=True, metadata={"example": "user.deleted"})
    target_kind = ma.fields.String(required=True, allow_none=True, metadata={"example": "user"})
    target_uuid = ma.fields.UUID(required=True, allow_none=True)
    details = ma.fields.Dict(keys=ma.fields.String(), required=True, metadata={"example": {}})
    address = ma.fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.7"})
    user_agent = ma.fields.String(
        required=True, allow_none=True, metadata={"example": "curl/8.14.1"}
    )
    request_id = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "The X-Request-ID of the answer.",
            "example": "3f2b8c1d9e0f4a7b8c1d2e3f4a5b6c7d",
        },
    )
