"""Shapes of comments."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from todo_app.lists.schemas import PersonRefSchema
from todo_app.pagination import PageRequest, page_query
from todo_app.schemas import Schema, String, Time
from todo_app.todos.schemas import MAX_DESCRIPTION_LENGTH, SOME_TIME, TASK_UUID

COMMENT_UUID = "9f8e7d6c-5b4a-4392-8170-6f5e4d3c2b1a"
SOME_TEXT = "Which shop, @grace@acme.com?"
_TEXT: dict[str, Any] = {
    "example": SOME_TEXT,
    "description": "Markdown. `@` and an address mention somebody.",
}


class CommentSchema(Schema):
    """A comment as it is shown."""

    uuid = ma.fields.UUID(required=True, metadata={"example": COMMENT_UUID})
    task_uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    text = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": SOME_TEXT, "description": "Markdown; null where it was deleted."},
    )
    text_html = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "example": "<p>Which shop?</p>\n",
            "description": "The text, safe to put into a page.",
        },
    )
    author = ma.fields.Nested(PersonRefSchema, required=True)
    mentions = ma.fields.List(
        ma.fields.Nested(PersonRefSchema),
        required=True,
        metadata={"description": "Whom it names, of those who can see the list."},
    )
    deleted_at = Time(required=True, allow_none=True, metadata={"example": None})
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class CommentChangeSchema(Schema):
    """What of a comment may be changed; nothing is required."""

    text = String(min_length=1, max_length=MAX_DESCRIPTION_LENGTH, metadata=_TEXT)


class CommentCreateSchema(Schema):
    """A new comment."""

    task_uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    text = String(required=True, min_length=1, max_length=MAX_DESCRIPTION_LENGTH, metadata=_TEXT)


def comment_query(fields: tuple[str, ...], default: str) -> type[Schema]:
    """The page parameters of comments: those of every page, and filters beside them."""

    class CommentQuerySchema(page_query(fields, default)):  # type: ignore[misc]
        task_uuid = ma.fields.UUID(metadata={"description": "Only comments on this task."})
        author_uuid = ma.fields.UUID(metadata={"description": "Only comments of this user."})
        mentions_me = ma.fields.Boolean(
            truthy={"true"},
            falsy={"false"},
            metadata={"description": "Only comments that mention the caller."},
        )

        @ma.post_load
        def _as_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
            page = PageRequest(**{name: data.pop(name) for name in PageRequest._fields})
            return {"page": page, "filters": data}

    return CommentQuerySchema
