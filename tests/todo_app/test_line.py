"""Requests take turns, in the order in which they came."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.factories import wait_until
from todo_app.line import Line, aside, reading_aside


@pytest.mark.parametrize("places", [1, 3])
def test_so_many_work_at_once_and_the_first_come_are_served_first(places: int) -> None:
    lock, at_work, most, served = threading.Lock(), [0], [0], []
    go_on = threading.Event()

    def work(environ: Any, _: Any) -> Iterable[bytes]:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            served.append(environ["number"])
        assert go_on.wait(10)
        with lock:
            at_work[0] -= 1
        return []

    line = Line(work, places)
    with ThreadPoolExecutor(20) as pool:
        for number in range(20):
            pool.submit(line, {"number": number}, None)
            wait_until(lambda: len(served) + len(line._waiting) == number + 1, 10)  # noqa: B023
        assert (len(served), len(line._waiting)) == (places, 20 - places)
        go_on.set()
    assert most == [places]
    # Who works at the same time may change places.
    assert places > 1 or served == list(range(20))


def test_who_waits_aside_is_in_nobodys_way() -> None:
    waits, go_on = threading.Event(), threading.Event()

    def work(environ: dict[str, Any], _: Any) -> Iterable[bytes]:
        if environ["name"] == "slow":
            with aside():
                waits.set()
                assert go_on.wait(10)
        return [environ["name"].encode()]

    line = Line(work, 1)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(line, {"name": "slow"}, None)
        assert waits.wait(10)
        assert pool.submit(line, {"name": "quick"}, None).result(10) == [b"quick"]
        assert not slow.done()
        go_on.set()
        assert slow.result(10) == [b"slow"]
    assert line({"name": "again"}, None) == [b"again"]


def test_who_sends_slowly_is_in_nobodys_way() -> None:
    waits, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, *size: Any) -> bytes:
            waits.set()
            assert go_on.wait(10)
            return super().read(*size)

    def work(environ: dict[str, Any], _: Any) -> Iterable[bytes]:
        return [environ["wsgi.input"].read()]

    line = Line(reading_aside(work), 1)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(line, {"wsgi.input": Slow(b"slow")}, None)
        assert waits.wait(10)
        quick = pool.submit(line, {"wsgi.input": io.BytesIO(b"quick")}, None)
        assert quick.result(10) == [b"quick"]
        go_on.set()
        assert slow.result(10) == [b"slow"]


def test_a_failure_gives_the_place_back() -> None:
    def fail(_: Any, __: Any) -> Iterable[bytes]:
        raise OSError("gone")

    line = Line(fail, 1)
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            line({}, None)


def test_a_request_inside_another_has_its_place() -> None:
    def outer(environ: dict[str, Any], _: Any) -> Iterable[bytes]:
        depth = environ["depth"]
        return line({"depth": depth - 1}, None) if depth else [b"innermost"]

    line = Line(outer, 1)
    assert line({"depth": 3}, None) == [b"innermost"]


def test_outside_of_a_request_aside_does_nothing() -> None:
    started = time.monotonic()
    with aside():
        pass
    assert time.monotonic() - started < 1
