"""Shapes of what comes in and goes out in bulk."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

import marshmallow as ma

from todo_app.accounts.schemas import UserCreateSchema
from todo_app.filters.language import MAX_LENGTH as MAX_FILTER_LENGTH
from todo_app.lists.schemas import TodoListCreateSchema
from todo_app.schemas import Schema, String, Time
from todo_app.tags.schemas import MAX_NAME_LENGTH
from todo_app.todos.models import HIGHEST_PRIORITY, LOWEST_PRIORITY
from todo_app.todos.schemas import (
    LIST_UUID,
    MAX_ASSIGNEES,
    MAX_ESTIMATE,
    MAX_TAGS,
    TaskCreateSchema,
)
from todo_app.transfer import csv_files

_OF_USERS = UserCreateSchema().fields
# One of its fields is called `fields`, too.
_OF_TASKS: Any = TaskCreateSchema().fields
_OF_LISTS = TodoListCreateSchema().fields


class UserLineSchema(Schema):
    """A line of a file of users: what it takes is what `POST /users/` takes."""

    first_name = _OF_USERS["first_name"]
    last_name = _OF_USERS["last_name"]
    email = _OF_USERS["email"]
    role = String(required=True, min_length=1)
    phone = _OF_USERS["phone"]
    language = _OF_USERS["language"]
    timezone = _OF_USERS["timezone"]


def flag(description: str) -> ma.fields.Boolean:
    """A switch in a query, off when left out."""
    return ma.fields.Boolean(
        load_default=False,
        truthy={"true"},
        falsy={"false"},
        metadata={"description": description},
    )


class UserImportQuerySchema(Schema):
    dry_run = flag("Only say what is wrong; nothing is imported.")
    notify = flag("Mail everybody that there is an account now.")


class ImportedSchema(Schema):
    imported = ma.fields.Integer(required=True, metadata={"example": 2})
    lines = ma.fields.Integer(required=True, metadata={"example": 2})


class NamesField(ma.fields.Field[Any]):
    """Several names in one cell, with commas between them.

    Args:
        most: how many there may be.
        name: what takes one of them.
    """

    def __init__(self, most: int, name: ma.fields.Field[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._most = most
        self._name = name

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        try:
            names = csv_files.names_in(value)
        except ValueError as error:
            raise ma.ValidationError(str(error)) from None
        if len(names) > self._most:
            raise ma.ValidationError(f"More than {self._most}.")
        return [self._name.deserialize(name) for name in names]


class PersonField(ma.fields.Field[Any]):
    """The id of a user, or an address in lower case."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, **kwargs: Any
    ) -> uuid.UUID | str:
        try:
            return uuid.UUID(value) if len(value) == 36 else str(value).lower()
        except ValueError:
            return str(value).lower()


class DayOrTime(Time):
    """A day such as `2026-12-31`, or a moment."""

    def _deserialize(  # type: ignore[override]
        self, value: Any, attr: str | None, data: Any, **kwargs: Any
    ) -> date | datetime:
        try:
            day = date.fromisoformat(value.strip())
        except ValueError:
            return super()._deserialize(value.strip(), attr, data, **kwargs)
        # Python reads more forms of a day, and the first and last years are in no time zone.
        if day.isoformat() != value.strip() or not date.min.year < day.year < date.max.year:
            raise ma.ValidationError("Not a day such as 2026-12-31.")
        return day


def _whole(lowest: int, highest: int) -> ma.fields.Integer:
    return ma.fields.Integer(validate=ma.validate.Range(lowest, highest))


class TaskLineSchema(Schema):
    """A line of a file of tasks."""

    id = String(max_length=100)
    parent = String(max_length=100)
    list = String(max_length=255)
    section = String(max_length=255)
    title = _OF_TASKS["title"]
    description = _OF_TASKS["description"]
    status = _OF_TASKS["status"]
    priority = _whole(LOWEST_PRIORITY, HIGHEST_PRIORITY)
    start = DayOrTime()
    due = DayOrTime()
    timezone = _OF_TASKS["timezone"]
    recurrence = _OF_TASKS["recurrence"]
    recurs_from = _OF_TASKS["recurs_from"]
    estimate_seconds = _whole(0, MAX_ESTIMATE)
    completed = Time()
    assignees = NamesField(MAX_ASSIGNEES, PersonField())
    tags = NamesField(MAX_TAGS, String(min_length=1, max_length=MAX_NAME_LENGTH))


class TaskImportQuerySchema(Schema):
    dry_run = flag("Only say what is wrong; nothing is imported.")
    list_uuid = ma.fields.UUID(
        metadata={"example": LIST_UUID, "description": "The list of lines that name none."}
    )


class TaskExportQuerySchema(Schema):
    # Not trimmed: errors count its columns.
    filter = ma.fields.String(
        validate=ma.validate.Length(1, MAX_FILTER_LENGTH),
        metadata={"example": "status != done", "description": "Only tasks that this filter finds."},
    )
    filter_uuid = ma.fields.UUID(
        metadata={"description": "Only tasks that this kept filter finds."}
    )


class ListLineSchema(Schema):
    """A line of a file of lists."""

    id = String(max_length=100)
    parent = String(max_length=255)
    title = _OF_LISTS["title"]
    description = _OF_LISTS["description"]
    kind = _OF_LISTS["kind"]
    visibility = _OF_LISTS["visibility"]
    color = _OF_LISTS["color"]
    icon = _OF_LISTS["icon"]
    symbol = _OF_LISTS["symbol"]


class ListImportQuerySchema(Schema):
    dry_run = flag("Only say what is wrong; nothing is imported.")
