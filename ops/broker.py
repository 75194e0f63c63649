"""Keeps workers alive where the broker goes away while they are at work."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty

from kombu.transport import redis


class Channel(redis.Channel):
    """A channel that can be closed although its broker is gone.

    Kombu 5.7 closes a lost connection twice. The first time fails where the channel waits for the
    answer to a poll, and the second time then ends the worker, should any task be under way.
    """

    def close(self) -> None:
        """Close the channel; what it waited for does not come any more."""
        if self._in_poll:
            with suppress(Empty, *self.connection_errors):
                self._brpop_read()  # type: ignore[no-untyped-call]
        super().close()  # type: ignore[no-untyped-call]


def install() -> None:
    """Let all connections of this process to a broker have such channels."""
    redis.Transport.Channel = Channel
