"""What filters mean, said once more in plain Python, for comparison with the database."""

from __future__ import annotations

import calendar
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from todo_app.filters.context import Context
from todo_app.filters.nodes import (
    And,
    Condition,
    Day,
    Instant,
    Node,
    Not,
    Number,
    Operator,
    Or,
    Quoted,
    Relative,
    Value,
    Word,
)

LETTERS = str.maketrans({"ł": "l", "ø": "o", "ß": "ss", "æ": "ae"})


@dataclass(frozen=True)
class Named:
    """A list or person: every text that means it."""

    id: int
    names: frozenset[str]


def meets(row: dict[str, Any], node: Node, context: Context) -> bool:
    """Whether a row, fields by name, is one that the filter finds."""
    match node:
        case Not(operand):
            return not meets(row, operand, context)
        case And(operands):
            return all(meets(row, operand, context) for operand in operands)
        case Or(operands):
            return any(meets(row, operand, context) for operand in operands)
        case Condition(name, operator, values):
            return _answer(row[name.name], operator, values, context)
    raise AssertionError(node)


def _answer(own: Any, operator: Operator, values: Sequence[Value], context: Context) -> bool:
    if isinstance(own, list):
        return _answer_of_any(own, operator, values, context)
    match operator:
        case Operator.EMPTY:
            return own is None or own == ""
        case Operator.EQUAL | Operator.IN:
            return any(_equals(own, value, context) for value in values)
        case Operator.CONTAINS:
            assert isinstance(values[0], Word | Quoted)
            return own is not None and plain(values[0].text) in plain(own)
        case Operator.NOT_EMPTY:
            return not _answer(own, Operator.EMPTY, values, context)
        case Operator.NOT_EQUAL | Operator.NOT_IN:
            return not _answer(own, Operator.IN, values, context)
        case _:
            return own is not None and _compares(own, operator, values[0], context)


def _answer_of_any(
    own: list[Any], operator: Operator, values: Sequence[Value], context: Context
) -> bool:
    match operator:
        case Operator.EMPTY:
            return not own
        case Operator.NOT_EMPTY:
            return bool(own)
        case Operator.NOT_EQUAL | Operator.NOT_IN:
            return not _answer_of_any(own, Operator.IN, values, context)
        case _:
            return any(_answer(each, operator, values, context) for each in own)


def plain(text: str) -> str:
    """A text without accents and case."""
    parts = unicodedata.normalize("NFKD", text)
    bare = "".join(each for each in parts if not "\u0300" <= each <= "\u036f")
    return bare.lower().translate(LETTERS)


def _equals(own: Any, value: Value, context: Context) -> bool:
    match own, value:
        case None, _:
            return False
        case datetime(), _:
            meant = _meant(value, context)
            if isinstance(meant, datetime):
                return own == meant
            return own.astimezone(context.zone).date() == meant
        case Named(), Word(text) if text.lower() == "me":
            return own.id == context.user_id
        case Named(), Word(text) | Quoted(text):
            return text.lower() in own.names
        case str(), Word(text) | Quoted(text):
            return own == text
        case int(), Number(number):
            return own == number
    raise AssertionError((own, value))


def _compares(own: Any, operator: Operator, value: Value, context: Context) -> bool:
    tests: dict[Operator, Callable[[Any, Any], bool]] = {
        Operator.LESS: lambda a, b: a < b,
        Operator.LESS_OR_EQUAL: lambda a, b: a <= b,
        Operator.GREATER: lambda a, b: a > b,
        Operator.GREATER_OR_EQUAL: lambda a, b: a >= b,
    }
    if isinstance(value, Number):
        return tests[operator](own, value.number)
    meant = _meant(value, context)
    if not isinstance(meant, datetime):
        own = own.astimezone(context.zone).date()
    return tests[operator](own, meant)


def _meant(value: Value, context: Context) -> date | datetime:
    """A day of the user, or a moment."""
    match value:
        case Day(day):
            return day
        case Instant(moment):
            return moment
        case Word(text):
            anchor, steps = text.lower(), ()
        case Relative(anchor, steps):
            pass
        case _:
            raise AssertionError(value)
    here = context.now.astimezone(context.zone)
    days = {"yesterday": -1, "today": 0, "tomorrow": 1}
    if anchor in days:
        meant: date | datetime = here.date() + timedelta(days[anchor])
        if any(step.unit in "hms" for step in steps):
            meant = _midnight(here.date() + timedelta(days[anchor]), context)
    elif anchor == "now":
        meant = context.now
    else:
        day = here.date()
        step_back = day.weekday() if anchor.endswith("week") else day.day - 1
        length = 7 if anchor.endswith("week") else calendar.monthrange(day.year, day.month)[1]
        first = day - timedelta(step_back)
        meant = _midnight(first + timedelta(length * anchor.startswith("end")), context)
    for step in steps:
        meant = _step(meant, step.count, step.unit, context)
    return meant - timedelta(microseconds=1) if anchor.startswith("end") else meant


def _midnight(day: date, context: Context) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=context.zone).astimezone(UTC)


def _step(meant: date | datetime, count: int, unit: str, context: Context) -> date | datetime:
    lengths = {"s": 1, "m": 60, "h": 3600}
    if unit in lengths:
        return meant + timedelta(seconds=count * lengths[unit])
    wall = meant.astimezone(context.zone) if isinstance(meant, datetime) else meant
    if unit in "dw":
        moved = wall + timedelta(days=count * (7 if unit == "w" else 1))
    else:
        months = wall.year * 12 + wall.month - 1 + count * (12 if unit == "y" else 1)
        year, month = months // 12, months % 12 + 1
        last = calendar.monthrange(year, month)[1]
        moved = wall.replace(year=year, month=month, day=min(wall.day, last))
    return moved.replace(fold=0).astimezone(UTC) if isinstance(moved, datetime) else moved
