"""Positions: always room between two, short, and in the order of their bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from todo_app.todos.positions import (
    DIGITS,
    FIRST,
    MAX_LENGTH,
    BadPositionError,
    NoRoomError,
    between,
    check,
    evenly,
    make_room,
)

LARGEST = "z" * 27
SMALLEST = "A" + "0" * 26


def is_position(text: str) -> bool:
    try:
        return check(text) == text
    except BadPositionError:
        return False


@st.composite
def positions(draw: st.DrawFn) -> str:
    """Any position, and often one at an end of what its length can say."""
    head = draw(st.sampled_from("ABYZabyz") | st.sampled_from(DIGITS[10:]))
    length = ord(head) - ord("a") + 1 if head.islower() else ord("Z") - ord(head) + 1
    digits = st.sampled_from("0z") | st.sampled_from(DIGITS)
    whole = draw(st.text(digits, min_size=length, max_size=length))
    fraction = draw(st.text(digits, max_size=6)).rstrip("0")
    found = head + whole + fraction
    return found + "V" if found == SMALLEST else found


@given(first=positions(), second=positions())
@example("a0", "a0V")
@example("a0", "a1")
@example("Zz", "a0")
@example("az", "b00")
@example("a0zzzz", "a1")
@example("a0", "a00001")
@example(SMALLEST + "1", SMALLEST + "2")
@example(LARGEST, LARGEST + "1")
def test_a_position_is_strictly_between(first: str, second: str) -> None:
    low, high = sorted([first, second])
    for before, after in [(low, high), (None, low), (high, None)]:
        if before != after:
            found = between(before, after)
            assert is_position(found)
            assert before is None or before < found
            assert after is None or found < after
            assert len(found) <= max(len(before or ""), len(after or "")) + 2


@settings(max_examples=60, deadline=None)
@given(places=st.lists(st.integers(0, 10**6), max_size=300))
def test_any_inserts_keep_the_order(places: list[int]) -> None:
    order: list[str] = []
    for place in places:
        index = place % (len(order) + 1)
        before = order[index - 1] if index else None
        after = order[index] if index < len(order) else None
        order.insert(index, between(before, after))
    assert order == sorted(order)
    assert order == sorted(order, key=lambda position: position.encode())
    assert len(set(order)) == len(order)


def test_what_is_put_at_an_end_stays_short() -> None:
    last = first = FIRST
    for _ in range(1000):
        last, first = between(last, None), between(None, first)
    assert len(last) == len(first) == 3
    for _ in range(100_000):
        last = between(last, None)
    assert len(last) == 4


@pytest.mark.parametrize("side", ["before", "after", "both"])
def test_what_is_put_into_the_same_gap_grows_slowly(side: str) -> None:
    low, high = "a0", "a1"
    for number in range(1000):
        found = between(low, high)
        if side == "before" or (side == "both" and number % 2):
            high = found
        else:
            low = found
    assert len(found) <= 2 + 1000 / 5


def test_random_inserts_stay_short() -> None:
    order = [FIRST]
    choice = random.Random(1)
    for _ in range(5000):
        index = choice.randrange(len(order) + 1)
        before = order[index - 1] if index else None
        after = order[index] if index < len(order) else None
        order.insert(index, between(before, after))
    assert max(map(len, order)) <= 12


@given(first=positions(), second=positions(), count=st.integers(0, 200))
def test_many_are_put_evenly(first: str, second: str, count: int) -> None:
    low, high = sorted([first, second])
    for before, after in [(low, high), (None, low), (high, None), (None, None)]:
        if before is None or before != after:
            found = evenly(before, after, count)
            whole = [*filter(None, [before]), *found, *filter(None, [after])]
            assert len(found) == count
            assert whole == sorted(set(whole))


def test_many_in_one_gap_stay_short() -> None:
    found = evenly("a0", "a1", 10_000)
    assert found == sorted(set(found))
    assert max(map(len, found)) <= 5
    assert max(map(len, evenly(None, None, 10_000))) <= 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "b0",
        "00",
        "0",
        "a00",
        "a0V0",
        SMALLEST,
        "a-",
        "a0\n",
        "a0 ",
        "a\u0661",
        "é0",
        "a0" + "V" * MAX_LENGTH,
    ],
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(BadPositionError):
        check(text)
    with pytest.raises(BadPositionError):
        between(text, None)
    with pytest.raises(BadPositionError):
        between(None, text)


@pytest.mark.parametrize(("before", "after"), [("a1", "a1"), ("a2", "a1"), ("a1V", "a1")])
def test_there_is_no_room_where_nothing_fits(before: str, after: str) -> None:
    with pytest.raises(NoRoomError):
        between(before, after)


def full_gap() -> list[str]:
    """Positions of which the third and the fourth have no room between them."""
    low, high = "a1", "a2"
    inner: list[str] = []
    while True:
        try:
            low = between(low, high)
        except NoRoomError:
            return ["a0", "a1", *inner, "a2", "a3"]
        inner.append(low)


def test_a_full_gap_gets_room_by_moving_a_few() -> None:
    before = full_gap()
    assert len(before) > 1000
    index = len(before) - 2
    room = make_room(before, index)
    after = [*before[: room.start], *room.positions, *before[room.stop :]]
    assert len(after) == len(before) + 1
    assert after == sorted(set(after))
    assert room.start <= index <= room.stop
    assert max(map(len, room.positions)) <= MAX_LENGTH // 2
    assert room.stop - room.start < len(before)


@settings(deadline=None)
@given(
    order=st.lists(st.sampled_from(["a0", "a0V", "a1", "a2", "a3"]), min_size=1, max_size=30).map(
        sorted
    ),
    place=st.integers(0, 30),
)
def test_equal_positions_are_moved_apart(order: list[str], place: int) -> None:
    index = place % (len(order) + 1)
    room = make_room(order, index)
    after = [*order[: room.start], *room.positions, *order[room.stop :]]
    assert len(after) == len(order) + 1
    assert after == sorted(after)
    assert len(set(room.positions)) == len(room.positions)
    assert not set(room.positions) & {*order[: room.start], *order[room.stop :]}


def test_where_there_is_room_nobody_moves() -> None:
    assert make_room(["a0", "a1"], 1) == (1, 1, ["a0V"])
    assert make_room([], 0) == (0, 0, [FIRST])
