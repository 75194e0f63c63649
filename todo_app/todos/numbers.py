"""The numbers of tasks in their list: of OPS-17 the 17, each given once and in their order."""

from __future__ import annotations

import uuid
from typing import NamedTuple

import sqlalchemy as sa

from todo_app.database import db
from todo_app.errors import InvalidInputError
from todo_app.tenancy import CurrentUser
from todo_app.todos import positions
from todo_app.todos.access import NO_SUCH_LIST, check_open, check_rank, rank
from todo_app.todos.models import WRITE, Task, TodoList
from todo_app.todos.shown import ANYBODY


class Entry(NamedTuple):
    """What a new task needs to be the last of a list."""

    list_id: int
    number: int
    position: str


def enter(actor: CurrentUser, list_uuid: uuid.UUID) -> Entry:
    """Take the next number of a list, which `actor` then holds alone until the transaction ends.

    Raises:
        InvalidInputError: there is no such list, or it is not for the actor to see.
        ForbiddenError: it is, and they may not write there.
        FolderError, ListArchivedError: nobody may.
    """
    parameters = {"actor_id": actor.id, "list_uuid": list_uuid}
    # First, so that the subqueries of the next statement see what whoever held it has written.
    db.session.execute(_HOLD, parameters)
    row = db.session.execute(_ENTER, parameters).one_or_none()
    if row is None or not row.rank:
        raise InvalidInputError(errors={"json": {"list_uuid": [NO_SUCH_LIST]}})
    check_rank(row.rank, WRITE)
    check_open(row.kind, row.archived_at)
    return Entry(row.id, row.last_number, _behind(row.position))


def take_numbers(list_id: int, count: int) -> int:
    """Take the next numbers of a list that is held alone; the first of them."""
    taken = _taking(count).where(TodoList.id == list_id).returning(TodoList.last_number)
    return db.session.execute(taken).scalar_one() - count + 1


def _behind(position: str | None) -> str:
    try:
        return positions.between(position, None)
    except positions.NoRoomError:
        # Equal ones are in the order of their keys, so a new task is the last all the same.
        return position or positions.FIRST


def _taking(count: int) -> sa.Update:
    return (
        sa.update(TodoList)
        # A list has not changed because something was put into it.
        .values(last_number=TodoList.last_number + count, updated_at=TodoList.updated_at)
        .execution_options(synchronize_session=False)
    )


_LAST = (
    sa.select(Task.position)
    .where(Task.list_id == TodoList.id)
    .order_by(Task.position.desc(), Task.id.desc())
    .limit(1)
    .correlate(TodoList)
    .scalar_subquery()
)
_IS_MEANT = (
    TodoList.uuid == sa.bindparam("list_uuid", type_=sa.Uuid),
    TodoList.deleted_at.is_(None),
)
_HOLD = sa.select(TodoList.id).where(*_IS_MEANT).with_for_update(key_share=True)
_ENTER = (
    _taking(1)
    .where(*_IS_MEANT)
    .returning(
        TodoList.id,
        TodoList.last_number,
        TodoList.kind,
        TodoList.archived_at,
        rank(ANYBODY).label("rank"),
        _LAST.label("position"),
    )
)
