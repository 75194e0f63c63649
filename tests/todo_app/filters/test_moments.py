"""Days and moments, as the user's clock and calendar have them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from todo_app.filters import moments
from todo_app.filters.context import Context
from todo_app.filters.errors import FilterError
from todo_app.filters.language import parse
from todo_app.filters.nodes import Condition

NOON = "2026-11-22T12:00Z"
"""A Sunday."""


def period(text: str, now: str, zone: str) -> str | tuple[str, str]:
    """When a value is, in UTC: one instant, or a first one and the one behind the last."""
    condition = parse(f"due = {text}")
    assert isinstance(condition, Condition)
    context = Context(1, datetime.fromisoformat(now), ZoneInfo(zone))
    found = moments.period(condition.values[0], context)
    assert found is not None
    start, end = (
        each.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="auto") + "Z" for each in found
    )
    assert found.is_instant == (start == end)
    return start if found.is_instant else (start, end)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("today", "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"),
        ("Tomorrow", "2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z"),
        ("yesterday", "2026-11-20T23:00:00Z", "2026-11-21T23:00:00Z"),
        ("today+2d", "2026-11-23T23:00:00Z", "2026-11-24T23:00:00Z"),
        ("today-1mo+1d", "2026-10-22T22:00:00Z", "2026-10-23T22:00:00Z"),
        ("tomorrow+1w", "2026-11-29T23:00:00Z", "2026-11-30T23:00:00Z"),
        ("2026-11-22", "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"),
        ("2026-07-01", "2026-06-30T22:00:00Z", "2026-07-01T22:00:00Z"),
    ],
)
def test_days(text: str, start: str, end: str) -> None:
    assert period(text, NOON, "Europe/Warsaw") == (start, end)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-11-22T12:00:00Z"),
        ("now+7d", "2026-11-29T12:00:00Z"),
        ("-2w", "2026-11-08T12:00:00Z"),
        ("+3h", "2026-11-22T15:00:00Z"),
        ("now-1h30m15s", "2026-11-22T10:29:45Z"),
        ("now+1mo", "2026-12-22T12:00:00Z"),
        ("now-1y", "2025-11-22T12:00:00Z"),
        ("now+3mo+8d+1mo", "2027-04-02T11:00:00Z"),
        ("today+9h", "2026-11-22T08:00:00Z"),
        ("startofweek", "2026-11-15T23:00:00Z"),
        ("startofweek+1w", "2026-11-22T23:00:00Z"),
        ("endofweek", "2026-11-22T22:59:59.999999Z"),
        ("endofweek-1w", "2026-11-15T22:59:59.999999Z"),
        ("startofmonth", "2026-10-31T23:00:00Z"),
        ("startofmonth-1mo", "2026-09-30T22:00:00Z"),
        ("endofmonth", "2026-11-30T22:59:59.999999Z"),
        ("endofmonth+1mo", "2026-12-31T22:59:59.999999Z"),
        ("endofmonth+3mo", "2027-02-28T22:59:59.999999Z"),
        ("endofmonth-1y", "2025-11-30T22:59:59.999999Z"),
        ("2026-11-22T09:30:00+05:30", "2026-11-22T04:00:00Z"),
    ],
)
def test_moments(text: str, moment: str) -> None:
    assert period(text, NOON, "Europe/Warsaw") == moment


def test_the_day_is_that_of_the_user() -> None:
    at = "2026-11-22T23:30Z"
    assert period("today", at, "UTC") == ("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z")
    assert period("today", at, "Asia/Tokyo") == ("2026-11-22T15:00:00Z", "2026-11-23T15:00:00Z")
    assert period("startofweek", at, "Asia/Tokyo") == "2026-11-22T15:00:00Z"
    assert period("startofweek", at, "America/New_York") == "2026-11-16T05:00:00Z"


@pytest.mark.parametrize(
    ("text", "now", "zone", "expected"),
    [
        # The clock goes forward on 2026-03-29 at 02:00, and back on 2026-10-25 at 03:00.
        ("today", "2026-03-29T10:00Z", "Europe/Warsaw",
         ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")),
        ("today", "2026-10-25T10:00Z", "Europe/Warsaw",
         ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")),
        ("now+1d", "2026-03-28T10:00Z", "Europe/Warsaw", "2026-03-29T09:00:00Z"),
        ("now+24h", "2026-03-28T10:00Z", "Europe/Warsaw", "2026-03-29T10:00:00Z"),
        ("now-1w", "2026-03-30T10:00Z", "Europe/Warsaw", "2026-03-23T11:00:00Z"),
        ("startofweek", "2026-03-29T10:00Z", "Europe/Warsaw", "2026-03-22T23:00:00Z"),
        ("endofweek", "2026-03-29T00:30Z", "Europe/Warsaw", "2026-03-29T21:59:59.999999Z"),
        ("startofmonth", "2026-10-31T10:00Z", "Europe/Warsaw", "2026-09-30T22:00:00Z"),
        # 02:30 is not there on that day: an hour later is.
        ("now+1d", "2026-03-28T01:30Z", "Europe/Warsaw", "2026-03-29T01:30:00Z"),
        # 02:30 is there twice: the first is meant.
        ("now+1d", "2026-10-24T00:30Z", "Europe/Warsaw", "2026-10-25T00:30:00Z"),
        # Half an hour only.
        ("today", "2026-10-04T10:00Z", "Australia/Lord_Howe",
         ("2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z")),
        # The clock goes forward at midnight: the day begins at one.
        ("today", "2018-11-04T12:00Z", "America/Sao_Paulo",
         ("2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z")),
        # The clock goes back at midnight: the day before has 25 hours.
        ("yesterday", "2018-02-18T12:00Z", "America/Sao_Paulo",
         ("2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z")),
        # A day that an island left out.
        ("2011-12-31", NOON, "Pacific/Apia", ("2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z")),
        # The 31st and the 29th of February that are not there.
        ("now+1mo", "2026-01-31T10:00Z", "UTC", "2026-02-28T10:00:00Z"),
        ("now+1y", "2028-02-29T10:00Z", "UTC", "2029-02-28T10:00:00Z"),
        ("now+1mo+1mo", "2026-01-31T10:00Z", "UTC", "2026-03-28T10:00:00Z"),
    ],
)  # fmt: skip
def test_clocks_that_change(
    text: str, now: str, zone: str, expected: str | tuple[str, str]
) -> None:
    assert period(text, now, zone) == expected


@pytest.mark.parametrize(
    "text",
    ["now+9000y", "now-2100y", "today+999999999d", "now+999999999mo", "-999999999w",
     "now+7000y+7000y", "endofmonth+8000y", "today-2026y"],
)  # fmt: skip
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_ends_of_the_calendar(text: str, zone: str) -> None:
    with pytest.raises(FilterError) as caught:
        period(text, NOON, zone)
    assert caught.value.column == 7
    assert caught.value.problem == "the years of a filter are from 2 to 9998."


@pytest.mark.parametrize("text", ["0002-01-01", "9998-12-31"])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_first_and_last_day(text: str, zone: str) -> None:
    start, end = period(text, NOON, zone)
    assert start < end
