"""Lists that are about to change: locked, and then looked at."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa

from todo_app.activity.changes import changed
from todo_app.activity.service import record
from todo_app.database import Versions, db
from todo_app.errors import NotFoundError, PreconditionFailedError
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import NO_SUCH_LIST, check_open, check_rank, rank
from todo_app.todos.models import ADMIN, WRITE, TodoList


def lock_list(
    actor: CurrentUser,
    list_uuid: uuid.UUID,
    wanted: str,
    versions: Versions = None,
    *,
    alone: bool = False,
) -> tuple[TodoList, int]:
    """A list that nobody else changes until the transaction ends, and what `actor` may do there.

    Args:
        actor: who.
        list_uuid: the list.
        wanted: one of ACCESSES.
        versions: the versions that the change may start from.
        alone: whether nobody writes tasks of it meanwhile, either.

    Raises:
        NotFoundError, ForbiddenError: as of `access.check`.
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    found = sa.select(TodoList).where(TodoList.uuid == list_uuid, TodoList.deleted_at.is_(None))
    locked = found.with_for_update(key_share=not alone).execution_options(populate_existing=True)
    todo_list = db.session.scalars(locked).one_or_none()
    if todo_list is None:
        raise NotFoundError(NO_SUCH_LIST)
    # After the lock, so that it is what holds now.
    given = db.session.scalar(sa.select(rank(actor)).where(TodoList.id == todo_list.id))
    check_rank(given, wanted)
    if versions is not None and todo_list.version not in versions:
        raise PreconditionFailedError
    assert given is not None  # noqa: S101 (tells the type checker)
    return todo_list, given


def lock_contents(actor: CurrentUser, list_uuid: uuid.UUID, *, alone: bool = False) -> TodoList:
    """A list whose sections or fields are about to change.

    Raises:
        NotFoundError, ForbiddenError: as of `access.check`.
        FolderError, ListArchivedError: nobody may.
    """
    todo_list, _ = lock_list(actor, list_uuid, WRITE, alone=alone)
    check_open(todo_list.kind, todo_list.archived_at)
    return todo_list


def lock_all(keys: list[int]) -> list[TodoList]:
    """Lists that nobody else changes or writes tasks of, in the order of their keys."""
    found = sa.select(TodoList).where(TodoList.id.in_(keys)).order_by(TodoList.id)
    locked = found.with_for_update().execution_options(populate_existing=True)
    return list(db.session.scalars(locked))


def check_admin(actor: CurrentUser, todo_list: TodoList, versions: Versions) -> None:
    """Check that `actor` is an admin of a list that is locked already.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError: as of `lock_list`.
    """
    given = db.session.scalar(sa.select(rank(actor)).where(TodoList.id == todo_list.id))
    check_rank(given, ADMIN)
    if versions is not None and todo_list.version not in versions:
        raise PreconditionFailedError


def tell(
    actor: CurrentUser, action: str, todo_list: TodoList, told: dict[str, tuple[Any, Any]]
) -> None:
    """Put a change of a list into its timeline, and mark it for clients that sync."""
    record(actor, action, list_id=todo_list.id, changes=told)
    changed("list", todo_list.uuid, list_id=todo_list.id)
