"""Hashes take turns, and few may wait for theirs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from todo_app import hashing
from todo_app.hashing import BusyError, in_turn, place


def test_one_is_made_at_a_time() -> None:
    running, order, most = 0, [], 0

    def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        order.append(number)
        running -= 1
        return number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda n: in_turn(work, n), range(40))) == list(range(40))
    assert (most, len(order)) == (1, 40)


def test_who_finds_no_place_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_places", threading.BoundedSemaphore(1))
    begun, go_on = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return go_on.wait(10)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(in_turn, work)
        assert begun.wait(10)
        with pytest.raises(BusyError):
            in_turn(int)
        go_on.set()
        assert waiting.result() is True
    assert in_turn(int) == 0


def test_a_place_inside_another_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_places", threading.BoundedSemaphore(1))
    with place():
        assert in_turn(int, "7") == 7
        with place():
            pass
    with place():
        pass


def test_an_error_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_places", threading.BoundedSemaphore(1))
    for _ in range(2):
        with pytest.raises(ValueError, match="seven"):
            in_turn(int, "seven")
