"""Moving tasks in the order of their list, into each other, and to other lists.

All tasks of a list are in one order, of which a section, or the inside of a task, shows a part.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from todo_app.accounts.models import User
from todo_app.database import Versions, db
from todo_app.errors import InvalidInputError
from todo_app.tenancy import CurrentUser
from todo_app.todos.details import assignees_of, difference, may_see
from todo_app.todos.locks import lock_rows, lock_task, tell
from todo_app.todos.marks import mark_gone, mark_tasks, mark_things
from todo_app.todos.models import (
    CHOICE,
    FieldValue,
    ListField,
    Section,
    Task,
    TaskAssignee,
    TodoList,
)
from todo_app.todos.numbers import take_numbers
from todo_app.todos.placing import Order, Place
from todo_app.todos.subtasks import below, check_parent

NOT_THERE = "There is no such task in this list."
NO_SUCH_SECTION = "There is no such section in this list."

PLACES = frozenset({"list_uuid", "section_uuid", "parent_uuid"})
"""What says where a task is."""


def move_task(
    actor: CurrentUser,
    task_uuid: uuid.UUID,
    target: dict[str, uuid.UUID | None],
    place: Place,
    versions: Versions,
) -> Task:
    """Move a task, with its subtasks, to another place of its list or to another list.

    Args:
        actor: who does it.
        task_uuid: the task.
        target: any of `list_uuid`, `section_uuid` and `parent_uuid`; what is left out stays, but in
            another list there is neither section nor parent.
        place: where among the tasks of the list; at the end where it says nothing.
        versions: the versions that this may start from.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError, PreconditionFailedError: as
            of `locks.lock_task`.
        InvalidInputError: there is no such list, section, parent or neighbour.
        CycleError
    """
    list_uuid = target.get("list_uuid")
    task = lock_task(actor, task_uuid, versions, alone=True, target=list_uuid)
    with db.session.no_autoflush:
        told = relocate(task, target)
        old = task.position
        task.position = order_of(task.list_id).find(place, task.id, moved_apart)
        if task.position != old:
            told["position"] = (old, task.position)
        db.session.flush()
    if told:
        tell(actor, "task.moved", task, told)
    return task


def relocate(task: Task, target: dict[str, uuid.UUID | None]) -> dict[str, tuple[Any, Any]]:
    """Put a task, with its subtasks, into another list, section or task; its position stays.

    The caller holds the lists alone and flushes.

    Returns:
        What was changed.

    Raises:
        InvalidInputError: there is no such section or parent in the list.
        CycleError
    """
    if not target:
        return {}
    before = _where(task)
    list_id = _list_id(target.get("list_uuid")) or task.list_id
    section_uuid, parent_uuid = target.get("section_uuid"), target.get("parent_uuid")
    goes_elsewhere = list_id != task.list_id
    if goes_elsewhere or "parent_uuid" in target:
        task.parent_id = check_parent(list_id, parent_uuid, task.id)
    if goes_elsewhere or "section_uuid" in target:
        task.section_id = check_section(list_id, section_uuid)
    told: dict[str, tuple[Any, Any]] = {}
    if goes_elsewhere:
        told = _take_along(task, list_id)
        # Nobody else has a place there yet that it could be after.
        task.position = order_of(list_id).find(Place(), task.id, moved_apart)
    after = _where(task)
    return told | {name: (old, after[name]) for name, old in before.items() if old != after[name]}


def check_section(list_id: int, section_uuid: uuid.UUID | None) -> int | None:
    """The key of a section of a list; None for none.

    Raises:
        InvalidInputError: the list has no such section.
    """
    if section_uuid is None:
        return None
    found = sa.select(Section.id).where(Section.uuid == section_uuid, Section.list_id == list_id)
    section_id = db.session.scalar(found)
    if section_id is None:
        raise InvalidInputError(errors={"json": {"section_uuid": [NO_SUCH_SECTION]}})
    return section_id


def order_of(list_id: int) -> Order:
    """The order of the tasks of a list."""
    are_there = sa.and_(Task.list_id == list_id, Task.deleted_at.is_(None))
    return Order(Task.id, Task.position, are_there, Task.uuid, NOT_THERE)


def moved_apart(keys: list[int]) -> None:
    """Raise the versions of tasks that have made room for another, and mark them as changed."""
    db.session.execute(
        sa.update(Task)
        .where(Task.id.in_(keys))
        .values(version=Task.version + 1)
        .execution_options(synchronize_session=False)
    )
    mark_tasks(Task.id.in_(keys))


def _take_along(task: Task, list_id: int) -> dict[str, tuple[Any, Any]]:
    """Put a task and all that is inside it, be it in the trash, into another list."""
    keys = below(task.id)
    inside = [child.id for child in lock_rows(Task.id.in_(keys) & (Task.id != task.id))]
    task.number = take_numbers(list_id, len(keys))
    mark_gone(keys, task.list_id)
    task.list_id = list_id
    if inside:
        nth = sa.func.row_number().over(order_by=Task.id)
        numbered = sa.select(Task.id, (task.number + nth).label("number"))
        found = numbered.where(Task.id.in_(inside)).subquery()
        db.session.execute(
            sa.update(Task)
            .where(Task.id == found.c.id)
            .values(
                list_id=list_id,
                number=found.c.number,
                section_id=None,
                version=Task.version + 1,
            )
            .execution_options(synchronize_session=False)
        )
        mark_tasks(Task.id.in_(inside))
    mark_things(keys, list_id)
    _take_values_along(keys, list_id)
    had = assignees_of(task)
    sees_not = sa.select(User.id).where(~may_see(list_id))
    gone = TaskAssignee.task_id.in_(keys) & TaskAssignee.user_id.in_(sees_not)
    db.session.execute(sa.delete(TaskAssignee).where(gone))
    return difference("assignees", had, assignees_of(task))


def _take_values_along(keys: list[int], list_id: int) -> None:
    """Keep the values that fields of the same name and kind can have in another list."""
    old, new = aliased(ListField), aliased(ListField)
    is_option = sa.func.to_jsonb(new.options, type_=JSONB).contains(FieldValue.value)
    of_tasks = FieldValue.task_id.in_(keys)
    db.session.execute(
        sa.update(FieldValue)
        .where(
            of_tasks,
            old.id == FieldValue.field_id,
            new.list_id == list_id,
            sa.func.lower(new.name) == sa.func.lower(old.name),
            new.kind == old.kind,
            sa.or_(new.kind != CHOICE, is_option),
        )
        .values(field_id=new.id)
        .execution_options(synchronize_session=False)
    )
    there = sa.select(ListField.id).where(ListField.list_id == list_id)
    db.session.execute(sa.delete(FieldValue).where(of_tasks, FieldValue.field_id.not_in(there)))


def _where(task: Task) -> dict[str, Any]:
    """What clients call the place of a task."""
    found = sa.select(
        sa.select(TodoList.uuid).where(TodoList.id == task.list_id).scalar_subquery(),
        sa.select(Section.uuid).where(Section.id == task.section_id).scalar_subquery(),
        sa.select(Task.uuid).where(Task.id == task.parent_id).scalar_subquery(),
    )
    return dict(
        zip(
            ("list_uuid", "section_uuid", "parent_uuid"),
            db.session.execute(found).one(),
            strict=True,
        )
    )


def _list_id(list_uuid: uuid.UUID | None) -> int | None:
    if list_uuid is None:
        return None
    return db.session.scalar(sa.select(TodoList.id).where(TodoList.uuid == list_uuid))
