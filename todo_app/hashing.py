"""Password hashing takes turns, so that a rush of log-ins leaves the rest of the service alone.

A hash takes 20 milliseconds of a core and 19 MiB. One is made at a time in each process, by a
thread of lower priority, in the order in which they were asked for. Who waits holds a thread and
nothing else; where too many wait already, further ones are told at once to come back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from todo_app.errors import UnavailableError
from todo_app.line import aside

MOST_WAITING = 48
"""Requests of a process that may wait for a hash; gunicorn.conf.py has more threads than that."""

MOST_LOOKUPS = 2
"""Of a rush of log-ins so many look their users up at a time: other requests need connections."""

NICENESS = 10

T = TypeVar("T")


class BusyError(UnavailableError):
    """Too many people sign in at this moment."""

    code = "busy"
    detail = "Too many people sign in at this moment; try again."


def _give_way() -> None:
    """Let other threads go first, where the system knows priorities of threads."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


lookups = threading.BoundedSemaphore(MOST_LOOKUPS)
"""Held while a log-in looks its user up, before the hash."""

_places = threading.BoundedSemaphore(MOST_WAITING)
_this_thread = threading.local()
_executor = ThreadPoolExecutor(1, thread_name_prefix="hashing", initializer=_give_way)


@contextmanager
def place() -> Iterator[None]:
    """Run the block with a place among those who wait; one inside another has it already.

    Taken before anything else is done for a request, so that to refuse one costs next to nothing.

    Raises:
        BusyError: too many wait already.
    """
    if getattr(_this_thread, "has_place", False):
        yield
        return
    if not _places.acquire(blocking=False):
        raise BusyError
    _this_thread.has_place = True
    try:
        yield
    finally:
        _this_thread.has_place = False
        _places.release()


def in_turn(work: Callable[..., T], *args: object) -> T:
    """What `work(*args)` gives, when its turn has come.

    No transaction should be open: its connection would wait along.

    Raises:
        BusyError: too many wait already.
    """
    with place(), aside():
        return _executor.submit(work, *args).result()
