"""What a filter is made of, once it is read.

Two filters are equal where they say the same in the same form; where they stand in their texts
(`column`, in characters from 1) makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

RESERVED_WORDS = ("and", "or", "not", "in", "is", "empty")
"""In any case; only in quotes can they be values."""

ANCHORS = (
    "now",
    "today",
    "tomorrow",
    "yesterday",
    "startofweek",
    "endofweek",
    "startofmonth",
    "endofmonth",
)
"""Words for moments and days, in any case."""


class Operator(StrEnum):
    """What a field is asked."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    CONTAINS = "~"
    IN = "in"
    NOT_IN = "not in"
    EMPTY = "is empty"
    NOT_EMPTY = "is not empty"


@dataclass(frozen=True)
class Word:
    """A text without quotes. What it stands for is up to the field: `me`, `today`, a name."""

    text: str
    column: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Quoted:
    """A text in quotes, which stands for itself."""

    text: str
    column: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Number:
    """A number."""

    number: Decimal
    column: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Day:
    """A day of the calendar, in nobody's time zone yet."""

    day: date
    column: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Instant:
    """A moment, in UTC."""

    moment: datetime
    column: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Step:
    """So many of a unit of time: s, m, h, d, w, mo (months) or y."""

    count: int
    unit: str


@dataclass(frozen=True)
class Duration:
    """How long: one or more steps, none of them backwards."""

    steps: tuple[Step, ...]
    column: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Relative:
    """A moment or day that is one or more steps away from one of ANCHORS."""

    anchor: str
    steps: tuple[Step, ...]
    column: int = field(default=1, compare=False)


Value: TypeAlias = Word | Quoted | Number | Day | Instant | Duration | Relative


@dataclass(frozen=True)
class FieldName:
    """The name of a field, and whether it is one that people have made themselves."""

    name: str
    is_custom: bool = False
    column: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Condition:
    """What one field is asked. `in` has one value or more, `is empty` none, all others one.

    The column is that of the operator.
    """

    name: FieldName
    operator: Operator
    values: tuple[Value, ...] = ()
    column: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Search:
    """A search for words in all texts."""

    text: str
    column: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Not:
    """All that does not meet the operand."""

    operand: Node


@dataclass(frozen=True)
class And:
    """What meets all operands, of which there are two or more."""

    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """What meets one of the operands, of which there are two or more."""

    operands: tuple[Node, ...]


Node: TypeAlias = Condition | Search | Not | And | Or
