"""Metrics that the broker knows."""

from __future__ import annotations

import redis
from prometheus_client.core import GaugeMetricFamily, Metric
from redis.backoff import NoBackoff
from redis.retry import Retry

import celeryconfig
from todo_app.config import Settings

TIMEOUT_SECONDS = 2.0


def read(settings: Settings) -> list[Metric]:
    """How many messages wait in each queue.

    Raises:
        redis.RedisError: the broker is away.
        ConfigError, ValueError: REDIS_URL is not set, or no URL.
    """
    client = redis.Redis.from_url(
        settings.need("redis_url"),
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    names = [queue.name for queue in celeryconfig.task_queues]
    with client, client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.llen(name)
        lengths = pipeline.execute()
    family = GaugeMetricFamily(
        "todo_queue_messages", "Messages that wait in a queue of Celery.", labels=["queue"]
    )
    for name, length in zip(names, lengths, strict=True):
        family.add_metric([name], length)
    return [family]
