"""What filters may ask of tasks."""

from __future__ import annotations

import sqlalchemy as sa

from todo_app.filters.fields import Field, Fields, Link, by_name
from todo_app.filters.kinds import (
    BooleanKind,
    ChoiceKind,
    DurationKind,
    MomentKind,
    NumberKind,
    TextKind,
)
from todo_app.filters.references import ReferenceKind, TaskKind, UserKind
from todo_app.filters.search import vector
from todo_app.todos.models import Section, Tag, Task, TaskAssignee, TaskTag, TimeEntry, TodoList
from todo_app.todos.workflow import OPEN, STATUSES

TASK_WORDS = vector(Task.title, Task.description)
"""What `search("words")` looks into: the expression of `ix_tasks_words`."""

_SPENT = sa.func.sum(sa.extract("epoch", TimeEntry.ended_at - TimeEntry.started_at))
_TRACKED = (
    sa.select(sa.cast(sa.func.coalesce(_SPENT, sa.literal_column("0")), sa.BigInteger))
    .where(TimeEntry.task_id == Task.id)
    .correlate(Task)
    .scalar_subquery()
)

TASK_FIELDS = Fields(
    named=by_name(
        Field("title", TextKind(), Task.title),
        Field("description", TextKind(), Task.description),
        Field("status", ChoiceKind(STATUSES), Task.status),
        Field("priority", NumberKind(), Task.priority),
        Field("start", MomentKind(), Task.start_at),
        Field("due", MomentKind(), Task.due_at),
        Field("completed", MomentKind(), Task.completed_at),
        Field("created", MomentKind(), Task.created_at),
        Field("updated", MomentKind(), Task.updated_at),
        Field("estimate", DurationKind(), Task.estimate_seconds),
        Field("tracked", DurationKind(), _TRACKED),
        Field(
            "list",
            ReferenceKind("a list", TodoList.id, TodoList.uuid, TodoList.title),
            Task.list_id,
        ),
        Field(
            "section",
            ReferenceKind("a section", Section.id, Section.uuid, Section.title),
            Task.section_id,
        ),
        Field(
            "tag",
            ReferenceKind("a tag", Tag.id, Tag.uuid, Tag.name),
            TaskTag.tag_id,
            Link(TaskTag, TaskTag.task_id == Task.id),
        ),
        Field(
            "assignee",
            UserKind(),
            TaskAssignee.user_id,
            Link(TaskAssignee, TaskAssignee.task_id == Task.id),
        ),
        Field("creator", UserKind(), Task.created_by_id),
        Field("task", TaskKind(), Task.id),
        Field("parent", TaskKind(), Task.parent_id),
        Field("is_open", BooleanKind(), Task.status.in_(OPEN)),
        Field("is_subtask", BooleanKind(), Task.parent_id.is_not(None)),
        Field("is_recurring", BooleanKind(), Task.recurrence.is_not(None)),
    ),
    words=TASK_WORDS,
)
"""Those that all tasks have; `custom.fields_of` adds the fields of lists."""
