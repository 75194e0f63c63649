"""Shapes of relations between tasks."""

from __future__ import annotations

import marshmallow as ma

from todo_app.relations.service import INVERSES
from todo_app.schemas import Schema, Time
from todo_app.todos.schemas import SOME_TIME, TASK_UUID

RELATION_UUID = "51c4a7de-8b3f-4c26-9d10-6e2f7a8b9c0d"
KIND_TEXT = "What the task of the address is for the other."


class TaskRefSchema(Schema):
    """A task, as far as it takes to show it beside another."""

    uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    title = ma.fields.String(required=True, metadata={"example": "Buy milk"})
    status = ma.fields.String(required=True, metadata={"example": "new"})
    symbol = ma.fields.String(required=True, allow_none=True, metadata={"example": "OPS-17"})


class RelationSchema(Schema):
    """A relation as a task shows it."""

    uuid = ma.fields.UUID(required=True, metadata={"example": RELATION_UUID})
    kind = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(tuple(INVERSES)),
        metadata={"example": "blocks", "description": KIND_TEXT},
    )
    task = ma.fields.Nested(
        TaskRefSchema, required=True, metadata={"description": "The other task."}
    )
    created_at = Time(required=True, metadata={"example": SOME_TIME})


class RelationsSchema(Schema):
    """All relations of a task that the caller may see."""

    items = ma.fields.List(ma.fields.Nested(RelationSchema), required=True)


class RelationCreateSchema(Schema):
    """A new relation."""

    kind = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(tuple(INVERSES)),
        metadata={"example": "blocks", "description": KIND_TEXT},
    )
    other_uuid = ma.fields.UUID(
        required=True, metadata={"example": TASK_UUID, "description": "The other task."}
    )
