"""The lists that people keep at hand, each in an order of their own."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.accounts.models import User
from todo_app.activity.changes import changed
from todo_app.database import db
from todo_app.lists.shown import Shown, get_list
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import find
from todo_app.todos.models import READ, Favourite, TodoList
from todo_app.todos.placing import Order, Place

NO_SUCH_FAVOURITE = "This list is none of your favourites."


def put_favourite(actor: CurrentUser, list_uuid: uuid.UUID, place: Place) -> Shown:
    """Make a list a favourite of `actor`, or put one to another place among them.

    Args:
        actor: whose favourite.
        list_uuid: the list.
        place: where; where it says nothing, a new one is the last, and one that is there stays.

    Raises:
        NotFoundError: there is no such list, or it is not for the actor to see.
        InvalidInputError: there is no such favourite beside which it could be.
    """
    list_id = find(actor, list_uuid, READ)
    _lock(actor)
    is_there = sa.exists().where(Favourite.user_id == actor.id, Favourite.list_id == list_id)
    if place == Place() and db.session.scalar(sa.select(is_there)):
        return get_list(actor, list_uuid)
    names = (
        sa.select(TodoList.uuid)
        .where(TodoList.id == Favourite.list_id)
        .correlate(Favourite)
        .scalar_subquery()
    )
    is_mine = Favourite.user_id == actor.id
    order = Order(Favourite.list_id, Favourite.position, is_mine, names, NO_SUCH_FAVOURITE)
    position = order.find(place, list_id, lambda keys: None)
    row = insert(Favourite).values(user_id=actor.id, list_id=list_id, position=position)
    db.session.execute(
        row.on_conflict_do_update(
            index_elements=[Favourite.user_id, Favourite.list_id], set_={"position": position}
        )
    )
    changed("list", list_uuid, list_id=list_id)
    return get_list(actor, list_uuid)


def delete_favourite(actor: CurrentUser, list_uuid: uuid.UUID) -> None:
    """Make a list no favourite of `actor`; nothing happens where it is none.

    Raises:
        NotFoundError: there is no such list, or it is not for the actor to see.
    """
    list_id = find(actor, list_uuid, READ)
    _lock(actor)
    removed = db.session.execute(
        sa.delete(Favourite)
        .where(Favourite.user_id == actor.id, Favourite.list_id == list_id)
        .returning(Favourite.list_id)
    )
    if removed.first() is not None:
        changed("list", list_uuid, list_id=list_id)


def _lock(actor: CurrentUser) -> None:
    """Nobody else changes the order of the actor's favourites meanwhile."""
    found = sa.select(User.id).where(User.id == actor.id)
    db.session.execute(found.with_for_update(key_share=True))
