"""The order of lists, and moving them in it and into each other."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from todo_app.activity.changes import changed
from todo_app.database import Versions, db
from todo_app.lists import tree
from todo_app.lists.locks import lock_list, tell
from todo_app.lists.shown import Shown, get_list
from todo_app.tenancy import CurrentUser
from todo_app.todos.models import WRITE, TodoList
from todo_app.todos.placing import Order, Place

NOT_THERE = "There is no such list where this one is put."


def move_list(
    actor: CurrentUser,
    list_uuid: uuid.UUID,
    place: Place,
    versions: Versions,
    *,
    parent_uuid: uuid.UUID | None = None,
    is_put_elsewhere: bool = False,
) -> Shown:
    """Move a list to another place in its order, or into another list.

    Args:
        actor: who does it.
        list_uuid: the list.
        place: where among those that are there; at the end where it says nothing.
        versions: the versions that this may start from.
        parent_uuid: the list that it is put into; None for the top.
        is_put_elsewhere: whether `parent_uuid` counts; it stays where it is otherwise.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError: as of `locks.lock_list`.
        InvalidInputError: there is no such list to put it into or beside.
        CycleError, TooDeepError, ListArchivedError: it cannot be put there.
    """
    tree.lock_tree()
    todo_list, _ = lock_list(actor, list_uuid, WRITE, versions)
    old_parent = parent_id = todo_list.parent_id
    if is_put_elsewhere:
        height = tree.height(todo_list.id)
        parent_id = tree.check_parent(actor, parent_uuid, height)
        if parent_id is not None and todo_list.id in tree.above(parent_id):
            raise tree.CycleError
    position = order_below(parent_id).find(place, todo_list.id, moved_apart)
    told: dict[str, tuple[str | None, str | None]] = {}
    told["position"] = (todo_list.position, position)
    if parent_id != old_parent:
        told["parent_uuid"] = (_uuid_of(old_parent), str(parent_uuid) if parent_uuid else None)
    todo_list.parent_id, todo_list.position = parent_id, position
    db.session.flush()
    tell(actor, "list.moved", todo_list, told)
    return get_list(actor, list_uuid)


def order_below(parent_id: int | None) -> Order:
    """The order of the lists in one, or at the top."""
    are_there = sa.and_(
        TodoList.deleted_at.is_(None), TodoList.parent_id.is_not_distinct_from(parent_id)
    )
    return Order(TodoList.id, TodoList.position, are_there, TodoList.uuid, NOT_THERE)


def moved_apart(keys: list[int]) -> None:
    """Raise the versions of lists that have made room for another, and mark them as changed."""
    for key in sorted(keys):
        row = db.session.execute(
            sa.update(TodoList)
            .where(TodoList.id == key)
            .values(version=TodoList.version + 1)
            .returning(TodoList.uuid)
            .execution_options(synchronize_session=False)
        ).one()
        changed("list", row.uuid, list_id=key)


def _uuid_of(list_id: int | None) -> str | None:
    found = db.session.scalar(sa.select(TodoList.uuid).where(TodoList.id == list_id))
    return str(found) if found else None
