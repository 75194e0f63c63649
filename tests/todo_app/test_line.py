"""Requests take turns, in the order in which they came."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.factories import wait_until
from todo_app.line import Line, aside


@pytest.mark.parametrize("places", [1, 3])
def test_so_many_work_at_once_and_the_first_come_are_served_first(places: int) -> None:
    lock, at_work, most, served = threading.Lock(), [0], [0], []
    go_on = threading.Event()

    def work(environ: Any, _: Any) -> Iterable[bytes]:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            served.append(environ)
        assert go_on.wait(10)
        with lock:
            at_work[0] -= 1
        return []

    line = Line(work, places)
    with ThreadPoolExecutor(20) as pool:
        for number in range(20):
            pool.submit(line, number, None)
            wait_until(lambda: len(served) + len(line._waiting) == number + 1, 10)  # noqa: B023
        assert (len(served), len(line._waiting)) == (places, 20 - places)
        go_on.set()
    assert most == [places]
    # Who works at the same time may change places.
    assert places > 1 or served == list(range(20))


def test_who_waits_aside_is_in_nobodys_way() -> None:
    waits, go_on = threading.Event(), threading.Event()

    def work(environ: str, _: Any) -> Iterable[bytes]:
        if environ == "slow":
            with aside():
                waits.set()
                assert go_on.wait(10)
        return [environ.encode()]

    line = Line(work, 1)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(line, "slow", None)
        assert waits.wait(10)
        assert pool.submit(line, "quick", None).result(10) == [b"quick"]
        assert not slow.done()
        go_on.set()
        assert slow.result(10) == [b"slow"]
    assert line("again", None) == [b"again"]


def test_a_failure_gives_the_place_back() -> None:
    def fail(_: Any, __: Any) -> Iterable[bytes]:
        raise OSError("gone")

    line = Line(fail, 1)
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            line({}, None)


def test_a_request_inside_another_has_its_place() -> None:
    def outer(environ: int, _: Any) -> Iterable[bytes]:
        return line(environ - 1, None) if environ else [b"innermost"]

    line = Line(outer, 1)
    assert line(3, None) == [b"innermost"]


def test_outside_of_a_request_aside_does_nothing() -> None:
    started = time.monotonic()
    with aside():
        pass
    assert time.monotonic() - started < 1
