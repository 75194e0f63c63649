"""Rate limits: how many requests an address may send, and how many all people of a tenant.

An address is counted for each request to what checks or makes secrets. A tenant is counted for
every request of somebody who is signed in there, and of nobody else: strangers could use up what
is its people's. Each process takes a lease of a hundredth of the tenant's limit from the counters
that all share, and counts that down by itself, so that hardly a request asks Redis.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import flask_smorest
import limits
import redis
from flask import Flask, Response, current_app, g, request

from todo_app.config import Settings
from todo_app.counters import Change, Counters
from todo_app.errors import AppError
from todo_app.extensions import limiter

LEASES = 100
"""Parts in which a tenant's limit is handed out to processes."""
MOST_KNOWN_TENANTS = 10_000
"""Of so many tenants a process remembers its leases."""

_limited: set[str] = set()


class TooManyRequestsError(AppError):
    """A limit is used up.

    Args:
        limit: how many there may be.
        seconds: until there may be more.
    """

    status = 429
    code = "too-many-requests"
    detail = "Too many requests; wait and try again."

    def __init__(self, limit: int, seconds: int, detail: str | None = None) -> None:
        headers = {**_headers(limit, 0, seconds), "Retry-After": str(seconds)}
        super().__init__(detail, headers=headers)


def limit_by_address(blueprint: flask_smorest.Blueprint) -> None:
    """Let one address send only so many requests to `blueprint`: it checks or makes secrets."""
    limiter.limit(
        lambda: current_app.config["SETTINGS"].auth_rate_limit,
        exempt_when=lambda: not current_app.config["SETTINGS"].auth_rate_limit,
    )(blueprint)
    _limited.add(blueprint.name)


def shared_counters() -> Counters:
    """The counters of the current application."""
    counters: Counters = current_app.extensions["counters"]
    return counters


def init_app(app: Flask) -> None:
    """Count requests by address.

    Flask-Limiter would look at every request, which costs a small one a tenth of its time: its
    hooks are wrapped so that they run for the blueprints that have limits.
    """
    settings: Settings = app.config["SETTINGS"]
    app.extensions["counters"] = Counters(settings.redis_url)
    tables: list[dict[Any, list[Any]]] = [
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
    ]
    before = [len(table.get(None, ())) for table in tables]
    limiter.init_app(app)
    if settings.auth_rate_limit:
        app.after_request(_tell_limit)
    for table, start in zip(tables, before, strict=True):
        hooks = table.get(None, [])
        hooks[start:] = [_only_where_limited(hook) for hook in hooks[start:]]


def count_tenants(app: Flask) -> None:
    """Count requests by tenant, once the guards have told whose they are."""
    settings: Settings = app.config["SETTINGS"]
    if not settings.tenant_rate_limit:
        return
    limit = TenantLimit(settings.tenant_rate_limit, app.extensions["counters"])

    @app.before_request
    def count_request() -> None:
        if "user" in g:
            limit.count(g.tenant)


class Lease(NamedTuple):
    """What a process may serve of a tenant before it asks again."""

    ends: float
    size: int
    counter: Iterator[int]

    def counts(self, now: float) -> bool:
        """Count a request, unless the lease is over or used up; an empty one lasts to its end."""
        # A count is taken by `next` alone, which no other thread can interrupt.
        return now < self.ends and (not self.size or next(self.counter) < self.size)


class TenantLimit:
    """So many requests of one tenant in each period of the clock.

    Args:
        rule: as in `12000 per minute`.
        counters: those that all processes share.
    """

    def __init__(self, rule: str, counters: Counters) -> None:
        item = limits.parse(rule)
        self._amount = item.amount
        self._seconds = item.get_expiry()
        self._lease = max(1, item.amount // LEASES)
        self._counters = counters
        self._leases: dict[str, Lease] = {}
        self._taking = threading.Lock()

    def count(self, tenant: str) -> None:
        """Count one request.

        Raises:
            TooManyRequestsError: the tenant has no more in this period.
        """
        now = time.time()
        lease = self._leases.get(tenant)
        if lease is None or not lease.counts(now):
            with self._taking:
                # Another thread may have taken one meanwhile.
                lease = self._leases.get(tenant)
                if lease is None or not lease.counts(now):
                    lease = self._take_lease(tenant, now)
                    next(lease.counter)
        if not lease.size:
            raise TooManyRequestsError(
                self._amount,
                max(1, math.ceil(lease.ends - now)),
                "Your company sends too many requests; wait and try again.",
            )

    def _take_lease(self, tenant: str, now: float) -> Lease:
        if len(self._leases) >= MOST_KNOWN_TENANTS:
            self._leases.clear()
        period = int(now // self._seconds)
        key = f"todo:tenant:{tenant}:{period}"
        [taken] = self._counters.change(Change(key, self._lease, 2 * self._seconds))
        size = min(self._lease, max(0, self._amount - taken + self._lease))
        lease = Lease((period + 1) * self._seconds, size, itertools.count())
        self._leases[tenant] = lease
        return lease


def _headers(limit: int, remaining: int, seconds: int) -> dict[str, str]:
    """The headers of draft-ietf-httpapi-ratelimit-headers, in the form that clients know."""
    return {
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(seconds),
    }


def _tell_limit(response: Response) -> Response:
    limit = limiter.current_limit
    # Redis may go away between the count and this.
    with suppress(redis.RedisError):
        if limit is None:
            return response
        seconds = max(1, math.ceil(limit.reset_at - time.time()))
        remaining = 0 if limit.breached else limit.remaining
        response.headers.update(_headers(limit.limit.amount, remaining, seconds))
        if limit.breached:
            response.headers["Retry-After"] = str(seconds)
    return response


def _only_where_limited(hook: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        if request.blueprint in _limited:
            return hook(*args)
        return args[0] if args else None

    return run
