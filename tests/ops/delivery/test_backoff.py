"""When webhooks are sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from ops.delivery.backoff import (
    DELAYS,
    JITTER,
    LONGEST_RETRY_AFTER,
    MOST_ATTEMPTS,
    Judgement,
    Verdict,
    hold,
    judge,
    retry_after,
)
from ops.delivery.http_guard import Attempt, Failure

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
NONE = timedelta(0)


def answered(status: int, retry_after: str = "") -> Attempt:
    return Attempt(0.1, status=status, retry_after=retry_after)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery(status: int) -> None:
    assert judge(answered(status), 1) == Judgement(Verdict.DELIVERED)
    assert judge(answered(status), MOST_ATTEMPTS) == Judgement(Verdict.DELIVERED)


def test_gone_ends_it_at_once() -> None:
    assert judge(answered(410), 1) == Judgement(Verdict.GONE)


@pytest.mark.parametrize("status", [101, 301, 302, 308, 400, 401, 404, 408, 422, 500, 501, 799])
def test_all_else_is_tried_again(status: int) -> None:
    judgement = judge(answered(status), 1)
    assert judgement.verdict is Verdict.RETRY
    assert not judgement.holds_others


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_receiver_under_load_is_given_time(status: int) -> None:
    judgement = judge(answered(status), 1)
    assert judgement.verdict is Verdict.RETRY
    assert judgement.holds_others


@pytest.mark.parametrize("failure", list(Failure))
def test_no_answer_is_tried_again(failure: Failure) -> None:
    judgement = judge(Attempt(0.1, failure=failure), 1)
    assert judgement.verdict is Verdict.RETRY
    assert judgement.holds_others == (failure in (Failure.TIMEOUT, Failure.CONNECTION))


def test_delays_grow_and_end() -> None:
    for attempts, planned in enumerate(DELAYS, start=1):
        for _ in range(20):
            judgement = judge(answered(500), attempts)
            assert judgement.verdict is Verdict.RETRY
            assert judgement.delay is not None
            assert planned <= judgement.delay <= planned * (1 + JITTER)
    assert judge(answered(500), MOST_ATTEMPTS) == Judgement(Verdict.GIVEN_UP)
    assert judge(answered(503), MOST_ATTEMPTS + 1).verdict is Verdict.GIVEN_UP
    assert sum(DELAYS, NONE) > timedelta(days=3)


def test_delays_are_spread() -> None:
    assert len({judge(answered(500), 3).delay for _ in range(20)}) > 1


def test_what_the_receiver_asks_for_counts_where_it_is_longer() -> None:
    longer = judge(answered(429, "600"), 1, NOW).delay
    assert longer is not None
    assert timedelta(seconds=600) <= longer <= timedelta(seconds=720)
    shorter = judge(answered(429, "1"), 5, NOW).delay
    assert shorter is not None
    assert shorter >= DELAYS[4]


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("120", timedelta(seconds=120)),
        (" 0 ", NONE),
        ("999999999", LONGEST_RETRY_AFTER),
        ("9" * 5000, LONGEST_RETRY_AFTER),
        (format_datetime(NOW + timedelta(minutes=3), usegmt=True), timedelta(minutes=3)),
        ("Tue, 03 Feb 2026 12:01:00 -0000", timedelta(minutes=1)),
        (format_datetime(NOW - timedelta(minutes=3), usegmt=True), NONE),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
        ("Fri, 31 Dec 9999 23:59:59 -2359", LONGEST_RETRY_AFTER),
        ("", NONE),
        ("soon", NONE),
        ("-5", NONE),
        ("1.5", NONE),
        ("\u0665", NONE),
        ("Tue, 99 Feb 2026 99:00:00 GMT", NONE),
    ],
)
def test_the_header_retry_after(header: str, asked: timedelta) -> None:
    assert retry_after(header, NOW) == asked


def test_a_receiver_is_spared_longer_with_each_failure_up_to_an_hour() -> None:
    overloaded = Attempt(0.1, status=503)
    judged = judge(overloaded, 1, NOW)
    holds = [hold(overloaded, judged, failures, NOW) for failures in (1, 2, 5, 6, 9, 10, 1000)]
    hour = timedelta(hours=1)
    assert holds == [DELAYS[0], DELAYS[1], hour, hour, hour, hour, hour]
    asking = Attempt(0.1, status=503, retry_after="7200")
    assert hold(asking, judge(asking, 1, NOW), 1, NOW) == timedelta(hours=2)
    # What fails by its own fault holds up nothing, but where all do.
    bad = Attempt(0.1, status=400)
    assert hold(bad, judge(bad, 1, NOW), 9, NOW) is None
    assert hold(bad, judge(bad, 1, NOW), 10, NOW) == hour
