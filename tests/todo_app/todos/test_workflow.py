"""The workflow of tasks: where to a task may go, and how long it was where."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_app.todos.workflow import (
    ACCEPTED,
    CLOSED,
    DONE,
    IN_PROGRESS,
    NEW,
    OPEN,
    PAUSED,
    REJECTED,
    STATUSES,
    TRANSITIONS,
    Entered,
    StatusTransitionError,
    check,
    time_in_status,
)

MORNING = datetime(2026, 3, 2, 9, tzinfo=UTC)


def may(old: str, new: str) -> bool:
    try:
        check(old, new)
    except StatusTransitionError:
        return False
    return True


def test_each_status_is_open_or_closed() -> None:
    assert sorted(OPEN + CLOSED) == sorted(STATUSES)
    assert set(TRANSITIONS) == set(STATUSES)
    for old, allowed in TRANSITIONS.items():
        assert old not in allowed
        assert len(set(allowed)) == len(allowed)
        assert set(allowed) <= set(STATUSES)


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_may_be_given_again(status: str) -> None:
    check(status, status)


@pytest.mark.parametrize("status", OPEN)
def test_what_is_open_may_be_ended_and_put_aside(status: str) -> None:
    assert may(status, DONE)
    assert may(status, REJECTED)
    assert may(status, PAUSED)
    assert may(status, IN_PROGRESS)


def test_what_is_closed_may_be_opened() -> None:
    assert [new for new in STATUSES if may(DONE, new)] == [NEW, IN_PROGRESS, DONE]
    assert [new for new in STATUSES if may(REJECTED, new)] == [NEW, ACCEPTED, REJECTED]


def test_what_has_begun_is_not_new_again() -> None:
    assert not may(IN_PROGRESS, NEW)
    assert not may(PAUSED, NEW)


@pytest.mark.parametrize("new", [PAUSED, "nonsense"])
def test_what_is_refused_says_what_is_allowed(new: str) -> None:
    with pytest.raises(StatusTransitionError) as error:
        check(DONE, new)
    assert error.value.status == 409
    assert error.value.code == "status-transition"
    assert error.value.detail == f"A task that is done cannot become {new}."
    assert error.value.errors == {"json": {"status": ["Allowed from done: new, in_progress."]}}


def after(**more: float) -> datetime:
    return MORNING + timedelta(**more)


def test_time_is_added_up_by_status() -> None:
    entries = [
        Entered(NEW, MORNING),
        Entered(IN_PROGRESS, after(minutes=10)),
        Entered(PAUSED, after(minutes=30)),
        Entered(IN_PROGRESS, after(hours=1)),
    ]
    expected = {NEW: 600.0, IN_PROGRESS: 1200.0 + 1800.0, PAUSED: 1800.0}
    assert time_in_status(entries, after(minutes=90)) == expected
    assert time_in_status(reversed(entries), after(minutes=90)) == expected


def test_what_is_after_the_end_does_not_count() -> None:
    entries = [Entered(NEW, MORNING), Entered(DONE, after(hours=2))]
    assert time_in_status(entries, after(hours=1)) == {NEW: 3600.0}
    assert time_in_status(entries, after(hours=2)) == {NEW: 7200.0, DONE: 0.0}
    assert time_in_status(entries, after(hours=-1)) == {}
    assert time_in_status([], MORNING) == {}


@given(
    entries=st.lists(
        st.builds(
            Entered,
            st.sampled_from(STATUSES),
            st.integers(0, 10**6).map(lambda n: after(seconds=n)),
        ),
        min_size=1,
    ),
    end=st.integers(0, 10**6),
)
def test_no_second_is_lost(entries: list[Entered], end: int) -> None:
    until = after(seconds=end)
    total = sum(time_in_status(entries, until).values())
    began = min(entry.at for entry in entries)
    assert total == max(0.0, (until - began).total_seconds())
