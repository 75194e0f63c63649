"""When a webhook is sent again, and when no more.

As Standard Webhooks advises: any 2xx is a success, all else a failure that is tried again over some
days, but for 410, by which a receiver says that it wants no more. Redirects count as failures.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus

from ops.delivery.http_guard import Attempt, Failure

DELAYS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
    timedelta(hours=24),
    timedelta(hours=24),
)
"""After each failure. Three days and seven hours in all: a weekend may pass unseen."""
MOST_ATTEMPTS = len(DELAYS) + 1
LONGEST_RETRY_AFTER = timedelta(hours=24)
LONGEST_HOLD = timedelta(hours=1)
MOST_MISSED = 10
"""After so many failures in a row, of whatever kind, a receiver is spared."""
JITTER = 0.2
"""A delay is made longer by up to this part of it, never shorter: it may be what was asked for."""

OVERLOADED = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)


class Verdict(StrEnum):
    """What becomes of a message."""

    DELIVERED = "delivered"
    RETRY = "retry"
    GIVEN_UP = "given_up"
    """It was tried often enough."""
    GONE = "gone"
    """The receiver wants no more: the webhook is to be switched off at once."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from an attempt.

    Args:
        verdict: what becomes of the message.
        delay: until the next attempt, where there is one.
        holds_others: whether the receiver is in such a state that what else waits for it had better
            wait as long.
    """

    verdict: Verdict
    delay: timedelta | None = None
    holds_others: bool = False


def judge(attempt: Attempt, attempts: int, now: datetime | None = None) -> Judgement:
    """Say what follows from an attempt.

    Args:
        attempt: what came of it.
        attempts: how many there have been, with this one.
        now: the time; that of the clock when left out.
    """
    if attempt.is_accepted:
        return Judgement(Verdict.DELIVERED)
    if attempt.status == HTTPStatus.GONE:
        return Judgement(Verdict.GONE)
    holds_others = attempt.status in OVERLOADED or attempt.failure in (
        Failure.TIMEOUT,
        Failure.CONNECTION,
    )
    if attempts >= MOST_ATTEMPTS:
        return Judgement(Verdict.GIVEN_UP, holds_others=holds_others)
    asked = retry_after(attempt.retry_after, now or datetime.now(UTC))
    delay = max(DELAYS[attempts - 1], asked)
    stretched = delay * random.uniform(1, 1 + JITTER)  # noqa: S311 (no secret)
    return Judgement(Verdict.RETRY, stretched, holds_others)


def hold(attempt: Attempt, judgement: Judgement, failures: int, now: datetime) -> timedelta | None:
    """How long a receiver is spared after a failure; None where others are to be sent at once.

    As long as it asks for, or longer with each failure in a row, up to an hour.

    Args:
        attempt: what came of it.
        judgement: what followed.
        failures: how many there have been in a row, with this one.
        now: the time.
    """
    if not judgement.holds_others and failures < MOST_MISSED:
        return None
    usual = DELAYS[min(failures, len(DELAYS)) - 1]
    return max(retry_after(attempt.retry_after, now), min(usual, LONGEST_HOLD))


def retry_after(header: str, now: datetime) -> timedelta:
    """What a header Retry-After asks for: none where it cannot be read, a day at most.

    Args:
        header: seconds, or a date of HTTP.
        now: the time.
    """
    text = header.strip()
    if text.isascii() and text.isdigit():
        asked = timedelta(seconds=int(text[:9])) if len(text) <= 9 else LONGEST_RETRY_AFTER
    else:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return timedelta(0)
        asked = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
    return min(max(asked, timedelta(0)), LONGEST_RETRY_AFTER)
