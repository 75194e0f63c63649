"""Use cases of tasks: making and changing them."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.accounts.models import User
from todo_app.database import Versions, db
from todo_app.errors import InvalidInputError
from todo_app.tenancy import CurrentUser
from todo_app.todos import details, markdown, moves, numbers, repeats, schedule, subtasks
from todo_app.todos.completion import is_recurring, set_status
from todo_app.todos.details import may_see
from todo_app.todos.locks import lock_rows, lock_task, tell
from todo_app.todos.models import Task, TaskAssignee
from todo_app.todos.shown import Shown, get_task
from todo_app.todos.workflow import DONE, NEW, OPEN

PLAIN = (
    "title",
    "description",
    "status",
    "priority",
    "start_at",
    "due_at",
    "is_all_day",
    "timezone",
    "estimate_seconds",
    "recurrence",
    "recurs_from",
    "completed_at",
)
"""Columns that the timeline tells about."""
OLD_OF_MOVED = moves.PLACES | {"status", "position"}
"""Of what the timeline tells the old value, too, of a task that comes from another list."""


def add_task(actor: CurrentUser, values: dict[str, Any]) -> Shown:
    """Add a task at the end of its list; the answer is the task as it is shown.

    Raises: as of `add`.
    """
    return get_task(actor, add(actor, values).uuid)


def add(actor: CurrentUser, values: dict[str, Any]) -> Task:
    """Add a task at the end of its list.

    Args:
        actor: who does it.
        values: columns; `list_uuid`, `section_uuid` and `parent_uuid` in place of keys;
            `assignee_uuids`, `tag_uuids`, and by name the values of the list's own `fields`.

    Raises:
        InvalidInputError: there is no such list, section, parent, user, tag or field, somebody
            cannot see the list, or dates do not fit each other.
        ForbiddenError: the actor may not write in the list.
        FolderError, ListArchivedError: nobody may.
        RecurrenceError, MarkdownError
    """
    values = dict(values)
    _check_description(values)
    entry = numbers.enter(actor, values.pop("list_uuid"))
    tags, people = _find_others(entry.list_id, values)
    fields = values.pop("fields", {})
    sent = set(values)
    status = values.pop("status", NEW)
    task = Task(created_by_id=actor.id, status=status, **entry._asdict())
    task.section_id = moves.check_section(entry.list_id, values.pop("section_uuid", None))
    parent_uuid = values.pop("parent_uuid", None)
    task.parent_id = subtasks.check_parent(entry.list_id, parent_uuid, None)
    task.completed_at = sa.func.now() if status == DONE else None
    for name, value in values.items():
        setattr(task, name, value)
    # Columns that the database fills are read below.
    task.is_all_day = task.is_all_day or False
    schedule.settle(actor, task, sent)
    db.session.add(task)
    db.session.flush()
    told = {name: (None, getattr(task, name)) for name in {*sent & set(PLAIN), "title", "status"}}
    if parent_uuid is not None:
        told["parent_uuid"] = (None, parent_uuid)
    told |= _write_others(task, tags, people, fields)
    tell(actor, "task.added", task, told)
    if status == DONE:
        repeats.follow(actor, task)
    return task


def change_task(
    actor: CurrentUser, task_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> Shown:
    """Change only what `changes` names; the answer is the task as it is shown.

    Raises: as of `change`.
    """
    return get_task(actor, change(actor, task_uuid, changes, versions).uuid)


def change(
    actor: CurrentUser, task_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> Task:
    """Change only what `changes` names, as of `add`; the next of a series follows one that is done.

    Raises:
        NotFoundError: there is no such task, or it is not for the actor to see.
        PreconditionFailedError: `versions` are given and the current one is not among them.
        StatusTransitionError: it does not go from its status to the new one.
        CycleError: it would be inside itself.
        InvalidInputError, ForbiddenError, FolderError, ListArchivedError, RecurrenceError,
        MarkdownError: as of `add`.
    """
    changes = dict(changes)
    _check_description(changes)
    target = {name: changes.pop(name) for name in moves.PLACES & set(changes)}
    is_placed = bool({"list_uuid", "parent_uuid"} & set(target))
    alone = is_placed or (changes.get("status") == DONE and is_recurring(task_uuid))
    others = {"target": target.get("list_uuid"), "tags": changes.get("tag_uuids", ())}
    task = lock_task(actor, task_uuid, versions, alone=alone, **others)
    with db.session.no_autoflush:
        told = _apply(actor, task, changes, target)
    if "list_uuid" in told:
        # Whoever sees the new list may not have seen the old one.
        told = {
            name: pair if name in OLD_OF_MOVED else (None, pair[1]) for name, pair in told.items()
        }
    if told:
        tell(actor, "task.changed", task, told)
    if told.get("status", (None, None))[1] == DONE:
        repeats.follow(actor, task)
    return task


def complete_task(actor: CurrentUser, task_uuid: uuid.UUID, versions: Versions) -> Shown:
    """Set the status to done; a task that is done already keeps its time of completion.

    Raises: as of `change`.
    """
    return change_task(actor, task_uuid, {"status": DONE}, versions)


def reopen_task(actor: CurrentUser, task_uuid: uuid.UUID, versions: Versions) -> Shown:
    """Set a done task back to new; one that is not done stays as it is.

    Raises: as of `change`.
    """
    task = lock_task(actor, task_uuid, versions)
    if task.status == DONE:
        return change_task(actor, task_uuid, {"status": NEW}, None)
    return get_task(actor, task_uuid)


def release_tasks(actor: CurrentUser, user_id: int, to_id: int | None) -> None:
    """Take a user's open tasks from them.

    Args:
        actor: who does it.
        user_id: whose tasks.
        to_id: who gets them, of those in lists that they can see; None for nobody.
    """
    mine = sa.select(TaskAssignee.task_id).where(TaskAssignee.user_id == user_id)
    for task in lock_rows(Task.id.in_(mine) & Task.status.in_(OPEN)):
        had = details.assignees_of(task)
        is_one = (TaskAssignee.task_id == task.id) & (TaskAssignee.user_id == user_id)
        db.session.execute(sa.delete(TaskAssignee).where(is_one))
        if to_id is not None:
            heir = sa.select(sa.literal(task.id), User.id)
            heir = heir.where(User.id == to_id, may_see(task.list_id))
            row = insert(TaskAssignee).from_select(["task_id", "user_id"], heir)
            db.session.execute(row.on_conflict_do_nothing())
        task.updated_at = sa.func.now()
        db.session.flush()
        have = details.assignees_of(task)
        tell(actor, "task.changed", task, details.difference("assignees", had, have))


def _apply(
    actor: CurrentUser,
    task: Task,
    changes: dict[str, Any],
    target: dict[str, uuid.UUID | None],
) -> dict[str, tuple[Any, Any]]:
    """Change a task that is locked, in one version; what was changed."""
    before = {name: getattr(task, name) for name in PLAIN}
    told = moves.relocate(task, target)
    tags, people = _find_others(task.list_id, changes)
    fields = changes.pop("fields", {})
    if "status" in changes:
        set_status(task, changes.pop("status"))
    # What is sent as it is does not begin a series anew; a rule does.
    sent = {
        name
        for name, value in changes.items()
        if name == "recurrence" or getattr(task, name) != value
    }
    for name in sent:
        setattr(task, name, changes[name])
    schedule.settle(actor, task, sent)
    others = _write_others(task, tags, people, fields)
    if others:
        task.updated_at = sa.func.now()
    db.session.flush()
    return told | schedule.told(before, task) | others


def _find_others(
    list_id: int, values: dict[str, Any]
) -> tuple[dict[int, uuid.UUID] | None, dict[int, uuid.UUID] | None]:
    """Take tags and assignees out of values; None for what is not named."""
    tags = values.pop("tag_uuids", None)
    people = values.pop("assignee_uuids", None)
    return (
        None if tags is None else details.find_tags(tags),
        None if people is None else details.find_people(list_id, people),
    )


def _write_others(
    task: Task,
    tags: dict[int, uuid.UUID] | None,
    people: dict[int, uuid.UUID] | None,
    fields: dict[str, Any],
) -> dict[str, tuple[Any, Any]]:
    told: dict[str, tuple[Any, Any]] = {}
    if tags is not None:
        told |= details.write_tags(task, tags)
    if people is not None:
        told |= details.write_assignees(task, people)
    return told | details.write_fields(task, fields)


def _check_description(values: dict[str, Any]) -> None:
    if values.get("description"):
        try:
            markdown.render(values["description"])
        except markdown.MarkdownError as error:
            raise InvalidInputError(errors={"json": {"description": [error.detail]}}) from None
