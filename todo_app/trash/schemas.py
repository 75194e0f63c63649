"""Shapes of the trash."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from todo_app.pagination import PageRequest, page_query
from todo_app.schemas import Schema, Time
from todo_app.todos.schemas import LIST_UUID, SOME_TIME, TASK_UUID
from todo_app.trash.service import KINDS, ORDER_BY


class TrashItemSchema(Schema):
    """Something that was deleted."""

    kind = ma.fields.String(
        required=True, validate=ma.validate.OneOf(KINDS), metadata={"example": "task"}
    )
    uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    title = ma.fields.String(required=True, metadata={"example": "Buy milk"})
    list_uuid = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={"example": LIST_UUID, "description": "The list of a task."},
    )
    deleted_at = Time(required=True, metadata={"example": SOME_TIME})


class TrashQuerySchema(page_query(ORDER_BY, "deleted_at")):  # type: ignore[misc]
    """The page parameters of the trash."""

    kind = ma.fields.String(
        validate=ma.validate.OneOf(KINDS), metadata={"description": "Only lists, or tasks."}
    )

    @ma.post_load
    def _as_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        page = PageRequest(**{name: data.pop(name) for name in PageRequest._fields})
        return {"page": page, "filters": data}
