"""Sends what tenants have for webhooks, several at a time: a slow receiver delays its own only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import structlog

from ops.delivery import claims, wakes
from ops.delivery.http_guard import Attempt, post
from todo_app.database import transaction
from todo_app.tenancy import (
    TenantBehindError,
    TenantInactiveError,
    TenantNotFoundError,
    operations,
    tenant_scope,
)
from todo_app.webhooks.signing import sign

THREADS = 8
TENANT_SECONDS = 30.0
"""After this others have their turn; with its last attempt, well within the lease of a call."""
NO_SECRET = "The secret that signs messages cannot be read; the operator has to look after it."  # noqa: S105 (a text)

Post = Callable[[str, bytes, Mapping[str, str]], Attempt]
Context = Callable[[], AbstractContextManager[object]]

log = structlog.get_logger(__name__)


def send(context: Context, for_seconds: float, post: Post = post, threads: int = THREADS) -> int:
    """Send what is due until nothing is left, or the time is over.

    May run in several workers at once.

    Args:
        context: makes an application's context, one for each thread.
        for_seconds: after this nothing more is begun.
        post: sends one request, and returns in time.
        threads: how many tenants are worked on at once.

    Returns:
        How many attempts were made.
    """
    ends = time.monotonic() + for_seconds
    with context(), operations():
        if not wakes.is_any_due():
            return 0
    attempts = _Counter()

    def work() -> None:
        with context():
            while time.monotonic() < ends and _send_of_one_tenant(post, ends, attempts):
                pass

    with ThreadPoolExecutor(threads, "webhooks") as pool:
        working = [pool.submit(work) for _ in range(threads)]
    for each in working:
        each.result()
    return attempts.number


class _Counter:
    def __init__(self) -> None:
        self.number = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self.number += 1


def _send_of_one_tenant(post: Post, ends: float, attempts: _Counter) -> bool:
    """Send what is due of the tenant that called first; False where none has."""
    with operations(), transaction():
        wake = wakes.take()
    if wake is None:
        return False
    ends = min(ends, time.monotonic() + TENANT_SECONDS)
    try:
        with tenant_scope(wake.schema_name, "schema_name"):
            while time.monotonic() < ends and _send_one(post):
                attempts.add()
    except (TenantNotFoundError, TenantInactiveError):
        # What becomes of its call is told by the catalogue.
        pass
    except TenantBehindError:
        # The lease brings it up again, when it may have been upgraded.
        return True
    except Exception:
        # Whatever it is: one tenant that cannot be served must not hold up all others.
        log.exception("webhooks not sent", schema=wake.schema_name)
        return True
    with operations(), transaction():
        wakes.settle(wake)
    return True


def _send_one(post: Post) -> bool:
    with transaction():
        claim = claims.claim()
    if claim is None:
        return False
    if claim.keys:
        headers = sign(claim.keys, str(claim.uuid), claim.body)
        attempt = post(claim.url, claim.body, headers)
    else:
        attempt = Attempt(0.0, reason=NO_SECRET)
    with transaction():
        claims.settle(claim, attempt)
    log.info(
        "webhook sent" if attempt.is_accepted else "webhook not sent",
        message=str(claim.uuid),
        attempts=claim.attempts,
        status=attempt.status,
        failure=attempt.failure,
        seconds=round(attempt.seconds, 3),
    )
    return True
