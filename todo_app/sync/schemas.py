"""Shapes of syncing."""

from __future__ import annotations

from typing import ClassVar

import marshmallow as ma

from todo_app.bulk.schemas import OperationField, OperationSchema
from todo_app.bulk.service import CREATE, MAX_OPERATIONS
from todo_app.comments.schemas import CommentSchema
from todo_app.files.schemas import AttachmentSchema
from todo_app.filters.schemas import SavedFilterSchema
from todo_app.lists.schemas import TodoListCreateSchema, TodoListSchema
from todo_app.relations.schemas import RELATION_UUID
from todo_app.reminders.schemas import ReminderSchema
from todo_app.schemas import Boolean, ProblemSchema, Schema, String, Time
from todo_app.sections.schemas import SectionCreateSchema, SectionSchema
from todo_app.sync.kinds import KINDS as THINGS
from todo_app.sync.push import ADD_LIST, ADD_SECTION, ADD_TAG, KINDS
from todo_app.sync.service import MAX_SIZE
from todo_app.tags.schemas import TagCreateSchema, TagSchema
from todo_app.time_entries.schemas import TimeEntrySchema
from todo_app.todos.models import RELATIONS
from todo_app.todos.schemas import LIST_UUID, SOME_TIME, TASK_UUID, TaskSchema

TOKEN = "MTIzfDE3NzAxMjAwMDB8NzQxfDc0MXx8MDB8MA"  # noqa: S105 (an example)
TEMP_UUID = "11111111-2222-4333-8444-555555555555"
VERSION_TEXT = "The number that its ETag begins with."


class Versioned(Schema):
    """A thing with its version."""

    version = ma.fields.Integer(required=True, metadata={"example": 1, "description": VERSION_TEXT})


class SyncedListSchema(TodoListSchema, Versioned):
    """A list as it is now."""


class SyncedSectionSchema(SectionSchema, Versioned):
    """A section as it is now."""

    list_uuid = ma.fields.UUID(required=True, metadata={"example": LIST_UUID})


class SyncedTaskSchema(TaskSchema, Versioned):
    """A task as it is now, without what a copy knows from its list and its subtasks."""

    class Meta(TaskSchema.Meta):
        """These change without it."""

        exclude = ("list", "subtasks")

    list_uuid = ma.fields.UUID(
        attribute="list.uuid", required=True, metadata={"example": LIST_UUID}
    )


class SyncedTagSchema(TagSchema, Versioned):
    """A tag as it is now."""


class SyncedRelationSchema(Schema):
    """A relation of two tasks; it never changes."""

    uuid = ma.fields.UUID(required=True, metadata={"example": RELATION_UUID})
    kind = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(RELATIONS),
        metadata={"example": "blocks", "description": "What the first is for the other."},
    )
    task_uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})
    other_uuid = ma.fields.UUID(required=True, metadata={"example": TEMP_UUID})
    created_at = Time(required=True, metadata={"example": SOME_TIME})


class SyncedTimeEntrySchema(TimeEntrySchema, Versioned):
    """A time entry as it is now."""


class SyncedCommentSchema(CommentSchema, Versioned):
    """A comment as it is now."""


class SyncedFilterSchema(SavedFilterSchema, Versioned):
    """A kept filter as it is now."""


class SyncedReminderSchema(ReminderSchema, Versioned):
    """A reminder of the caller as it is now."""


class GoneSchema(Schema):
    """Something that is no more, or no more for the caller to see."""

    kind = ma.fields.String(
        required=True, validate=ma.validate.OneOf(tuple(THINGS)), metadata={"example": "task"}
    )
    uuid = ma.fields.UUID(required=True, metadata={"example": TASK_UUID})


class SyncQuerySchema(Schema):
    """Since when."""

    since = String(
        min_length=1,
        max_length=500,
        metadata={
            "example": TOKEN,
            "description": "The token of the answer before; none for all there is.",
        },
    )
    size = ma.fields.Integer(
        load_default=200,
        validate=ma.validate.Range(1, MAX_SIZE),
        metadata={"example": 200, "description": "How many changes at most."},
    )


