"""Which lists, sections, tags and people the cells of a file of tasks mean.

Names count in any case; where several have one name, an id has to stand there.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.accounts.models import User
from todo_app.activity.changes import marked
from todo_app.activity.models import Change
from todo_app.database import db
from todo_app.groups.models import GroupMember
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import NO_SUCH_LIST, RANKS, rank
from todo_app.todos.models import COMPANY, FOLDER, WRITE, ListMember, Section, Tag, TodoList
from todo_app.transfer.rows import array


class UnclearError(Exception):
    """A cell means nothing, or several things; the text says so."""


class Place(NamedTuple):
    """A list in which tasks are put."""

    id: int
    uuid: uuid.UUID
    is_private: bool


class Names:
    """Things by their ids and names."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._found: dict[Any, set[Any]] = defaultdict(set)

    def add(self, thing: Any, *keys: Any) -> None:
        """Let a thing be meant by each of the keys."""
        for key in keys:
            self._found[key].add(thing)

    def get(self, key: Any) -> Any:
        """The one thing that a key means.

        Raises:
            UnclearError
        """
        found = self._found.get(key, ())
        if len(found) != 1:
            problem = f"Several {self._what}s have this name: give the id."
            raise UnclearError(problem if found else f"There is no such {self._what}.")
        return next(iter(found))


Key = uuid.UUID | str


class Keys:
    """Cells as what they are compared by: an id, or a name without its case.

    The database says what that is, as it also compares them.
    """

    def __init__(self, cells: Collection[str]) -> None:
        cell = sa.func.unnest(array(sorted(cells), sa.Text())).column_valued("cell")
        found = sa.select(cell, sa.func.lower(cell))
        self._names: dict[str, str] = dict(db.session.execute(found).all()) if cells else {}

    def __getitem__(self, cell: str) -> Key:
        """The key of one of the cells."""
        try:
            return uuid.UUID(cell) if len(cell) == 36 else self._names[cell]
        except ValueError:
            return self._names[cell]

    def name(self, cell: str) -> str:
        """The same of a cell that is no id, whatever it looks like."""
        return self._names[cell]


class Lists:
    """Lists in which the actor wants to put tasks; nobody else changes what is in them.

    Args:
        actor: who.
        keys: ids and names, as of `Keys`.
    """

    def __init__(self, actor: CurrentUser, keys: Collection[Key]) -> None:
        ids = [key for key in keys if isinstance(key, uuid.UUID)]
        names = [key for key in keys if isinstance(key, str)]
        name = sa.func.lower(TodoList.title)
        wanted = sa.select(TodoList.id).where(
            sa.or_(TodoList.uuid.in_(ids), name.in_(names)),
            TodoList.deleted_at.is_(None),
            TodoList.kind != FOLDER,
            rank(actor) > 0,
        )
        # In this order, as everybody does who holds several.
        held = wanted.order_by(TodoList.id).with_for_update(of=TodoList, key_share=True)
        locked = list(db.session.scalars(held))
        # After the lock, so that it is what holds now.
        found = sa.select(
            TodoList.id,
            TodoList.uuid,
            name.label("name"),
            TodoList.visibility,
            TodoList.archived_at,
            rank(actor).label("rank"),
        ).where(
            TodoList.id == sa.any_(array(locked, sa.BigInteger())),
            TodoList.deleted_at.is_(None),
            rank(actor) > 0,
        )
        self._rows: dict[Any, list[Any]] = defaultdict(list)
        for row in db.session.execute(found.order_by(TodoList.id)) if locked else ():
            self._rows[row.uuid].append(row)
            self._rows[row.name].append(row)

    def get(self, key: Key) -> Place:
        """The list that a key means.

        Raises:
            UnclearError: there is none, or several, or nothing can be put into it.
        """
        rows = self._rows.get(key, [])
        rows = [row for row in rows if row.archived_at is None] or rows
        if not rows:
            raise UnclearError(NO_SUCH_LIST)
        if len(rows) > 1:
            raise UnclearError("Several lists have this name: give the id.")
        row = rows[0]
        if row.archived_at is not None:
            raise UnclearError("This list is archived.")
        if row.rank < RANKS[WRITE]:
            raise UnclearError("You may not write in this list.")
        return Place(row.id, row.uuid, row.visibility != COMPANY)


