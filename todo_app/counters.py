"""Counts that all processes share for a while: in Redis, and in memory while that is away."""

from __future__ import annotations

import time
from typing import NamedTuple

import redis
import structlog
from limits.storage import MemoryStorage

TIMEOUT_SECONDS = 1.0
AWAY_SECONDS = 5.0
"""For so long Redis is left alone after it did not answer: nobody else waits for it meanwhile."""

log = structlog.get_logger(__name__)


class Change(NamedTuple):
    """What becomes of one counter."""

    key: str
    amount: int
    """What is added; may be negative."""
    seconds: int
    """How long after its first change the counter begins anew."""


class Counters:
    """Counters that forget themselves.

    Args:
        url: of Redis; without one, this process counts alone.
    """

    def __init__(self, url: str) -> None:
        self._redis = _connect(url) if url else None
        self._memory = MemoryStorage()
        self._away_until = 0.0

    def change(self, *changes: Change, drop: tuple[str, ...] = ()) -> list[int]:
        """Change counters and drop others, in one round trip.

        Returns:
            What the changed ones have come to, in the order of `changes`.
        """
        if self._redis is not None and time.monotonic() >= self._away_until:
            try:
                return self._change_shared(self._redis, changes, drop)
            except redis.RedisError as error:
                self._note_away(error)
        for key in drop:
            self._memory.clear(key)
        return [self._memory.incr(*change[::2], amount=change.amount) for change in changes]

    def seconds_left(self, key: str) -> int:
        """Seconds until a counter begins anew; at least 1."""
        if self._redis is not None and time.monotonic() >= self._away_until:
            try:
                return max(1, int(self._redis.ttl(key)))  # type: ignore[arg-type]
            except redis.RedisError as error:
                self._note_away(error)
        return max(1, int(self._memory.get_expiry(key) - time.time()))

    def _change_shared(
        self, client: redis.Redis, changes: tuple[Change, ...], drop: tuple[str, ...]
    ) -> list[int]:
        with client.pipeline() as pipeline:
            for key in drop:
                pipeline.delete(key)
            for key, amount, seconds in changes:
                pipeline.set(key, 0, ex=seconds, nx=True)
                pipeline.incrby(key, amount)
            answers = pipeline.execute()
        return [int(count) for count in answers[len(drop) + 1 :: 2]]

    def _note_away(self, error: redis.RedisError) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        log.warning("counting in memory: Redis is away", error=type(error).__name__)


def _connect(url: str) -> redis.Redis | None:
    """A client, which connects when it is used; None where that is no URL of Redis."""
    try:
        return redis.Redis.from_url(
            url, socket_connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS
        )
    except ValueError:
        log.warning("counting in memory: REDIS_URL is no URL of Redis")
        return None
