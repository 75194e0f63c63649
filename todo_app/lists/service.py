"""Use cases of lists: making and changing them, archiving, deleting and bringing them back."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.activity.changes import changed
from todo_app.activity.service import record
from todo_app.database import Versions, db
from todo_app.errors import ConflictError, InvalidInputError
from todo_app.lists import tree
from todo_app.lists.locks import check_admin, lock_all, lock_list, tell
from todo_app.lists.moves import moved_apart, order_below
from todo_app.lists.shown import Shown, get_list
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import RANKS, check_rank, rank
from todo_app.todos.marks import mark_contents
from todo_app.todos.models import ADMIN, FOLDER, PRIVATE, READ, WRITE, ListMember, TodoList
from todo_app.todos.placing import Place

NO_SYMBOL = "A folder has no tasks, and so no symbol."


class SymbolTakenError(ConflictError):
    """Another list has this symbol; it may be one that the caller cannot see, or in the trash."""

    code = "symbol-taken"
    detail = "Another list has this symbol."


def add_list(actor: CurrentUser, values: dict[str, Any]) -> Shown:
    """Add a list at the end of those around it; the answer is the list as it is shown.

    Args:
        actor: who does it.
        values: columns, and `parent_uuid` in place of the key of the list around it.

    Raises:
        InvalidInputError: there is no such list around it, it would be too deep, or a folder has a
            symbol.
        ForbiddenError, ListArchivedError: nothing can be put into that list.
        SymbolTakenError
    """
    columns = dict(values)
    if columns.get("kind") == FOLDER and columns.get("symbol"):
        raise InvalidInputError(errors={"json": {"symbol": [NO_SYMBOL]}})
    tree.lock_tree()
    parent_uuid = columns.pop("parent_uuid", None)
    parent_id = tree.check_parent(actor, parent_uuid)
    position = order_below(parent_id).find(Place(), None, moved_apart)
    todo_list = TodoList(**columns, parent_id=parent_id, position=position, created_by_id=actor.id)
    db.session.add(todo_list)
    _flush_unique_symbol()
    told = {name: (None, value) for name, value in values.items() if name != "uuid"}
    tell(actor, "list.added", todo_list, told)
    return get_list(actor, todo_list.uuid)


def change_list(
    actor: CurrentUser, list_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> Shown:
    """Change only what `changes` names.

    Raises:
        NotFoundError, ForbiddenError: as of `access.check`; `visibility` is for an admin of it.
        PreconditionFailedError: `versions` are given and the current one is not among them.
        InvalidInputError: a folder would have a symbol.
        SymbolTakenError
    """
    is_seen_in_tasks = bool({"visibility", "symbol"} & set(changes))
    todo_list, given = lock_list(actor, list_uuid, WRITE, versions, alone=is_seen_in_tasks)
    told = {
        name: (getattr(todo_list, name), value)
        for name, value in changes.items()
        if getattr(todo_list, name) != value
    }
    if "visibility" in told:
        check_rank(given, ADMIN)
    if told.get("symbol") and todo_list.kind == FOLDER:
        raise InvalidInputError(errors={"json": {"symbol": [NO_SYMBOL]}})
    for name in told:
        setattr(todo_list, name, changes[name])
    _flush_unique_symbol()
    if told.get("visibility", (None, None))[1] == PRIVATE:
        _keep_access(actor, todo_list)
    if told:
        tell(actor, "list.changed", todo_list, told)
    if {"visibility", "symbol"} & set(told):
        mark_contents([todo_list.id])
    return get_list(actor, list_uuid)


def archive_list(
    actor: CurrentUser, list_uuid: uuid.UUID, versions: Versions, *, is_archived: bool
) -> Shown:
    """Archive a list with those inside it, or bring back what was archived together.

    Nothing happens where it is so already. Lists inside of which the actor is no admin stay as
    they are.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError: as of `change_list`.
    """
    tree.lock_tree()
    top = _find(actor, list_uuid, in_trash=False)
    since = top.archived_at
    if (since is not None) == is_archived:
        lock_list(actor, list_uuid, ADMIN, versions)
        return get_list(actor, list_uuid)
    keys = tree.below(
        top.id,
        lambda lists: sa.and_(
            lists.deleted_at.is_(None),
            lists.archived_at.is_(None) if is_archived else lists.archived_at == since,
            rank(actor, lists) >= RANKS[ADMIN],
        ),
    )
    locked = lock_all(keys)
    check_admin(actor, _of(top.id, locked), versions)
    moment = db.session.scalar(sa.select(sa.func.now())) if is_archived else None
    action = "list.archived" if is_archived else "list.unarchived"
    for todo_list in locked:
        told = {"archived_at": (todo_list.archived_at, moment)}
        todo_list.archived_at = moment
        db.session.flush()
        tell(actor, action, todo_list, told)
    return get_list(actor, list_uuid)


def delete_list(actor: CurrentUser, list_uuid: uuid.UUID, versions: Versions) -> None:
    """Put a list into the trash, with its tasks and the lists inside it.

    Lists inside of which the actor is no admin are moved out, to where this one was.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError: as of `change_list`.
    """
    tree.lock_tree()
    top = _find(actor, list_uuid, in_trash=False)
    keys = tree.below(
        top.id,
        lambda lists: sa.and_(lists.deleted_at.is_(None), rank(actor, lists) >= RANKS[ADMIN]),
    )
    kept = db.session.scalars(
        sa.select(TodoList.id).where(
            TodoList.parent_id.in_(keys), TodoList.id.not_in(keys), TodoList.deleted_at.is_(None)
        )
    ).all()
    locked = lock_all([*keys, *kept])
    check_admin(actor, _of(top.id, locked), versions)
    outer = sa.select(TodoList.uuid).where(TodoList.id == top.parent_id)
    outer_uuid = db.session.scalar(outer)
    moment = db.session.scalar(sa.select(sa.func.now()))
    for todo_list in locked:
        if todo_list.id in kept:
            todo_list.parent_id = top.parent_id
            db.session.flush()
            tell(actor, "list.moved", todo_list, {"parent_uuid": (list_uuid, outer_uuid)})
            continue
        todo_list.deleted_at = moment
        db.session.flush()
        record(actor, "list.deleted", list_id=todo_list.id)
        changed("list", todo_list.uuid, list_id=todo_list.id, deleted=True)
    mark_contents(keys)


def restore_list(actor: CurrentUser, list_uuid: uuid.UUID, versions: Versions) -> Shown:
    """Bring a list back from the trash, with its tasks and the lists that were deleted with it.

    It is where it was, or at the top where that is gone. One that is not in the trash stays as it
    is.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError: as of `change_list`.
    """
    tree.lock_tree()
    top = _find(actor, list_uuid, in_trash=None)
    since = top.deleted_at
    if since is None:
        lock_list(actor, list_uuid, ADMIN, versions)
        return get_list(actor, list_uuid)
    keys = tree.below(
        top.id,
        lambda lists: sa.and_(lists.deleted_at == since, rank(actor, lists) >= RANKS[ADMIN]),
    )
    locked = lock_all(keys)
    first = _of(top.id, locked)
    check_admin(actor, first, versions)
    for todo_list in locked:
        todo_list.deleted_at = None
    db.session.flush()
    if not _fits(first):
        first.parent_id = None
        db.session.flush()
    for todo_list in locked:
        tell(actor, "list.restored", todo_list, {})
    mark_contents(keys)
    return get_list(actor, list_uuid)


def _find(actor: CurrentUser, list_uuid: uuid.UUID, *, in_trash: bool | None) -> Any:
    """Keys and times of a list that the actor may see."""
    found = sa.select(
        TodoList.id, TodoList.parent_id, TodoList.archived_at, TodoList.deleted_at, rank(actor)
    ).where(TodoList.uuid == list_uuid)
    if in_trash is not None:
        found = found.where(TodoList.deleted_at.is_not(None) == in_trash)
    row = db.session.execute(found).one_or_none()
    check_rank(row[-1] if row else None, READ)
    return row


def _of(key: int, lists: list[TodoList]) -> TodoList:
    return next(todo_list for todo_list in lists if todo_list.id == key)


def _fits(todo_list: TodoList) -> bool:
    """Whether the list around one is there, and leaves room for its levels."""
    if todo_list.parent_id is None:
        return True
    is_there = sa.select(TodoList.deleted_at.is_(None)).where(TodoList.id == todo_list.parent_id)
    if not db.session.scalar(is_there):
        return False
    around = len(tree.above(todo_list.parent_id))
    return around + tree.height(todo_list.id) <= tree.MAX_DEPTH


def _keep_access(actor: CurrentUser, todo_list: TodoList) -> None:
    """Whoever makes a list private does not lock themselves out."""
    if todo_list.created_by_id != actor.id:
        values = {"list_id": todo_list.id, "user_id": actor.id, "access": ADMIN}
        row = insert(ListMember).values(values)
        db.session.execute(
            row.on_conflict_do_update(
                index_elements=[ListMember.list_id, ListMember.user_id], set_={"access": ADMIN}
            )
        )


def _flush_unique_symbol() -> None:
    try:
        db.session.flush()
    except sa.exc.IntegrityError as error:
        if "uq_lists_symbol" in str(error.orig):
            raise SymbolTakenError from None
        raise
