"""Shapes of lists and tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import marshmallow as ma

from todo_app.pagination import PageRequest, page_query
from todo_app.schemas import Schema, String
from todo_app.todos.models import HIGHEST_PRIORITY, LOWEST_PRIORITY, STATUSES

MAX_TITLE_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 20_000


class Time(ma.fields.AwareDateTime):
    """A moment: RFC 3339 with any offset comes in, UTC goes out."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        moment = super()._deserialize(value, attr, data, **kwargs)
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            # Its local time is in the years 1 to 9999, but not its UTC.
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE) from None

    def _serialize(
        self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any
    ) -> str | float | None:
        moment = value.astimezone(UTC) if value else None
        return super()._serialize(moment, attr, obj, **kwargs)


def _title(**kwargs: Any) -> String:
    metadata = {"example": kwargs.pop("example")}
    return String(min_length=1, max_length=MAX_TITLE_LENGTH, metadata=metadata, **kwargs)


def _description() -> String:
    return String(
        allow_none=True, max_length=MAX_DESCRIPTION_LENGTH, metadata={"example": "2 litres, fresh"}
    )


def _id(example: str, description: str) -> dict[str, str]:
    return {"example": example, "description": description}


LIST_UUID = "7c1f6c1e-6f0f-4a3e-9a51-3f0e9f2b8a10"
TASK_UUID = "0b9d6a52-52cb-4a08-8a4e-2f6f5d8b1c77"
USER_UUID = "d6f1a0a4-92a3-4b7e-a2a6-6d0c5f0b3e21"
SOME_TIME = "2026-03-01T09:30:00+00:00"


class PersonRefSchema(Schema):
    """A user of the tenant, as far as it is needed to show a name."""

    uuid = ma.fields.UUID(required=True, metadata={"example": USER_UUID})
    first_name = ma.fields.String(required=True, metadata={"example": "Ada"})
    last_name = ma.fields.String(required=True, metadata={"example": "Lovelace"})


class ListRefSchema(Schema):
    """The list that a task is in."""

    uuid = ma.fields.UUID(required=True, metadata={"example": LIST_UUID})
    title = ma.fields.String(required=True, metadata={"example": "Groceries"})
