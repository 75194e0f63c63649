"""Shapes of bulk requests."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma

from todo_app.bulk.service import (
    COMPLETE,
    CREATE,
    DELETE,
    KINDS,
    MAX_OPERATIONS,
    MOVE,
    UPDATE,
    Operation,
)
from todo_app.errors import InvalidInputError
from todo_app.schemas import Boolean, ProblemSchema, Schema
from todo_app.todos.schemas import (
    LIST_UUID,
    TASK_UUID,
    TaskChangeSchema,
    TaskCreateSchema,
    TaskDetailSchema,
    TaskMoveSchema,
)

MAX_BODY_BYTES = 16 * 1024 * 1024
"""So many descriptions of full length fit."""

NOT_HERE = "This kind of operation has none."


class OperationSchema(Schema):
    """One change."""

    SHAPES: ClassVar[dict[str, Schema]] = {
        CREATE: TaskCreateSchema(),
        UPDATE: TaskChangeSchema(),
        MOVE: TaskMoveSchema(),
    }
    """By kind, the shape of its values; the others have none."""
    CREATES: ClassVar[tuple[str, ...]] = (CREATE,)

    kind = ma.fields.String(
        required=True, validate=ma.validate.OneOf(KINDS), metadata={"example": COMPLETE}
    )
    uuid = ma.fields.UUID(
        metadata={"example": TASK_UUID, "description": "The task; none for `create`."}
    )
    version = ma.fields.Integer(
        strict=True,
        metadata={
            "example": 1,
            "description": "The number that the task's ETag begins with: the change is made only "
            "where it is the current one.",
        },
    )
    values = ma.fields.Dict(
        keys=ma.fields.String(),
        metadata={
            "example": {},
            "description": "For `create` and `update` as in POST and PATCH of a task, for `move` "
            "as in its move.",
        },
    )

    @ma.validates_schema
    def _check_uuid(self, data: dict[str, Any], **_: Any) -> None:
        is_new = data["kind"] in self.CREATES
        if is_new and ("uuid" in data or "version" in data):
            raise ma.ValidationError(NOT_HERE, "uuid" if "uuid" in data else "version")
        if not is_new and "uuid" not in data:
            raise ma.ValidationError("Missing data for required field.", "uuid")
        if data["kind"] in (COMPLETE, DELETE) and data.get("values"):
            raise ma.ValidationError(NOT_HERE, "values")

    @ma.post_load
    def _as_operation(self, data: dict[str, Any], **_: Any) -> Operation:
        kind, values = data["kind"], data.get("values", {})
        versions = frozenset([data["version"]]) if "version" in data else None
        if kind not in self.SHAPES:
            return Operation(kind, data["uuid"], versions=versions)
        try:
            loaded = self.SHAPES[kind].load(values)
        except ma.ValidationError as error:
            raise ma.ValidationError({"values": error.messages}) from None
        if kind == MOVE:
            return Operation(kind, data["uuid"], loaded["target"], loaded["place"], versions)
        temp_uuid = data.get("temp_uuid")
        return Operation(kind, data.get("uuid"), loaded, versions=versions, temp_uuid=temp_uuid)


class OperationField(ma.fields.Nested):
    """One change; one that cannot be read becomes an operation with an error."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, partial: Any = None, **_: Any
    ) -> Operation:
        try:
            operation: Operation = self.schema.load(value)
        except ma.ValidationError as error:
            return Operation(error=InvalidInputError(errors={"json": error.messages}))
        return operation


class BulkSchema(Schema):
    """Many changes."""

    atomic = Boolean(
        load_default=True,
        metadata={
            "example": False,
            "description": "Whether one that is not possible undoes all others; else each is for "
            "itself.",
        },
    )
    operations = ma.fields.List(
        OperationField(OperationSchema),
        required=True,
        validate=ma.validate.Length(1, MAX_OPERATIONS),
        metadata={
            "description": "They are done in their order.",
            "example": [
                {"kind": "create", "values": {"list_uuid": LIST_UUID, "title": "Buy milk"}},
                {"kind": "complete", "uuid": TASK_UUID, "version": 3},
            ],
        },
    )


class ResultSchema(Schema):
    """What came of one change."""

    status = ma.fields.Integer(
        required=True,
        metadata={"example": 200, "description": "As of a request for this change alone."},
    )
    task = ma.fields.Nested(
        TaskDetailSchema,
        required=True,
        allow_none=True,
        metadata={"description": "As it is after all changes; null where it is in the trash."},
    )
    version = ma.fields.Integer(
        required=True, allow_none=True, metadata={"example": 4, "description": "Of the task."}
    )
    error = ma.fields.Nested(ProblemSchema, required=True, allow_none=True)


class ResultsSchema(Schema):
    """What came of the changes, in their order."""

    results = ma.fields.List(ma.fields.Nested(ResultSchema), required=True)
