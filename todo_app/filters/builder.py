"""From what the grammar's rules have matched to the nodes of a filter."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal

from lark import Token, Transformer, v_args

from todo_app.filters.errors import FilterError
from todo_app.filters.nodes import (
    And,
    Condition,
    Day,
    Duration,
    FieldName,
    Instant,
    Node,
    Not,
    Number,
    Operator,
    Or,
    Quoted,
    Relative,
    Search,
    Step,
    Value,
    Word,
)

MAX_DIGITS = 18
"""Of a number, its point left out."""
MAX_COUNT_DIGITS = 9
"""Of a count of hours, days and the like."""

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\"}
_STEP = re.compile(r"([0-9]+)(mo|[smhdwy])", re.ASCII | re.IGNORECASE)


@v_args(inline=True)
class Builder(Transformer[Token, Node]):
    """Makes a node of each rule as soon as the parser has seen all of it.

    Every method raises `FilterError` for what has the form of a value and is none.
    """

    def disjunction(self, *operands: Node) -> Node:
        """One or more conditions behind each other, with `or`."""
        return Or(operands)

    def conjunction(self, *operands: Node) -> Node:
        """The same with `and`."""
        return And(operands)

    def negation(self, operand: Node) -> Node:
        """`not`, and what follows it."""
        return Not(operand)

    def condition(self, name: FieldName, operator: Token, *values: Value) -> Condition:
        """A field, an operator and its values."""
        words = " ".join(operator.lower().split())
        return Condition(name, Operator(words), values, _column(operator))

    def search(self, keyword: Token, text: Token) -> Search:
        """The words of `search("words")`."""
        return Search(_unquoted(text), _column(text))

    def field(self, name: Token) -> FieldName:
        """The name of a field."""
        return FieldName(str(name), column=_column(name))

    def custom_field(self, prefix: Token, name: Token) -> FieldName:
        """The name of a field that people have made, with or without quotes."""
        plain = _unquoted(name) if name.type == "STRING" else str(name)
        return FieldName(plain, is_custom=True, column=_column(prefix))

    def word(self, token: Token) -> Word:
        """A text without quotes."""
        return Word(str(token), _column(token))

    def quoted(self, token: Token) -> Quoted:
        """A text in quotes."""
        return Quoted(_unquoted(token), _column(token))

    def number(self, token: Token) -> Number:
        """A number."""
        if sum(map(str.isdigit, token)) > MAX_DIGITS:
            raise FilterError(_column(token), f"a number has at most {MAX_DIGITS} digits.")
        return Number(Decimal(token), _column(token))

    def day(self, token: Token) -> Day:
        """A day of the calendar."""
        try:
            day = date.fromisoformat(token)
        except ValueError:
            raise _no_such(token, "day") from None
        _check_year(day.year, token)
        return Day(day, _column(token))

    def instant(self, token: Token) -> Instant:
        """A moment as RFC 3339 writes it."""
        try:
            moment = datetime.fromisoformat(token.upper())
        except ValueError:
            raise _no_such(token, "moment") from None
        _check_year(moment.year, token)
        return Instant(moment.astimezone(UTC), _column(token))

    def duration(self, token: Token) -> Duration:
        """How long."""
        return Duration(tuple(_steps(token)), _column(token))

    def relative(self, first: Token, *offsets: Token) -> Relative | Word:
        """A moment or day by its distance from now, or from another one that has a name."""
        if first.type == "ANCHOR" and not offsets:
            return self.word(first)
        anchor = first.lower() if first.type == "ANCHOR" else "now"
        tokens = offsets if first.type == "ANCHOR" else (first, *offsets)
        steps = tuple(
            Step(-step.count if token.startswith("-") else step.count, step.unit)
            for token in tokens
            for step in _steps(token)
        )
        return Relative(anchor, steps, _column(first))


def _column(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _unquoted(token: Token) -> str:
    parts: list[str] = []
    body = iter(enumerate(token[1:-1], _column(token) + 1))
    for column, character in body:
        if character == "\\":
            _, escaped = next(body)
            if escaped not in _ESCAPES:
                raise FilterError(
                    column,
                    f"found `\\{escaped}` in a text in quotes, "
                    "expected `\\\"`, `\\'`, `\\\\`, `\\n`, `\\r` or `\\t`.",
                )
            character = _ESCAPES[escaped]
        parts.append(character)
    return "".join(parts)


def _steps(token: Token) -> list[Step]:
    steps = []
    for match in _STEP.finditer(token):
        count, unit = match.groups()
        if len(count) > MAX_COUNT_DIGITS:
            raise FilterError(
                _column(token) + match.start(),
                f"a count of time has at most {MAX_COUNT_DIGITS} digits.",
            )
        steps.append(Step(int(count), unit.lower()))
    return steps


def _no_such(token: Token, noun: str) -> FilterError:
    return FilterError(_column(token), f"found `{token[:40]}`, and there is no such {noun}.")


def _check_year(year: int, token: Token) -> None:
    # At both ends of the calendar a moment may exist in one time zone and not in another.
    if not datetime.min.year < year < datetime.max.year:
        raise _no_such(token, "time here: years are from 2 to 9998")
