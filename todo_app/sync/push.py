"""Changes that a client made while it was away, in one request.

What it has created has a temporary id, by which later operations name it. Real ids are given before
anything is done, so an operation whose ground was not made fails by itself, as it would alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from todo_app.bulk import service as bulk
from todo_app.bulk.service import BulkFailedError, Operation
from todo_app.database import db
from todo_app.errors import AppError, InvalidInputError
from todo_app.lists.service import add_list
from todo_app.lists.tree import lock_tree
from todo_app.sections.service import add_section
from todo_app.tags.service import add_tag
from todo_app.tenancy import CurrentUser
from todo_app.todos.placing import Place

ADD_LIST, ADD_SECTION, ADD_TAG = GROUNDS = ("create_list", "create_section", "create_tag")
"""What is made before all tasks, whatever the order of the operations."""
KINDS = (*GROUNDS, *bulk.KINDS)

NAMES = ("list_uuid", "section_uuid", "parent_uuid")
"""Values that may be temporary ids."""
TWICE = "This temporary id is there twice."


class Pushed(NamedTuple):
    """What came of one operation."""

    status: int
    temp_uuid: uuid.UUID | None
    uuid: uuid.UUID | None
    version: int | None
    error: AppError | None


def push(actor: CurrentUser, operations: Sequence[Operation], *, is_atomic: bool) -> list[Pushed]:
    """Do many operations: lists, sections and tags are made first, then tasks in their order.

    Args:
        actor: who.
        operations: which; kinds are KINDS.
        is_atomic: whether one that is not possible undoes all others.

    Returns:
        The result of each, in the order in which they came.

    Raises:
        InvalidInputError: two have the same temporary id.
        BulkFailedError: `is_atomic`, and one was not possible.
    """
    given = [one.temp_uuid for one in operations if one.temp_uuid]
    if len(set(given)) < len(given):
        raise InvalidInputError(errors={"json": {"operations": [TWICE]}})
    real = {temp: uuid.uuid4() for temp in given}
    todo = [_with_real(operation, real) for operation in operations]
    done: dict[int, Pushed] = {}
    grounds = {operation.kind for operation in todo} & set(GROUNDS)
    # Those lock in the client's order, ahead of `bulk.run`, which has one for all requests.
    if ADD_LIST in grounds:
        lock_tree()
    if grounds:
        bulk.lock(actor, todo)
    for index, operation in enumerate(todo):
        if operation.kind in GROUNDS:
            done[index] = _make(actor, index, operation, is_atomic=is_atomic)
    others = [index for index in range(len(todo)) if index not in done]
    try:
        results = bulk.run(actor, [todo[index] for index in others], is_atomic=is_atomic)
    except BulkFailedError as error:
        raise BulkFailedError(others[error.index], error.cause) from None
    for index, result in zip(others, results, strict=True):
        operation, task = todo[index], result.task
        key = task.uuid if task else operation.task_uuid
        version = task.version if task else None
        done[index] = Pushed(result.status, operation.temp_uuid, key, version, result.error)
    return [done[index] for index in range(len(todo))]


def _make(actor: CurrentUser, index: int, operation: Operation, *, is_atomic: bool) -> Pushed:
    """Make a list, section or tag."""
    values = dict(operation.values)
    try:
        with db.session.begin_nested():
            if operation.kind == ADD_LIST:
                made = add_list(actor, values)
            elif operation.kind == ADD_SECTION:
                made = add_section(actor, values.pop("list_uuid"), values)
            else:
                made = add_tag(values)
    except AppError as error:
        if is_atomic:
            raise BulkFailedError(index, error) from None
        return Pushed(error.status, operation.temp_uuid, None, None, error)
    return Pushed(201, operation.temp_uuid, made.uuid, made.version, None)


def _with_real(operation: Operation, real: dict[uuid.UUID, uuid.UUID]) -> Operation:
    """An operation with real ids in place of temporary ones."""
    values: dict[str, Any] = dict(operation.values)
    for name in NAMES:
        if name in values:
            values[name] = real.get(values[name], values[name])
    if "tag_uuids" in values:
        values["tag_uuids"] = [real.get(tag, tag) for tag in values["tag_uuids"]]
    if operation.temp_uuid:
        values["uuid"] = real[operation.temp_uuid]
    after, before = operation.place
    task_uuid = operation.task_uuid
    return operation._replace(
        values=values,
        task_uuid=real.get(task_uuid, task_uuid) if task_uuid else None,
        place=Place(
            real.get(after, after) if after else None, real.get(before, before) if before else None
        ),
    )