class DeltaSchema(Schema):
    """What has changed."""

    token = ma.fields.String(
        required=True,
        metadata={"example": TOKEN, "description": "For the next request, as `since`."},
    )
    has_more = ma.fields.Boolean(
        required=True,
        metadata={"example": False, "description": "Whether to ask again at once."},
    )
    list_uuids = ma.fields.List(
        ma.fields.UUID(),
        required=True,
        allow_none=True,
        metadata={
            "example": [LIST_UUID],
            "description": "All lists that the caller sees: forget others, and what is in them. "
            "Null where that has not changed.",
        },
    )
    lists = ma.fields.List(ma.fields.Nested(SyncedListSchema), required=True)
    sections = ma.fields.List(ma.fields.Nested(SyncedSectionSchema), required=True)
    tasks = ma.fields.List(ma.fields.Nested(SyncedTaskSchema), required=True)
    tags = ma.fields.List(ma.fields.Nested(SyncedTagSchema), required=True)
    relations = ma.fields.List(ma.fields.Nested(SyncedRelationSchema), required=True)
    time_entries = ma.fields.List(ma.fields.Nested(SyncedTimeEntrySchema), required=True)
    attachments = ma.fields.List(
        ma.fields.Nested(AttachmentSchema),
        required=True,
        metadata={"description": "Files of tasks; one never changes."},
    )
    comments = ma.fields.List(ma.fields.Nested(SyncedCommentSchema), required=True)
    filters = ma.fields.List(ma.fields.Nested(SyncedFilterSchema), required=True)
    reminders = ma.fields.List(
        ma.fields.Nested(SyncedReminderSchema),
        required=True,
        metadata={"description": "The caller's own."},
    )
    deleted = ma.fields.List(
        ma.fields.Nested(GoneSchema),
        required=True,
        metadata={"description": "With a task goes all that belongs to it."},
    )


class SectionOfListSchema(SectionCreateSchema):
    """A new section."""

    list_uuid = ma.fields.UUID(required=True, metadata={"example": LIST_UUID})


class PushOperationSchema(OperationSchema):
    """One change of a client."""

    SHAPES: ClassVar[dict[str, Schema]] = {
        **OperationSchema.SHAPES,
        ADD_LIST: TodoListCreateSchema(),
        ADD_SECTION: SectionOfListSchema(),
        ADD_TAG: TagCreateSchema(),
    }
    CREATES: ClassVar[tuple[str, ...]] = (CREATE, ADD_LIST, ADD_SECTION, ADD_TAG)

    kind = ma.fields.String(
        required=True, validate=ma.validate.OneOf(KINDS), metadata={"example": ADD_LIST}
    )
    temp_uuid = ma.fields.UUID(
        metadata={
            "example": TEMP_UUID,
            "description": "For what is created: by it, other operations of this request name it.",
        }
    )

    @ma.validates_schema
    def _check_temp_uuid(self, data: dict[str, object], **_: object) -> None:
        if "temp_uuid" in data and data["kind"] not in self.CREATES:
            raise ma.ValidationError("This kind of operation has none.", "temp_uuid")


class PushSchema(Schema):
    """What a client has done meanwhile."""

    atomic = Boolean(
        load_default=False,
        metadata={
            "example": False,
            "description": "Whether one that is not possible undoes all others; else each is for "
            "itself.",
        },
    )
    operations = ma.fields.List(
        OperationField(PushOperationSchema),
        required=True,
        validate=ma.validate.Length(1, MAX_OPERATIONS),
        metadata={
            "example": [
                {"kind": ADD_LIST, "temp_uuid": TEMP_UUID, "values": {"title": "Home"}},
                {"kind": CREATE, "values": {"list_uuid": TEMP_UUID, "title": "Buy milk"}},
            ],
        },
    )


class PushedSchema(Schema):
    """What came of one operation."""

    status = ma.fields.Integer(
        required=True,
        metadata={"example": 201, "description": "As of a request for this change alone."},
    )
    temp_uuid = ma.fields.UUID(required=True, allow_none=True, metadata={"example": TEMP_UUID})
    uuid = ma.fields.UUID(
        required=True,
        allow_none=True,
        metadata={"example": LIST_UUID, "description": "What it is called from now on."},
    )
    version = ma.fields.Integer(
        required=True, allow_none=True, metadata={"example": 1, "description": VERSION_TEXT}
    )
    error = ma.fields.Nested(ProblemSchema, required=True, allow_none=True)


class PushResultsSchema(Schema):
    """What came of all, in the order of the operations."""

    results = ma.fields.List(ma.fields.Nested(PushedSchema), required=True)
