"""Shapes of shares."""

from __future__ import annotations

import marshmallow as ma

from todo_app.groups.schemas import GROUP_UUID
from todo_app.lists.schemas import SOME_TIME, PersonRefSchema
from todo_app.schemas import Schema, Time
from todo_app.todos.models import ACCESSES

ACCESS_TEXT = (
    "`read` to see the list, `write` to change it and its tasks, `admin` to share, archive and "
    "delete it, too."
)


class GroupRefSchema(Schema):
    """A group of the tenant, as far as it takes to show a name."""

    uuid = ma.fields.UUID(required=True, metadata={"example": GROUP_UUID})
    name = ma.fields.String(required=True, metadata={"example": "Accounting"})


class ListMemberSchema(Schema):
    """With whom a list is shared: a user, or a group."""

    user = ma.fields.Nested(PersonRefSchema, required=True, allow_none=True)
    group = ma.fields.Nested(
        GroupRefSchema, required=True, allow_none=True, metadata={"example": None}
    )
    access = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(ACCESSES),
        metadata={"example": "write", "description": ACCESS_TEXT},
    )
    created_at = Time(required=True, metadata={"example": SOME_TIME})


class ListAccessSchema(Schema):
    """What a member may do."""

    access = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(ACCESSES),
        metadata={"example": "write", "description": ACCESS_TEXT},
    )
