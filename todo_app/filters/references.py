"""Kinds of fields that point at other rows: at people, and at whatever has a name.

Nothing is looked up before the filter runs: who or what is not there is simply not found, so that
a kept filter does not break when a tag is deleted.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.filters.context import Context
from todo_app.filters.kinds import Column, Kind, Predicate
from todo_app.filters.nodes import Quoted, Value, Word
from todo_app.todos.models import Task, TodoList

ME = "me"

_SYMBOL = re.compile(r"([a-z0-9]{2,10})-([0-9]{1,18})", re.ASCII | re.IGNORECASE)


class UserKind(Kind):
    """People: `me`, the id of a user, or an email address, which finds nobody who is deleted."""

    noun = "`me`, the id of a user or an email address"

    def any_of(self, column: Column, values: Sequence[Value], context: Context) -> Predicate:
        """Whether the column, a key of `users`, is that of one of the people."""
        ids: list[uuid.UUID] = []
        emails: list[sa.ColumnElement[str]] = []
        is_me = False
        for value in values:
            match self.read(value, context):
                case uuid.UUID() as user_uuid:
                    ids.append(user_uuid)
                case "":
                    is_me = True
                case email:
                    emails.append(sa.func.lower(email))
        tests: list[Predicate] = [column == context.user_id] if is_me else []
        if ids:
            tests.append(column.in_(_keys(User.id).where(User.uuid.in_(ids))))
        if emails:
            address = sa.and_(sa.func.lower(User.email).in_(emails), User.deleted_at.is_(None))
            tests.append(column.in_(_keys(User.id).where(address)))
        return sa.or_(*tests)

    def read(self, value: Value, context: Context) -> uuid.UUID | str:
        """An id or an email address; "" for the user who asks."""
        if isinstance(value, Word) and value.text.lower() == ME:
            return ""
        text = value.text if isinstance(value, Word | Quoted) else ""
        found = _uuid(text) or text
        if isinstance(found, str) and "@" not in found:
            raise self.mismatch(value)
        return found


class ReferenceKind(Kind):
    """Rows with an id and a name, such as lists and tags; several may have one name.

    Args:
        noun: what such a row is called, with its article.
        key: what the field's column points at.
        row_uuid: the id that clients know.
        name: the name. Case makes no difference.
    """

    def __init__(self, noun: str, key: Column, row_uuid: Column, name: Column) -> None:
        self.noun = f"the name or id of {noun} (in quotes, where it is not plain words)"
        self._key = key
        self._uuid = row_uuid
        self._name = name

    def any_of(self, column: Column, values: Sequence[Value], context: Context) -> Predicate:
        """Whether the column points at a row with one of the ids or names."""
        found = [self.read(value, context) for value in values]
        ids = [each for each in found if isinstance(each, uuid.UUID)]
        names = [sa.func.lower(each) for each in found if isinstance(each, str)]
        tests: list[Predicate] = []
        if ids:
            tests.append(self._uuid.in_(ids))
        if names:
            tests.append(sa.func.lower(self._name).in_(names))
        points: Predicate = column.in_(_keys(self._key).where(sa.or_(*tests)))
        return points

    def read(self, value: Value, context: Context) -> uuid.UUID | str:
        """An id, or a name."""
        if not isinstance(value, Word | Quoted):
            raise self.mismatch(value)
        return _uuid(value.text) or value.text


class TaskKind(Kind):
    """Tasks, by their ids or symbols such as `OPS-17`."""

    noun = "the id of a task or its symbol, such as `OPS-17`"

    def any_of(self, column: Column, values: Sequence[Value], context: Context) -> Predicate:
        """Whether the column, a key of `tasks`, is that of one of the tasks."""
        found = [self.read(value, context) for value in values]
        ids = [each for each in found if isinstance(each, uuid.UUID)]
        symbols = [each for each in found if isinstance(each, tuple)]
        tests: list[Predicate] = []
        if ids:
            tests.append(column.in_(_keys(Task.id).where(Task.uuid.in_(ids))))
        if symbols:
            symbol = sa.tuple_(sa.func.lower(TodoList.symbol), Task.number)
            named = _keys(Task.id).join(TodoList, TodoList.id == Task.list_id)
            tests.append(column.in_(named.where(symbol.in_(symbols))))
        return sa.or_(*tests)

    def read(self, value: Value, context: Context) -> uuid.UUID | tuple[str, int]:
        """An id; or a symbol, in lower case, and a number."""
        text = value.text if isinstance(value, Word | Quoted) else ""
        found = _uuid(text)
        if found:
            return found
        symbol = _SYMBOL.fullmatch(text)
        if not symbol:
            raise self.mismatch(value)
        return symbol[1].lower(), int(symbol[2])


def _keys(key: Any) -> sa.Select[int]:
    # Tables of the query around it are none of its business, even where they are the same ones.
    return sa.select(key).correlate(None)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
