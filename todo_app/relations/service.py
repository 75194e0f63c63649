"""That one task blocks another, is the same, or has to do with it; both tasks show it.

Who adds one that has a direction holds the lock of the tenant's relations, so no two make a circle
together.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from todo_app.activity.changes import changed
from todo_app.database import db
from todo_app.errors import ConflictError, InvalidInputError, NotFoundError
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import visible_lists
from todo_app.todos.locks import lock_task, tell
from todo_app.todos.models import BLOCKS, DUPLICATES, RELATES, Task, TaskRelation, TodoList
from todo_app.todos.shown import NO_SUCH_TASK

BLOCKED_BY, DUPLICATED_BY = "blocked_by", "duplicated_by"
INVERSES = {
    BLOCKS: BLOCKED_BY,
    BLOCKED_BY: BLOCKS,
    DUPLICATES: DUPLICATED_BY,
    DUPLICATED_BY: DUPLICATES,
    RELATES: RELATES,
}
"""What a relation is for the other of its tasks."""

MAX_RELATIONS = 100
"""Of a task."""

RELATIONS_LOCK = 7301010
"""First key of the advisory lock of a tenant's relations; the second stands for its schema."""

NO_SUCH_RELATION = "This task has no such relation."
ITSELF = "A task has no relation to itself."


class RelationExistsError(ConflictError):
    """The two tasks have this relation."""

    code = "relation-exists"
    detail = "These tasks have this relation already."


class RelationCycleError(InvalidInputError):
    """A task would block, or be the duplicate of, itself by way of others."""

    code = "cycle"
    detail = "A task cannot block, or duplicate, itself by way of others."

    def __init__(self) -> None:
        super().__init__(errors={"json": {"other_uuid": [self.detail]}})


class TooManyRelationsError(ConflictError):
    """A task has as many relations as it may have."""

    code = "too-many-relations"
    detail = f"A task has at most {MAX_RELATIONS} relations."


def relations_of(actor: CurrentUser, task_uuid: uuid.UUID) -> dict[str, Any]:
    """The relations of a task, in the order in which they were made.

    Those with tasks that the actor cannot see are left out.

    Raises:
        NotFoundError: there is no such task, or it is not for the actor to see.
    """
    task_id = _find(actor, task_uuid)
    if task_id is None:
        raise NotFoundError(NO_SUCH_TASK)
    return {"items": db.session.execute(_rows(actor, task_id)).all()}


def add_relation(actor: CurrentUser, task_uuid: uuid.UUID, kind: str, other_uuid: uuid.UUID) -> Any:
    """Relate a task to another, and show the relation.

    Args:
        actor: who does it: they may write in the list of the first, and see the other.
        task_uuid: the first.
        kind: one of INVERSES: what the first is for the other.
        other_uuid: the other.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `locks.lock_task`.
        InvalidInputError: there is no such other task, or it is the same.
        RelationExistsError, RelationCycleError, TooManyRelationsError
    """
    db.session.execute(
        sa.select(
            sa.func.pg_advisory_xact_lock(
                RELATIONS_LOCK, sa.func.hashtext(sa.func.current_schema())
            )
        )
    )
    task = lock_task(actor, task_uuid)
    other_id = _find(actor, other_uuid)
    if other_id is None or other_id == task.id:
        problem = NO_SUCH_TASK if other_id is None else ITSELF
        raise InvalidInputError(errors={"json": {"other_uuid": [problem]}})
    first, second, stored = task.id, other_id, kind
    if kind in (BLOCKED_BY, DUPLICATED_BY) or (kind == RELATES and first > second):
        first, second, stored = second, first, INVERSES[kind]
    for one in (first, second):
        _check_room(one)
    if stored != RELATES and first in _reached_from(second, stored):
        raise RelationCycleError
    made = db.session.execute(
        insert(TaskRelation)
        .values(task_id=first, other_id=second, kind=stored)
        .on_conflict_do_nothing()
        .returning(TaskRelation.uuid)
    ).one_or_none()
    if made is None:
        raise RelationExistsError
    tell(actor, "relation.added", task, {kind: (None, other_uuid)})
    _mark(made.uuid, [first, second])
    return db.session.execute(_rows(actor, task.id, TaskRelation.uuid == made.uuid)).one()


