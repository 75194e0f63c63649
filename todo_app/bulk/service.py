"""Many changes of tasks in one request: all or none of them, or each for itself."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from todo_app.database import Versions, db
from todo_app.errors import AppError, InvalidInputError, PreconditionFailedError
from todo_app.tenancy import CurrentUser
from todo_app.todos import deletion, moves, service
from todo_app.todos.access import visible_lists
from todo_app.todos.details import find_tags
from todo_app.todos.models import Tag, Task, TodoList
from todo_app.todos.placing import Place
from todo_app.todos.shown import Shown, get_tasks
from todo_app.todos.workflow import DONE

MAX_OPERATIONS = 500
MAX_SERIES = 50
"""Operations of one request that set a recurrence: a rule may take a tenth of a second to check."""

CREATE, UPDATE, COMPLETE, MOVE, DELETE = KINDS = ("create", "update", "complete", "move", "delete")


class Operation(NamedTuple):
    """One of the changes; what could not be read as one has an `error` in place of values."""

    kind: str = ""
    task_uuid: uuid.UUID | None = None
    values: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    place: Place = Place()
    versions: Versions = None
    error: InvalidInputError | None = None
    temp_uuid: uuid.UUID | None = None
    """What the client calls what is created, in the operations of one request."""


class Result(NamedTuple):
    """What came of one of them."""

    status: int
    task: Shown | None
    error: AppError | None


class BulkFailedError(AppError):
    """One of the operations was not possible, so nothing was done.

    Args:
        index: which, from 0.
        cause: why.
    """

    def __init__(self, index: int, cause: AppError) -> None:
        self.index, self.cause = index, cause
        problems = cause.errors.get("json", cause.errors) if cause.errors else [cause.detail]
        super().__init__(
            f"Operation {index}: {cause.detail} Nothing was done.",
            errors={"json": {"operations": {str(index): problems}}},
        )
        self.status = cause.status  # type: ignore[misc]
        self.code = cause.code  # type: ignore[misc]


def run(actor: CurrentUser, operations: Sequence[Operation], *, is_atomic: bool) -> list[Result]:
    """Do many operations in their order.

    Args:
        actor: who.
        operations: which.
        is_atomic: whether one that is not possible undoes all others.

    Returns:
        The result of each, in their order.

    Raises:
        BulkFailedError: `is_atomic`, and one was not possible.
        InvalidInputError: too many of them set a recurrence.
    """
    if sum(bool(operation.values.get("recurrence")) for operation in operations) > MAX_SERIES:
        problem = f"At most {MAX_SERIES} of them set a recurrence."
        raise InvalidInputError(errors={"json": {"operations": [problem]}})
    if is_atomic:
        for index, operation in enumerate(operations):
            if operation.error is not None:
                raise BulkFailedError(index, operation.error)
    lock(actor, operations)
    done: list[tuple[int, uuid.UUID | None, AppError | None]] = []
    for index, operation in enumerate(operations):
        try:
            with db.session.begin_nested():
                done.append((*_do(actor, operation), None))
        except (AppError, sa.orm.exc.StaleDataError) as error:
            cause = error if isinstance(error, AppError) else PreconditionFailedError()
            if is_atomic:
                raise BulkFailedError(index, cause) from None
            done.append((cause.status, None, cause))
    shown = get_tasks(actor, [task_uuid for _, task_uuid, _ in done if task_uuid])
    return [
        Result(status, shown.get(task_uuid) if task_uuid else None, error)
        for status, task_uuid, error in done
    ]


def _do(actor: CurrentUser, operation: Operation) -> tuple[int, uuid.UUID | None]:
    """Do one operation; its status, and the task that is to be shown."""
    if operation.error is not None:
        raise operation.error
    values, versions = operation.values, operation.versions
    if operation.kind == CREATE:
        return 201, service.add(actor, values).uuid
    assert operation.task_uuid is not None  # noqa: S101 (tells the type checker)
    task_uuid = operation.task_uuid
    if operation.kind == DELETE:
        deletion.delete(actor, task_uuid, versions)
        return 204, None
    if operation.kind == MOVE:
        moves.move_task(actor, task_uuid, values, operation.place, versions)
    elif operation.kind == COMPLETE:
        service.change(actor, task_uuid, {"status": DONE}, versions)
    else:
        service.change(actor, task_uuid, values, versions)
    return 200, task_uuid


def lock(actor: CurrentUser, operations: Sequence[Operation]) -> None:
    """Lock all that is named in one order, so that no two requests lock each other out."""
    lists = [operation.values.get("list_uuid") for operation in operations]
    tasks = [operation.task_uuid for operation in operations if operation.task_uuid]
    tags = {tag for operation in operations for tag in operation.values.get("tag_uuids", ())}
    of_tasks = sa.select(Task.list_id).where(Task.uuid.in_(tasks))
    named = sa.or_(TodoList.uuid.in_([one for one in lists if one]), TodoList.id.in_(of_tasks))
    locked = (
        sa.select(TodoList.id)
        .where(named, TodoList.id.in_(visible_lists(actor)))
        .order_by(TodoList.id)
        .with_for_update(of=TodoList, key_share=True)
    )
    keys = db.session.scalars(locked).all()
    if tags:
        find_tags(db.session.scalars(sa.select(Tag.uuid).where(Tag.uuid.in_(tags))).all())
    rows = sa.select(Task.id).where(Task.uuid.in_(tasks), Task.list_id.in_(keys)).order_by(Task.id)
    db.session.execute(rows.with_for_update(key_share=True))