def sections_of(list_ids: Collection[int]) -> Names:
    """The sections of lists, by pairs of the list's key and their id or name."""
    names = Names("section")
    found = sa.select(
        Section.id, Section.uuid, Section.list_id, sa.func.lower(Section.title).label("name")
    ).where(Section.list_id.in_(list_ids))
    for row in db.session.execute(found):
        names.add(row.id, (row.list_id, row.uuid), (row.list_id, row.name))
    return names


def people(keys: Collection[Key], private: Collection[int]) -> Names:
    """Users who may do tasks, by their ids and addresses; of private lists by pairs with their key.

    Args:
        keys: ids and addresses, as of `Keys`.
        private: keys of lists that not everybody sees.
    """
    names = Names("user")
    if not keys:
        return names
    address = sa.func.lower(User.email)
    found = sa.select(User.id, User.uuid, address.label("email")).where(
        sa.or_(
            User.uuid.in_([key for key in keys if isinstance(key, uuid.UUID)]),
            address.in_([key for key in keys if isinstance(key, str)]),
        ),
        User.deleted_at.is_(None),
    )
    for row in db.session.execute(found):
        names.add((row.id, row.uuid), row.uuid, row.email)
    if private:
        seeing = _who_see(private).subquery()
        of_lists = found.add_columns(seeing.c.list_id).join(seeing, seeing.c.user_id == User.id)
        for row in db.session.execute(of_lists):
            names.add((row.id, row.uuid), (row.list_id, row.uuid), (row.list_id, row.email))
    return names


def _who_see(list_ids: Collection[int]) -> sa.CompoundSelect[*tuple[Any, ...]]:
    """Keys of private lists, each with those of the users who may see it."""
    ids = array(list(list_ids), sa.BigInteger())
    is_one = ListMember.list_id == sa.any_(ids)
    of_groups = sa.select(ListMember.list_id, GroupMember.user_id).join(
        GroupMember, GroupMember.group_id == ListMember.group_id
    )
    return sa.union_all(
        sa.select(TodoList.id.label("list_id"), TodoList.created_by_id.label("user_id")).where(
            TodoList.id == sa.any_(ids)
        ),
        sa.select(ListMember.list_id, ListMember.user_id).where(
            is_one, ListMember.user_id.is_not(None)
        ),
        of_groups.where(is_one),
    )


def make_tags(names: dict[str, str]) -> dict[str, tuple[int, uuid.UUID]]:
    """Keys and ids of tags; those that are not there are made.

    Nobody deletes them until the transaction ends.

    Args:
        names: of the tags, by the same without their case.
    """
    if not names:
        return {}
    is_one = sa.any_(array(sorted(names), sa.Text())) == _NAME
    # Held already here, so that none of them is deleted before it is looked up below.
    there = sa.select(_NAME).where(is_one).order_by(Tag.id)
    have = set(db.session.scalars(there.with_for_update(key_share=True, read=True)))
    # In one order, so that two who make the same ones do not lock each other out.
    new = [names[key] for key in sorted(names) if key not in have]
    if new:
        name = sa.func.unnest(array(new, sa.Text())).column_valued("name")
        rows = insert(Tag).from_select(["name"], sa.select(name), include_defaults=False)
        made = sorted(db.session.scalars(rows.on_conflict_do_nothing().returning(Tag.uuid)))
        if made:
            one = sa.func.unnest(array(made, sa.Uuid())).column_valued("uuid")
            marks = sa.select(sa.literal("tag"), one, sa.literal(0))
            columns = ["kind", "uuid", "list_id"]
            marking = insert(Change).from_select(columns, marks, include_defaults=False)
            db.session.execute(marked(marking))
    found = sa.select(Tag.id, Tag.uuid, _NAME.label("key")).where(is_one)
    held = found.order_by(Tag.id).with_for_update(key_share=True, read=True)
    return {row.key: (row.id, row.uuid) for row in db.session.execute(held)}


_NAME = sa.func.lower(Tag.name)
