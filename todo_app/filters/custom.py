"""The fields of their own that the tasks of lists have: `field."Cost center" >= 3`.

Lists may have fields of one name that are of different kinds. Whatever is asked is then asked of
those fields whose kind can answer it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from todo_app.database import db
from todo_app.filters import moments
from todo_app.filters.context import Context
from todo_app.filters.errors import FilterError
from todo_app.filters.fields import Field, Fields, Link
from todo_app.filters.kinds import (
    COMPARISONS,
    BooleanKind,
    Column,
    Kind,
    NumberKind,
    Predicate,
    TextKind,
)
from todo_app.filters.nodes import Day, Operator, Value
from todo_app.filters.tasks import TASK_FIELDS
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import visible_lists
from todo_app.todos.models import (
    BOOLEAN,
    CHOICE,
    DATE,
    NUMBER,
    TEXT,
    FieldValue,
    ListField,
    Task,
)


class DateKind(Kind):
    """Days that stand for themselves, whatever the time zone; a moment is taken as its day."""

    noun = "a day such as `2026-11-22`, `today` or `now+7d`"
    comparisons = tuple(COMPARISONS)

    def read(self, value: Value, context: Context) -> date:
        """The day."""
        if isinstance(value, Day):
            return value.day
        period = moments.period(value, context)
        if period is None:
            raise self.mismatch(value)
        return period.start.astimezone(context.zone).date()


_TEXT = FieldValue.value.op("#>>", return_type=sa.Text)(sa.literal_column("'{}'"))

KINDS: dict[str, tuple[Kind, Any]] = {
    TEXT: (TextKind(), _TEXT),
    CHOICE: (TextKind(), _TEXT),
    NUMBER: (NumberKind(), sa.cast(_TEXT, sa.Numeric)),
    DATE: (DateKind(), sa.cast(_TEXT, sa.Date)),
    BOOLEAN: (BooleanKind(), sa.cast(_TEXT, sa.Boolean)),
}
"""For each kind of a list's field, how filters take it, and what a value of it is."""


class _Variant(NamedTuple):
    """Fields of one kind."""

    kind: Kind
    column: Column


class MixedKind(Kind):
    """What fields of one name are, which may be of several kinds.

    Args:
        variants: each of these kinds, with a column that is null where a value is of another one.
    """

    def __init__(self, variants: Sequence[_Variant]) -> None:
        self._variants = variants
        possible = {sign for variant in variants for sign in variant.kind.comparisons}
        self.comparisons = tuple(  # type: ignore[misc]
            sign for sign in Operator if sign in possible
        )

    def any_of(self, column: Column, values: Sequence[Value], context: Context) -> Predicate:
        """Whether it is one of the values, for a kind that has such values."""
        return self._ask(self._variants, lambda kind, own: kind.any_of(own, values, context))

    def compare(self, column: Column, sign: Operator, value: Value, context: Context) -> Predicate:
        """Whether it compares so with the value, for a kind that can."""
        able = [variant for variant in self._variants if sign in variant.kind.comparisons]
        return self._ask(able, lambda kind, own: kind.compare(own, sign, value, context))

    @staticmethod
    def _ask(
        variants: Iterable[_Variant], question: Callable[[Kind, Column], Predicate]
    ) -> Predicate:
        predicates: list[Predicate] = []
        problem: FilterError | None = None
        for kind, column in variants:
            try:
                predicates.append(question(kind, column))
            except FilterError as error:
                problem = error
        if problem and not predicates:
            raise problem
        return sa.or_(*predicates)


def fields_of(actor: CurrentUser) -> Fields:
    """All fields of tasks, and those of the lists that `actor` may see."""
    return replace(TASK_FIELDS, custom=lambda name: _find(actor, name))


def _find(actor: CurrentUser, name: str) -> Field | None:
    """The fields of a name, whatever its case, as one."""
    found = sa.select(ListField.id, ListField.kind).where(
        sa.func.lower(ListField.name) == sa.func.lower(name),
        ListField.list_id.in_(visible_lists(actor)),
    )
    keys: dict[str, list[int]] = defaultdict(list)
    for row in db.session.execute(found):
        keys[row.kind].append(row.id)
    if not keys:
        return None
    variants = []
    for kind, ids in sorted(keys.items()):
        how, value = KINDS[kind]
        # Nothing is cast before it is clear that it can be.
        variants.append(_Variant(how, sa.case((_is_one_of(ids), value))))
    every = [key for ids in keys.values() for key in ids]
    link = Link(FieldValue, sa.and_(FieldValue.task_id == Task.id, _is_one_of(every)))
    return Field(name, MixedKind(variants), FieldValue.value, link)


def _is_one_of(ids: list[int]) -> Predicate:
    return FieldValue.field_id == sa.any_(sa.literal(ids, ARRAY(sa.BigInteger)))
