"""Kinds of fields: which values they take, and what these ask of a column.

A predicate is null where it compares with an empty column: that counts as false.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, ClassVar, TypeAlias

import sqlalchemy as sa

from todo_app.filters import moments
from todo_app.filters.context import Context
from todo_app.filters.errors import FilterError
from todo_app.filters.nodes import Duration, Number, Operator, Quoted, Value, Word
from todo_app.filters.texts import unparse_value
from todo_app.pagination import folded

Column: TypeAlias = Any
Predicate: TypeAlias = sa.ColumnElement[bool]

COMPARISONS: dict[Operator, Callable[[Any, Any], Predicate]] = {
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}
MAX_SHOWN = 40
"""Characters of a value that an error repeats."""


class Kind:
    """A kind of field, whose values are compared as the database compares them."""

    noun: str
    """What its values are called in errors."""
    comparisons: ClassVar[tuple[Operator, ...]] = ()
    """What may be asked besides `=`, `in` and `is empty`, which all fields have."""

    def any_of(self, column: Column, values: Sequence[Value], context: Context) -> Predicate:
        """Whether the column is one of the values.

        Raises:
            FilterError: a value is of another kind.
        """
        is_one: Predicate = column.in_([self.read(value, context) for value in values])
        return is_one

    def compare(self, column: Column, sign: Operator, value: Value, context: Context) -> Predicate:
        """Whether the column compares so with the value; `sign` is one of `comparisons`.

        Raises:
            FilterError: the value is of another kind.
        """
        return COMPARISONS[sign](column, self.read(value, context))

    def is_empty(self, column: Column) -> Predicate:
        """Whether the column has no value."""
        empty: Predicate = column.is_(None)
        return empty

    def read(self, value: Value, context: Context) -> Any:
        """What the value is in the database.

        Raises:
            FilterError: it is of another kind.
        """
        raise NotImplementedError

    def mismatch(self, value: Value) -> FilterError:
        """The error of a value that is of another kind."""
        found = unparse_value(value)[:MAX_SHOWN]
        return FilterError(value.column, f"found `{found}`, expected {self.noun}.")


class TextKind(Kind):
    """Text. `=` looks at every character, `~` at neither accents nor case."""

    noun = "a text (in quotes, where it is not plain words)"
    comparisons = (Operator.CONTAINS,)

    def read(self, value: Value, context: Context) -> str:
        """The text, in quotes or not."""
        if not isinstance(value, Word | Quoted):
            raise self.mismatch(value)
        return value.text

    def compare(self, column: Column, sign: Operator, value: Value, context: Context) -> Predicate:
        """Whether the column contains the text."""
        part = sa.literal(self.read(value, context), sa.Text)
        return sa.func.strpos(folded(column), folded(part)) > 0

    def is_empty(self, column: Column) -> Predicate:
        """Whether there is no text, or one without characters."""
        return sa.func.coalesce(column, sa.literal_column("''")) == sa.literal_column("''")


class NumberKind(Kind):
    """Numbers, whole or not."""

    noun = "a number"
    comparisons = tuple(COMPARISONS)

    def read(self, value: Value, context: Context) -> int | Decimal:
        """The number, as an integer where it is one."""
        if not isinstance(value, Number):
            raise self.mismatch(value)
        whole = int(value.number)
        return whole if whole == value.number else value.number


class DurationKind(Kind):
    """How long, in columns that count seconds. A day is 24 hours."""

    noun = "a duration of weeks, days, hours, minutes or seconds, such as `1h30m`"
    comparisons = tuple(COMPARISONS)

    def read(self, value: Value, context: Context) -> int:
        """The duration in seconds."""
        seconds = moments.seconds(value.steps) if isinstance(value, Duration) else None
        if seconds is None:
            raise self.mismatch(value)
        return seconds


class ChoiceKind(Kind):
    """One of some words that the program knows, in any case.

    Args:
        choices: the words, as they are stored.
    """

    def __init__(self, choices: Sequence[str]) -> None:
        self._choices = {choice.lower(): choice for choice in choices}
        names = ", ".join(f"`{choice}`" for choice in choices)
        self.noun = f"one of {names}"

    def read(self, value: Value, context: Context) -> str:
        """The word as it is stored."""
        text = value.text.lower() if isinstance(value, Word | Quoted) else ""
        if text not in self._choices:
            raise self.mismatch(value)
        return self._choices[text]


class BooleanKind(Kind):
    """`true` or `false`."""

    noun = "`true` or `false`"

    def read(self, value: Value, context: Context) -> bool:
        """The truth value."""
        text = value.text.lower() if isinstance(value, Word) else ""
        if text not in ("true", "false"):
            raise self.mismatch(value)
        return text == "true"


class MomentKind(Kind):
    """Moments, which may be compared with each other and with whole days of the user.

    A moment equals a day within it, is less before the day begins, and greater when it is over.
    """

    noun = "a day or moment such as `2026-11-22`, `today`, `now+7d` or `2026-11-22T09:30:00Z`"
    comparisons = tuple(COMPARISONS)

    def read(self, value: Value, context: Context) -> moments.Period:
        """The day or moment, from its start to its end."""
        period = moments.period(value, context)
        if period is None:
            raise self.mismatch(value)
        return period

    def any_of(self, column: Column, values: Sequence[Value], context: Context) -> Predicate:
        """Whether the column is one of the moments, or within one of the days."""
        periods = [self.read(value, context) for value in values]
        return sa.or_(*(_within(column, period) for period in periods))

    def compare(self, column: Column, sign: Operator, value: Value, context: Context) -> Predicate:
        """Whether the column is before or behind the moment or day."""
        start, end = period = self.read(value, context)
        match sign:
            case Operator.LESS_OR_EQUAL if not period.is_instant:
                return COMPARISONS[Operator.LESS](column, end)
            case Operator.GREATER if not period.is_instant:
                return COMPARISONS[Operator.GREATER_OR_EQUAL](column, end)
            case _:
                return COMPARISONS[sign](column, start)


def _within(column: Column, period: moments.Period) -> Predicate:
    if period.is_instant:
        same: Predicate = column == period.start
        return same
    return sa.and_(column >= period.start, column < period.end)
