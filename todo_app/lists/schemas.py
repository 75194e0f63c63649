"""Shapes of lists."""

from __future__ import annotations

import uuid
from typing import Any

import marshmallow as ma

from todo_app.pagination import PageRequest, page_query
from todo_app.schemas import Schema, String, Time
from todo_app.todos.models import ACCESSES, KINDS, LIST, VISIBILITIES
from todo_app.todos.placing import Place

MAX_TITLE_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 20_000
MAX_ICON_LENGTH = 50

LIST_UUID = "7c1f6c1e-6f0f-4a3e-9a51-3f0e9f2b8a10"
PARENT_UUID = "f1d1b4a3-0c55-4f0e-8d5c-2a2b7c9f4e66"
NEIGHBOUR_UUID = "2b5e1c77-9d0a-4b8e-8f0d-7c6b5a493827"
USER_UUID = "d6f1a0a4-92a3-4b7e-a2a6-6d0c5f0b3e21"
SOME_TIME = "2026-03-01T09:30:00+00:00"

COLOR = ma.validate.Regexp("^#[0-9a-fA-F]{6}$", error="Not a colour like #1e90ff.")
SYMBOL = ma.validate.Regexp(
    "^[A-Z0-9]{2,10}$", error="Not 2 to 10 capital letters and digits, such as OPS."
)
KIND_TEXT = "A `folder` has lists inside and no tasks; a `list` may have both."
VISIBILITY_TEXT = "`company` for everybody, `private` for its creator and its members."
SYMBOL_TEXT = "`OPS` makes its tasks OPS-1, OPS-2, and so on. No two lists have the same."


class Color(String):
    """A colour as `#rrggbb`, in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"example": "#1e90ff", "description": "As `#rrggbb`."}
        super().__init__(allow_none=True, max_length=7, validate=COLOR, metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return super()._deserialize(value, attr, data, **kwargs).lower()


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
    kind = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(KINDS),
        metadata={"example": LIST, "description": KIND_TEXT},
    )
    visibility = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(VISIBILITIES),
        metadata={"example": "company", "description": VISIBILITY_TEXT},
    )
    access = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(ACCESSES),
        metadata={"example": "admin", "description": "What the caller may do with it."},
    )
    parent_uuid = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={
            "example": None,
            "description": "The list that it is in; null at the top, and where the caller cannot "
            "see that list.",
        },
    )
    position = ma.fields.String(
        required=True,
        metadata={
            "example": "a0",
            "description": "Its place among the lists around it, compared byte by byte.",
        },
    )
    color = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"example": "#1e90ff", "description": "As `#rrggbb`, in lower case."},
    )
    icon = ma.fields.String(required=True, allow_none=True, metadata={"example": "🛒"})
    symbol = ma.fields.String(
        required=True, allow_none=True, metadata={"example": "OPS", "description": SYMBOL_TEXT}
    )
    is_favourite = ma.fields.Boolean(
        required=True, metadata={"example": False, "description": "Of the caller."}
    )
    archived_at = Time(required=True, allow_none=True, metadata={"example": None})
    created_by = ma.fields.Nested(PersonRefSchema, required=True)
    created_at = Time(required=True, metadata={"example": SOME_TIME})
    updated_at = Time(required=True, metadata={"example": SOME_TIME})


class TodoListChangeSchema(Schema):
    """What of a list may be changed; nothing is required."""

    title = String(min_length=1, max_length=MAX_TITLE_LENGTH, metadata={"example": "Groceries"})
    description = String(
        allow_none=True, max_length=MAX_DESCRIPTION_LENGTH, metadata={"example": "For the week"}
    )
    color = Color()
    icon = String(
        allow_none=True,
        min_length=1,
        max_length=MAX_ICON_LENGTH,
        metadata={"example": "🛒", "description": "An emoji, or a name that clients know."},
    )
    symbol = String(
        allow_none=True,
        max_length=10,
        validate=SYMBOL,
        metadata={"example": "OPS", "description": SYMBOL_TEXT},
    )
    visibility = ma.fields.String(
        validate=ma.validate.OneOf(VISIBILITIES),
        metadata={"example": "company", "description": VISIBILITY_TEXT},
    )


class TodoListCreateSchema(TodoListChangeSchema):
    """A new list."""

    title = String(
        required=True,
        min_length=1,
        max_length=MAX_TITLE_LENGTH,
        metadata={"example": "Groceries"},
    )
    kind = ma.fields.String(
        validate=ma.validate.OneOf(KINDS), metadata={"example": LIST, "description": KIND_TEXT}
    )
    parent_uuid = ma.fields.UUID(
        allow_none=True,
        metadata={"example": None, "description": "The list that it is put into."},
    )


class PlaceSchema(Schema):
    """Where something is put in its order: beside one neighbour, or at the end."""

    after_uuid = ma.fields.UUID(
        allow_none=True,
        metadata={"example": NEIGHBOUR_UUID, "description": "Right after this one."},
    )
    before_uuid = ma.fields.UUID(
        allow_none=True,
        metadata={"example": None, "description": "Right before this one."},
    )

    @ma.validates_schema
    def _check_one(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("after_uuid") and data.get("before_uuid"):
            raise ma.ValidationError("Give one neighbour only.", "before_uuid")

    @ma.post_load
    def _as_place(self, data: dict[str, Any], **_: Any) -> Any:
        return Place(data.get("after_uuid"), data.get("before_uuid"))


class TodoListMoveSchema(PlaceSchema):
    """Where a list is put."""

    parent_uuid = ma.fields.UUID(
        allow_none=True,
        metadata={
            "example": PARENT_UUID,
            "description": "The list that it is put into, null for the top; left out, it stays.",
        },
    )

    @ma.post_load
    def _as_place(self, data: dict[str, Any], **_: Any) -> Any:
        moved: dict[str, uuid.UUID | bool | Place | None] = {
            "place": Place(data.get("after_uuid"), data.get("before_uuid"))
        }
        if "parent_uuid" in data:
            moved |= {"parent_uuid": data["parent_uuid"], "is_put_elsewhere": True}
        return moved


def list_query(fields: tuple[str, ...], default: str) -> type[Schema]:
    """The page parameters of lists: those of every page, and filters beside them."""

    class TodoListQuerySchema(page_query(fields, default)):  # type: ignore[misc]
        is_archived = ma.fields.Boolean(
            truthy={"true"},
            falsy={"false"},
            metadata={"description": "True for those that are archived, in place of the others."},
        )
        is_favourite = ma.fields.Boolean(
            truthy={"true"},
            falsy={"false"},
            metadata={"description": "Only favourites of the caller, or only others."},
        )
        kind = ma.fields.String(
            validate=ma.validate.OneOf(KINDS), metadata={"description": "Only lists, or folders."}
        )
        parent_uuid = ma.fields.UUID(metadata={"description": "Only those inside this one."})

        @ma.post_load
        def _as_request(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
            page = PageRequest(**{name: data.pop(name) for name in PageRequest._fields})
            return {"page": page, "filters": data}

    return TodoListQuerySchema
