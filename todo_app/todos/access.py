"""Who may see a list, and do what in it.

A company's list is everybody's: whoever may read tasks sees it, whoever may write them changes it.
A private one belongs to its creator, and to those with whom it is shared. What is shared of a list
says nothing of the lists inside it.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa

from todo_app.database import db
from todo_app.errors import ConflictError, ForbiddenError, NotFoundError
from todo_app.groups.models import GroupMember
from todo_app.tenancy import CurrentUser
from todo_app.todos.models import ACCESSES, ADMIN, COMPANY, FOLDER, WRITE, ListMember, TodoList

NO_SUCH_LIST = "There is no such list."

RANKS = {access: rank for rank, access in enumerate(ACCESSES, start=1)}
"""Each includes those with a smaller number; 0 is for those who cannot see the list."""


class ListArchivedError(ConflictError):
    """Nothing in an archived list changes."""

    code = "list-archived"
    detail = "This list is archived."


class FolderError(ConflictError):
    """A folder has lists inside, and nothing else."""

    code = "is-a-folder"
    detail = "This is a folder, which holds lists only."


def visible_lists(actor: CurrentUser) -> sa.Select[int]:
    """Ids of the lists that `actor` may see, without those in the trash, for `.in_()`."""
    return sa.select(TodoList.id).where(TodoList.deleted_at.is_(None), is_visible(actor))


def is_visible(actor: CurrentUser, lists: Any = TodoList) -> sa.ColumnElement[bool]:
    """Whether `actor` may see a list, be it in the trash or not.

    Args:
        actor: who.
        lists: the table of the list, or an alias of it.
    """
    return sa.or_(
        lists.visibility == COMPANY,
        lists.created_by_id == actor.id,
        sa.exists().where(ListMember.list_id == lists.id, _is_for(actor)).correlate(lists),
    )


def rank(actor: CurrentUser, lists: Any = TodoList) -> sa.ColumnElement[int]:
    """What `actor` may do in a list, as a number of RANKS, or 0; arguments as of `is_visible`."""
    shared = (
        sa.select(sa.func.max(sa.case(RANKS, value=ListMember.access)))
        .where(ListMember.list_id == lists.id, _is_for(actor))
        .correlate(lists)
        .scalar_subquery()
    )
    is_own = sa.or_(lists.visibility == COMPANY, lists.created_by_id == actor.id)
    return sa.case((is_own, RANKS[ADMIN]), else_=sa.func.coalesce(shared, 0))


def check(actor: CurrentUser, list_id: int, wanted: str) -> None:
    """Check that `actor` may do something in a list.

    Args:
        actor: who.
        list_id: key of the list.
        wanted: one of ACCESSES.

    Raises:
        NotFoundError: there is no such list, or it is not for them to see.
        ForbiddenError: it is, and this is more than they may.
    """
    found = sa.select(rank(actor)).where(TodoList.id == list_id, TodoList.deleted_at.is_(None))
    check_rank(db.session.scalar(found), wanted)


def find(actor: CurrentUser, list_uuid: uuid.UUID, wanted: str) -> int:
    """The key of a list in which `actor` may do something.

    Raises:
        NotFoundError, ForbiddenError: as of `check`.
    """
    found = sa.select(TodoList.id, rank(actor)).where(
        TodoList.uuid == list_uuid, TodoList.deleted_at.is_(None)
    )
    row = db.session.execute(found).one_or_none()
    check_rank(row[1] if row else None, wanted)
    assert row is not None  # noqa: S101 (tells the type checker)
    return row[0]


def hold(actor: CurrentUser, list_id: int) -> None:
    """Check that `actor` may write tasks of a list, which stays so until the transaction ends.

    Whoever writes tasks of several lists holds those in ascending order of their keys.

    Raises:
        NotFoundError, ForbiddenError: as of `check`.
        FolderError, ListArchivedError: nobody may.
    """
    # The weakest lock: writers of tasks do not wait for each other, but for those who archive or
    # delete the list, or change its sections and fields.
    held = sa.select(TodoList.kind, TodoList.archived_at).where(
        TodoList.id == list_id, TodoList.deleted_at.is_(None)
    )
    row = db.session.execute(held.with_for_update(of=TodoList, key_share=True, read=True))
    found = row.one_or_none()
    # After the lock, so that it is what holds now.
    check(actor, list_id, WRITE)
    assert found is not None  # noqa: S101 (tells the type checker)
    check_open(found.kind, found.archived_at)


def check_open(kind: str, archived_at: object) -> None:
    """Check that something can be put into a list.

    Raises:
        FolderError, ListArchivedError
    """
    if kind == FOLDER:
        raise FolderError
    if archived_at is not None:
        raise ListArchivedError


def check_rank(given: int | None, wanted: str) -> None:
    """Check what `rank` has given; None where there is no list.

    Raises:
        NotFoundError, ForbiddenError: as of `check`.
    """
    if not given:
        raise NotFoundError(NO_SUCH_LIST)
    if given < RANKS[wanted]:
        raise ForbiddenError(f"You may {ACCESSES[given - 1]} this list, and this needs {wanted}.")


def _is_for(actor: CurrentUser) -> sa.ColumnElement[bool]:
    groups = sa.select(GroupMember.group_id).where(GroupMember.user_id == actor.id)
    return sa.or_(ListMember.user_id == actor.id, ListMember.group_id.in_(groups))
