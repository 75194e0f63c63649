"""What filters may ask of tasks."""

from __future__ import annotations

from todo_app.filters.fields import Field, Fields, by_name
from todo_app.filters.kinds import ChoiceKind, MomentKind, NumberKind, TextKind
from todo_app.filters.references import ReferenceKind, UserKind
from todo_app.filters.search import vector
from todo_app.todos.models import STATUSES, Task, TodoList

TASK_WORDS = vector(Task.title, Task.description)

TASK_FIELDS = Fields(
    named=by_name(
        Field("title", TextKind(), Task.title),
        Field("description", TextKind(), Task.description),
        Field("status", ChoiceKind(STATUSES), Task.status),
        Field("priority", NumberKind(), Task.priority),
        Field("due", MomentKind(), Task.due_at),
        Field("completed", MomentKind(), Task.completed_at),
        Field("created", MomentKind(), Task.created_at),
        Field("updated", MomentKind(), Task.updated_at),
        Field(
            "list",
            ReferenceKind("a list", TodoList.id, TodoList.uuid, TodoList.title),
            Task.list_id,
        ),
        Field("assignee", UserKind(), Task.assignee_id),
        Field("creator", UserKind(), Task.created_by_id),
    ),
    words=TASK_WORDS,
)
