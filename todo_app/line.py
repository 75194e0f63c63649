"""Requests work in the order in which they came, as many at once as there are connections.

The server has more threads than that, for those who wait for a password's hash, or for the rest of
a body: they leave the line meanwhile. Without a line all threads would run at once for one
interpreter and few connections, and who comes last would often be served first.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_this_thread = threading.local()


class _Body:
    """A request's body: nobody waits for somebody else's sender."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, *size: int) -> bytes:
        with aside():
            return cast(bytes, self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        with aside():
            return cast(bytes, self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        with aside():
            return list(self._stream.readlines(*hint))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


def reading_aside(app: WSGIApplication) -> WSGIApplication:
    """WSGI middleware inside of a line: who sends a body slowly takes up no place in it."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"] = _Body(environ["wsgi.input"])
        return app(environ, start_response)

    return serve


class Line:
    """WSGI middleware that lets so many requests work at once.

    Args:
        app: what serves them.
        places: how many.
    """

    def __init__(self, app: WSGIApplication, places: int) -> None:
        self._app = app
        self._free = places
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request when its turn has come; what it streams afterwards is its own affair."""
        if getattr(_this_thread, "line", None) is not None:
            # A request inside another one has the place of that one.
            return self._app(environ, start_response)
        self._enter()
        _this_thread.line = self
        try:
            return self._app(environ, start_response)
        finally:
            _this_thread.line = None
            self._leave()

    def _enter(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                # Handed on, so that nobody who comes just now can take it.
                self._waiting.popleft().release()
            else:
                self._free += 1

    @contextmanager
    def _aside(self) -> Iterator[None]:
        self._leave()
        try:
            yield
        finally:
            self._enter()


@contextmanager
def aside() -> Iterator[None]:
    """Let others work while the block waits for something; outside of a request, just run it."""
    line: Line | None = getattr(_this_thread, "line", None)
    if line is None:
        yield
        return
    with line._aside():
        yield
