"""Tasks inside tasks, to any depth, all in one list.

Whoever changes what is inside what holds the list alone, so no two changes make a circle together.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.database import db
from todo_app.errors import InvalidInputError
from todo_app.todos.models import Task

NO_SUCH_PARENT = "There is no such task in this list."


class CycleError(InvalidInputError):
    """A task would be inside itself."""

    code = "cycle"
    detail = "A task cannot be inside itself."

    def __init__(self) -> None:
        super().__init__(errors={"json": {"parent_uuid": [self.detail]}})


def check_parent(list_id: int, parent_uuid: uuid.UUID | None, moved: int | None) -> int | None:
    """The key of the task that another is put into; None for the top.

    Args:
        list_id: the list of both, which is held alone.
        parent_uuid: of the task; None for the top.
        moved: the key of what is put there; None where it is new.

    Raises:
        InvalidInputError: the list has no such task.
        CycleError: it is the one that is moved, or inside it.
    """
    if parent_uuid is None:
        return None
    parent_id = db.session.scalar(
        sa.select(Task.id).where(
            Task.uuid == parent_uuid, Task.list_id == list_id, Task.deleted_at.is_(None)
        )
    )
    if moved is not None and parent_id is None:
        # It may be inside a task that goes to another list together with it.
        inside = sa.select(Task.id).where(Task.uuid == parent_uuid, Task.id.in_(below(moved)))
        if db.session.scalar(inside) is not None:
            raise CycleError
    if parent_id is None:
        raise InvalidInputError(errors={"json": {"parent_uuid": [NO_SUCH_PARENT]}})
    if moved is not None and moved in above(parent_id):
        raise CycleError
    return parent_id


def above(task_id: int) -> list[int]:
    """The keys of a task and of those around it."""
    first = sa.select(Task.id, Task.parent_id).where(Task.id == task_id)
    chain = first.cte("chain", recursive=True)
    parent = aliased(Task)
    chain = chain.union(
        sa.select(parent.id, parent.parent_id).where(parent.id == chain.c.parent_id)
    )
    return list(db.session.scalars(sa.select(chain.c.id)))


def below(task_id: int, *conditions: sa.ColumnElement[bool]) -> list[int]:
    """The keys of a task and of those inside it, in ascending order.

    Args:
        task_id: the task.
        conditions: on `Task`; what is inside one that does not meet them is left out as well.
    """
    first = sa.select(Task.id).where(Task.id == task_id)
    tree = first.cte("tree", recursive=True)
    tree = tree.union(sa.select(Task.id).where(Task.parent_id == tree.c.id, *conditions))
    return list(db.session.scalars(sa.select(tree.c.id).order_by(tree.c.id)))