def delete_relation(actor: CurrentUser, task_uuid: uuid.UUID, relation_uuid: uuid.UUID) -> None:
    """Take a relation away, from either of its tasks.

    Raises:
        NotFoundError: there is no such task or relation.
        ForbiddenError, FolderError, ListArchivedError: as of `locks.lock_task`.
    """
    task = lock_task(actor, task_uuid)
    shown = _rows(actor, task.id, TaskRelation.uuid == relation_uuid)
    row = db.session.execute(shown).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_RELATION)
    gone = (
        sa.delete(TaskRelation)
        .where(TaskRelation.uuid == relation_uuid)
        .returning(TaskRelation.task_id, TaskRelation.other_id)
        .execution_options(synchronize_session=False)
    )
    keys = db.session.execute(gone).one_or_none()
    if keys is None:
        # Somebody has taken it away from the other task just now.
        raise NotFoundError(NO_SUCH_RELATION)
    tell(actor, "relation.deleted", task, {row.kind: (row.task["uuid"], None)})
    _mark(relation_uuid, list(keys), deleted=True)


def _mark(relation_uuid: uuid.UUID, task_ids: list[int], *, deleted: bool = False) -> None:
    """Mark a relation as changed, for the readers of the lists of both its tasks."""
    found = sa.select(Task.list_id).where(Task.id.in_(task_ids)).distinct().order_by(Task.list_id)
    for list_id in db.session.scalars(found):
        changed("relation", relation_uuid, list_id=list_id, deleted=deleted)


def _find(actor: CurrentUser, task_uuid: uuid.UUID) -> int | None:
    return db.session.scalar(
        sa.select(Task.id).where(
            Task.uuid == task_uuid,
            Task.deleted_at.is_(None),
            Task.list_id.in_(visible_lists(actor)),
        )
    )


def _rows(
    actor: CurrentUser, task_id: int, *conditions: sa.ColumnElement[bool]
) -> sa.Select[*tuple[Any, ...]]:
    """The relations of a task, as it is shown them."""
    other = aliased(Task)
    is_first = TaskRelation.task_id == task_id
    kind = sa.case((is_first, TaskRelation.kind), else_=sa.case(INVERSES, value=TaskRelation.kind))
    symbol = TodoList.symbol + "-" + sa.cast(other.number, sa.Text)
    shape = sa.func.jsonb_build_object(
        "uuid",
        other.uuid,
        "title",
        other.title,
        "status",
        other.status,
        "symbol",
        sa.case((other.number > 0, symbol)),
    )
    other_id = sa.case((is_first, TaskRelation.other_id), else_=TaskRelation.task_id)
    return (
        sa.select(
            TaskRelation.uuid, kind.label("kind"), shape.label("task"), TaskRelation.created_at
        )
        .join(other, other.id == other_id)
        .join(TodoList, TodoList.id == other.list_id)
        .where(
            sa.or_(is_first, TaskRelation.other_id == task_id),
            other.deleted_at.is_(None),
            other.list_id.in_(visible_lists(actor)),
            *conditions,
        )
        .order_by(TaskRelation.id)
    )


def _check_room(task_id: int) -> None:
    has = sa.or_(TaskRelation.task_id == task_id, TaskRelation.other_id == task_id)
    number = db.session.scalar(sa.select(sa.func.count()).where(has))
    if (number or 0) >= MAX_RELATIONS:
        raise TooManyRelationsError


def _reached_from(task_id: int, kind: str) -> set[int]:
    """The keys of all tasks to which relations of a kind lead from one, its own among them."""
    first = sa.select(sa.cast(task_id, sa.BigInteger).label("id"))
    tree = first.cte("chain", recursive=True)
    following = sa.select(TaskRelation.other_id).where(
        TaskRelation.task_id == tree.c.id, TaskRelation.kind == kind
    )
    return set(db.session.scalars(sa.select(tree.union(following).c.id)))
