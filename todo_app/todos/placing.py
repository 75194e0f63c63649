"""Finding the place between two neighbours, of lists, sections, fields and whatever has an order.

The caller holds a lock under which nobody else puts anything among the same neighbours.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa

from todo_app.database import db
from todo_app.errors import InvalidInputError
from todo_app.todos import positions


class Place(NamedTuple):
    """Where somebody wants something: after or before another, or at the end."""

    after: uuid.UUID | None = None
    before: uuid.UUID | None = None


class Order:
    """Things that are in one order.

    Args:
        key: the column that tells one from another, and decides among equal positions.
        position: the column of their positions.
        among: which rows are in the order.
        names: the column by which a client names a neighbour.
        missing: what a client is told who names one that is not among them.
    """

    def __init__(
        self, key: Any, position: Any, among: sa.ColumnElement[bool], names: Any, missing: str
    ) -> None:
        self._key = key
        self._position = position
        self._among = among
        self._names = names
        self._missing = missing

    def find(self, place: Place, moved: int | None, moves: Callable[[list[int]], object]) -> str:
        """The position of something that is put at a place.

        Args:
            place: where.
            moved: the key of what is put there; None where it is new.
            moves: called with the keys of neighbours that had to be moved apart, if any had to.

        Raises:
            InvalidInputError: the neighbour is not in this order.
        """
        is_other = sa.and_(self._among, self._key != moved) if moved is not None else self._among
        before, after = self._neighbours(place, is_other)
        try:
            return positions.between(before and before[0], after and after[0])
        except positions.NoRoomError:
            return self._make_room(after, is_other, moves)

    def _neighbours(self, place: Place, is_other: sa.ColumnElement[bool]) -> tuple[Any, Any]:
        """Position and key of what comes before and after; None at either end."""
        both = sa.tuple_(self._position, self._key)
        rows = sa.select(self._position, self._key).where(is_other)
        up, down = rows.order_by(*both.clauses), rows.order_by(*(c.desc() for c in both.clauses))
        name = place.after or place.before
        if name is None:
            return db.session.execute(down.limit(1)).first(), None
        anchor = db.session.execute(rows.where(self._names == name)).first()
        if anchor is None:
            field = "after_uuid" if place.after else "before_uuid"
            raise InvalidInputError(errors={"json": {field: [self._missing]}})
        here = sa.tuple_(sa.literal(anchor[0]), sa.literal(anchor[1]))
        if place.after:
            return anchor, db.session.execute(up.where(both > here).limit(1)).first()
        return db.session.execute(down.where(both < here).limit(1)).first(), anchor

    def _make_room(self, after: Any, is_other: sa.ColumnElement[bool], moves: Any) -> str:
        rows = db.session.execute(
            sa.select(self._position, self._key).where(is_other).order_by(self._position, self._key)
        ).all()
        index = rows.index(after) if after else len(rows)
        room = positions.make_room([row[0] for row in rows], index)
        moved = rows[room.start : room.stop]
        found = list(room.positions)
        own = found.pop(index - room.start)
        for (_, key), position in zip(moved, found, strict=True):
            db.session.execute(
                sa.update(self._key.class_)
                .where(is_other, self._key == key)
                .values({self._position: position})
                .execution_options(synchronize_session=False)
            )
        moves([key for _, key in moved])
        return own
