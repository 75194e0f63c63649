"""Reads filters: from text to nodes.

priority >= 3 and due < now+7d and tag in (a, b) and not assignee = me
"""

from __future__ import annotations

import functools
import re
import typing

from lark import Lark, Token
from lark.exceptions import UnexpectedInput

from todo_app.filters.builder import Builder
from todo_app.filters.errors import FilterError
from todo_app.filters.grammar import grammar
from todo_app.filters.nodes import ANCHORS, Node

MAX_LENGTH = 4_000
"""In characters."""
MAX_CONDITIONS = 200
MAX_DEPTH = 50
"""How many parentheses and `not`s may stand around a condition."""
MAX_VALUES = 500
"""Of one list."""

_UNUSABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Control characters, and halves of characters."""
_PIECE = re.compile(r"""[^\s()"',=<>!~]+|[=<>!~]+|.""", re.DOTALL)
"""What an error shows as found."""
_CLOSED = re.compile(r'"([^"\\]|\\.)*"|\'([^\'\\]|\\.)*\'', re.DOTALL)
"""A text in quotes."""

_LOST_PLUS = re.compile(rf"\b(?:{'|'.join(ANCHORS)})\s+\Z", re.IGNORECASE)
_OFFSET = re.compile(r"[0-9]+(mo|[smhdwy])\b", re.IGNORECASE)
"""What `now+7d` has become where `+` stood for a blank."""

_EXPECTED = (
    ("FIELD", "a condition such as `priority >= 3`"),
    ("CUSTOM_NAME", "the name of a field"),
    ("COMPARE", "an operator such as `=`, `<`, `~`, `in` or `is empty`"),
    ("WORD", "a value"),
    ("STRING", "a text in quotes"),
    ("LPAR", "`(`"),
    ("COMMA", "`,`"),
    ("_AND", "`and`"),
    ("_OR", "`or`"),
    ("RPAR", "`)`"),
    ("$END", "the end of the filter"),
)
"""What the parser would take, in words."""
_SELF_EVIDENT = {"FIELD", "CUSTOM_NAME", "COMPARE", "WORD"}
"""Where one of these may stand, the first phrase says all."""


def parse(text: str) -> Node:
    """Read a filter.

    Raises:
        FilterError: it is not one, or is larger than filters may be.
    """
    _check_characters(text)
    parser = _lark().parse_interactive(text)
    bounds = _Bounds()
    try:
        token = None
        for token in parser.iter_parse():
            bounds.count(token)
        return typing.cast(Node, parser.feed_eof(token))  # type: ignore[no-untyped-call]
    except UnexpectedInput as error:
        token = getattr(error, "token", None)
        # Of the end of the text, the parser tells the place of what stands before it.
        is_end = token is not None and token.type == "$END"
        raise _misread(text, len(text) if is_end else error.pos_in_stream or 0) from None


@functools.cache
def _lark() -> Lark:
    return Lark(grammar(), start="filter", parser="lalr", transformer=Builder())


def _check_characters(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise FilterError(MAX_LENGTH + 1, f"a filter has at most {MAX_LENGTH:,} characters.")
    unusable = _UNUSABLE.search(text)
    if unusable:
        raise FilterError(unusable.start() + 1, "found a character that no text can have.")


class _Bounds:
    """Counts, before anything is built, what there must not be too much of."""

    def __init__(self) -> None:
        self._conditions = 0
        self._nots = 0
        self._groups: list[int] = []
        self._values = 0
        """Of the list that is open; 0 where none is."""

    def count(self, token: Token) -> None:
        """Take the next token of the filter.

        Raises:
            FilterError: it is one too many.
        """
        kind = token.type
        if kind in ("FIELD", "CUSTOM", "SEARCH"):
            self._conditions += 1
            self._check(token, self._conditions, MAX_CONDITIONS, "a filter has {} conditions")
        if kind in ("IN", "SEARCH"):
            self._values = 1
        elif kind == "COMMA":
            self._values += 1
            self._check(token, self._values, MAX_VALUES, "a list has {} values")
        elif kind == "_NOT":
            self._nots += 1
        elif kind in ("_AND", "_OR"):
            self._nots = 0
        elif kind == "LPAR" and not self._values:
            self._groups.append(self._nots + 1)
            self._nots = 0
        elif kind == "RPAR":
            if not self._values and self._groups:
                self._groups.pop()
            self._values = 0
        depth = sum(self._groups) + self._nots
        self._check(token, depth, MAX_DEPTH, "parentheses and `not` go {} deep")

    @staticmethod
    def _check(token: Token, number: int, limit: int, what: str) -> None:
        if number > limit:
            raise FilterError((token.start_pos or 0) + 1, what.format(f"at most {limit}") + ".")


def _misread(text: str, position: int) -> FilterError:
    """The error of a text that goes wrong at `position`, counted from 0."""
    if text[position : position + 1] in ('"', "'") and not _CLOSED.match(text, position):
        return FilterError(position + 1, "the text that begins here has no closing quote.")
    piece = _PIECE.match(text, position)
    found = f"`{piece[0][:40]}`" if piece else "the end of the filter"
    wrong = f"found {found}, expected {_expected(text[:position])}."
    if _LOST_PLUS.search(text[:position]) and _OFFSET.match(text, position):
        wrong += " In an address, `+` is written `%2B`."
    return FilterError(position + 1, wrong)


def _expected(start: str) -> str:
    """What may follow the sound start of a filter."""
    # Read once more: the parser has gone on from there before it met the error.
    parser = _lark().parse_interactive(start)
    parser.exhaust_lexer()
    terminals = parser.accepts()  # type: ignore[no-untyped-call]
    phrases = [phrase for terminal, phrase in _EXPECTED if terminal in terminals]
    if not terminals.isdisjoint(_SELF_EVIDENT) or len(phrases) == 1:
        return phrases[0]
    return f"{', '.join(phrases[:-1])} or {phrases[-1]}"
