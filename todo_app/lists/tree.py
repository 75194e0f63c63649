"""Lists inside lists: how deep they are, and what is below one.

Whoever changes the tree, or the order in it, holds the lock of the tenant's tree. It is the first
lock of each such transaction; the rows of several lists come after it, in the order of their keys.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.database import db
from todo_app.errors import InvalidInputError
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import NO_SUCH_LIST, ListArchivedError, check_rank, rank
from todo_app.todos.models import WRITE, TodoList

MAX_DEPTH = 10

TREE_LOCK = 7301009
"""First key of the advisory lock of a tenant's tree; the second stands for its schema."""


class TooDeepError(InvalidInputError):
    """A list would have too many others around it."""

    code = "too-deep"
    detail = f"Lists are nested up to {MAX_DEPTH} deep."


class CycleError(InvalidInputError):
    """A list would be inside itself."""

    code = "cycle"
    detail = "A list cannot be inside itself."


def lock_tree() -> None:
    """Keep the tree of the current tenant as it is, until the transaction ends."""
    here = sa.func.hashtext(sa.func.current_schema())
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(TREE_LOCK, here)))


def check_parent(actor: CurrentUser, parent_uuid: uuid.UUID | None, height: int = 1) -> int | None:
    """The key of the list that another is put into; None for the top.

    Args:
        actor: who does it.
        parent_uuid: of the list; None for the top.
        height: how many levels are put there.

    Raises:
        InvalidInputError: there is no such list, or the tree would be too deep.
        ForbiddenError: the actor may not write there.
        ListArchivedError: nobody may.
    """
    if parent_uuid is None:
        return None
    found = sa.select(TodoList.id, TodoList.archived_at, rank(actor)).where(
        TodoList.uuid == parent_uuid, TodoList.deleted_at.is_(None)
    )
    row = db.session.execute(found).one_or_none()
    if row is None or not row[2]:
        raise InvalidInputError(errors={"json": {"parent_uuid": [NO_SUCH_LIST]}})
    check_rank(row[2], WRITE)
    if row.archived_at is not None:
        raise ListArchivedError
    if len(above(row.id)) + height > MAX_DEPTH:
        raise TooDeepError
    parent_id: int = row.id
    return parent_id


def above(list_id: int) -> list[int]:
    """The keys of a list and of those around it."""
    first = sa.select(TodoList.id, TodoList.parent_id).where(TodoList.id == list_id)
    chain = first.cte("chain", recursive=True)
    parent = aliased(TodoList)
    chain = chain.union(
        sa.select(parent.id, parent.parent_id).where(parent.id == chain.c.parent_id)
    )
    return list(db.session.scalars(sa.select(chain.c.id)))


def below(list_id: int, is_meant: Callable[[type[TodoList]], sa.ColumnElement[bool]]) -> list[int]:
    """The keys of a list and of those inside it, by level, the list itself first.

    Args:
        list_id: the list.
        is_meant: whether a list inside is meant; what is inside one that is not is not, either.
    """
    keys = level = [list_id]
    inside = aliased(TodoList)
    while level:
        found = sa.select(inside.id).where(inside.parent_id.in_(level), is_meant(inside))
        level = list(db.session.scalars(found))
        keys = keys + level
    return keys


def height(list_id: int) -> int:
    """How many levels a list has, with those inside it; 1 where nothing is."""
    levels, level = 0, [list_id]
    while level:
        levels += 1
        found = sa.select(TodoList.id).where(
            TodoList.parent_id.in_(level), TodoList.deleted_at.is_(None)
        )
        level = list(db.session.scalars(found))
    return levels
