"""Places in an order that people make by dragging: short texts with room between any two.

A position is a number in base 62 that sorts by its bytes, so a column of them needs COLLATE "C".
It has a whole part, whose first letter says how long it is (`a0` to `az` are followed by `b00`),
and a fraction. At either end the whole part counts on, and a thousand items put there one after
the other take a third character. In between the fraction grows, by a character every five or
six times that something is put into the very same gap. Nothing else ever has to move.

Two clients who put something into one gap at the same moment get the same position; ids decide
then, so an order is always by position and id. Where nothing fits between two items, because they
have the same position or theirs are long, the neighbours are moved apart: `make_room`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import NamedTuple

from todo_app.errors import ConflictError, InvalidInputError

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""In the order of their bytes."""

MAX_LENGTH = 250
"""In characters. A gap takes more than a thousand items, one after the other, until it is full."""

FIRST = "a0"

_BASE = len(DIGITS)
_UP = string.ascii_lowercase
_DOWN = string.ascii_uppercase[::-1]
_LARGEST = "z" + "z" * 26
_SMALLEST = "A" + "0" * 26

_POSITION = re.compile(f"[0-9A-Za-z]{{2,{MAX_LENGTH}}}", re.ASCII)


class BadPositionError(InvalidInputError):
    """A text that is not a position."""

    code = "bad-position"
    detail = "This is not a position."


class NoRoomError(ConflictError):
    """Nothing fits between two positions: they are equal, the wrong way round, or too long."""

    code = "no-room"
    detail = "There is no room between these positions."


class Room(NamedTuple):
    """Which neighbours move, and where to; one position more than there are neighbours."""

    start: int
    stop: int
    positions: list[str]


def check(position: str) -> str:
    """The position itself.

    Raises:
        BadPositionError: nothing here makes such a text.
    """
    length = _whole_length(position[0]) if _POSITION.fullmatch(position) else 0
    is_cut = not length or len(position) < length
    if is_cut or (len(position) > length and position[-1] == "0") or position == _SMALLEST:
        raise BadPositionError
    return position


def between(before: str | None, after: str | None) -> str:
    """A position strictly between two, as short as its neighbours let it be.

    Args:
        before: what it comes after; None at the beginning.
        after: what it comes before; None at the end.

    Raises:
        NoRoomError: the second is not greater than the first, or the result would be too long.
        BadPositionError: one of them is no position.
    """
    for position in (before, after):
        if position is not None:
            check(position)
    if before is not None and after is not None and before >= after:
        raise NoRoomError
    position = _between(before, after)
    if len(position) > MAX_LENGTH:
        raise NoRoomError
    return position


def evenly(before: str | None, after: str | None, count: int) -> list[str]:
    """So many positions between two, in their order and as short as one another.

    Args:
        before: what they come after; None at the beginning.
        after: what they come before; None at the end.
        count: how many.

    Raises:
        NoRoomError, BadPositionError: as of `between`.
    """
    if count <= 0:
        return []
    if after is None:
        found: list[str] = []
        for _ in range(count):
            before = between(before, None)
            found.append(before)
        return found
    if before is None:
        found = []
        for _ in range(count):
            after = between(None, after)
            found.append(after)
        return found[::-1]
    middle = between(before, after)
    left = count // 2
    return [*evenly(before, middle, left), middle, *evenly(middle, after, count - left - 1)]


def make_room(positions: Sequence[str], index: int) -> Room:
    """Move as few neighbours as are needed to put one more between them.

    Args:
        positions: of all items, or of those around the place, in their order; some may be equal.
        index: the new item comes before this one; at the end where it is their number.

    Returns:
        `positions[start:stop]` are replaced by the new ones, of which that at `index - start` is
        the new item's.

    Raises:
        NoRoomError: there are too few; call it again with more of those around the place.
    """
    reach = 0
    while True:
        start, stop = max(0, index - reach), min(len(positions), index + reach)
        before = positions[start - 1] if start else None
        after = positions[stop] if stop < len(positions) else None
        try:
            found = evenly(before, after, stop - start + 1)
        except NoRoomError:
            found = []
        # Short ones, so that it is long until the next time.
        is_all = before is None and after is None
        if found and (is_all or max(map(len, found)) <= MAX_LENGTH // 2):
            return Room(start, stop, found)
        if is_all:
            raise NoRoomError
        reach = reach * 2 + 1


def _between(before: str | None, after: str | None) -> str:
    if before is None and after is None:
        return FIRST
    if after is None:
        assert before is not None  # noqa: S101 (tells the type checker)
        return _after(before)
    if before is None:
        return _before(after)
    whole, fraction = _split(before)
    if after.startswith(whole):
        return whole + _middle(fraction, after[len(whole) :])
    following = _after(before)
    return following if following < after else whole + _middle(fraction, None)


def _after(position: str) -> str:
    whole, fraction = _split(position)
    return whole + _middle(fraction, None) if whole == _LARGEST else _count_on(whole)


def _before(position: str) -> str:
    whole, fraction = _split(position)
    if whole == _SMALLEST:
        return whole + _middle("", fraction)
    if fraction:
        return whole
    smaller = _count_back(whole)
    return smaller + _middle("", None) if smaller == _SMALLEST else smaller


def _whole_length(head: str) -> int:
    """How many characters the whole part has, its first one included; 0 where it is none."""
    return max(_UP.find(head), _DOWN.find(head)) + 2 if head.isalpha() else 0


def _split(position: str) -> tuple[str, str]:
    length = _whole_length(position[0])
    return position[:length], position[length:]


def _count_on(whole: str) -> str:
    """The whole number after one that is not the largest."""
    head, digits = whole[0], whole[1:]
    kept = digits.rstrip("z")
    if kept:
        following = DIGITS[DIGITS.index(kept[-1]) + 1]
        return head + kept[:-1] + following + "0" * (len(digits) - len(kept))
    if head == "Z":
        return FIRST
    head = chr(ord(head) + 1)
    return head + "0" * (_whole_length(head) - 1)


def _count_back(whole: str) -> str:
    """The whole number before one that is not the smallest."""
    head, digits = whole[0], whole[1:]
    kept = digits.rstrip("0")
    if kept:
        previous = DIGITS[DIGITS.index(kept[-1]) - 1]
        return head + kept[:-1] + previous + "z" * (len(digits) - len(kept))
    if head == "a":
        return "Zz"
    head = chr(ord(head) - 1)
    return head + "z" * (_whole_length(head) - 1)


def _middle(low: str, high: str | None) -> str:
    """The fraction in the middle of two; the upper end is 1 for None.

    Neither ends in a zero, and so the result does not.
    """
    found = ""
    while True:
        place = len(found)
        digit = DIGITS.index(low[place]) if place < len(low) else 0
        limit = _BASE if high is None else DIGITS.index(high[place])
        if limit - digit > 1:
            return found + DIGITS[(digit + limit) // 2]
        if limit > digit:
            high = None
        found += DIGITS[digit]
