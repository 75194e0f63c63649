"""Recurrence: the same dates as python-dateutil, the same time on the clock, and no bombs."""

from __future__ import annotations

import contextlib
import itertools
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from todo_app.todos.recurrence import (
    FROM_COMPLETION,
    Next,
    accept,
    next_occurrence,
    next_task,
    occurrences,
)
from todo_app.todos.rrule import (
    FREQUENCIES,
    LAST_YEAR,
    MAX_COUNT,
    WEEKDAYS,
    Moment,
    RecurrenceError,
    Rule,
    Weekday,
    parse,
)

UTC_ZONE = ZoneInfo("UTC")
WARSAW = ZoneInfo("Europe/Warsaw")
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Europe/Warsaw",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "Africa/Casablanca",
        "Pacific/Kiritimati",
    )
]
MANY = 40
SECONDS_FOR_A_BOMB = 2.0
"""Far more than it takes, for machines that do other things too."""


def local(text: str, zone: ZoneInfo = WARSAW) -> datetime:
    """A time on the clocks of a zone, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def shown(moments: Any, zone: ZoneInfo = WARSAW) -> list[str]:
    """What the clocks of a zone show."""
    return [moment.astimezone(zone).strftime("%Y-%m-%d %H:%M") for moment in moments]


def signed(most: int) -> st.SearchStrategy[int]:
    return st.integers(1, most) | st.integers(-most, -1)


def some(values: st.SearchStrategy[Any], most: int = 4) -> st.SearchStrategy[tuple[Any, ...]]:
    lists = st.lists(values, min_size=1, max_size=most, unique=True)
    return st.just(()) | lists.map(sorted).map(tuple)


@st.composite
def rules(draw: st.DrawFn, timed: bool = True) -> Rule:
    """Any rule that is accepted as a text, or as one of a task that lasts all day."""
    freq = draw(st.sampled_from(FREQUENCIES if timed else FREQUENCIES[:-1]))
    week_numbers = draw(some(signed(53))) if freq == "YEARLY" else ()
    months = draw(some(st.integers(1, 12)))
    nths = st.just(0)
    if freq in ("MONTHLY", "YEARLY") and not week_numbers and draw(st.booleans()):
        nths = signed(5 if months or freq == "MONTHLY" else 53)
    rule = Rule(
        freq=freq,
        interval=draw(st.integers(1, 5) | st.integers(1, 1000)),
        count=draw(st.none() | st.integers(1, MAX_COUNT)),
        months=months,
        week_numbers=week_numbers,
        year_days=draw(some(signed(366))) if freq in ("YEARLY", "HOURLY") else (),
        month_days=draw(some(signed(31))) if freq != "WEEKLY" else (),
        weekdays=draw(some(st.builds(Weekday, st.integers(0, 6), nths))),
        hours=draw(some(st.integers(0, 23), 2)) if timed else (),
        week_start=draw(st.integers(0, 6)),
    )
    if freq != "HOURLY" and (rule.picks_days or rule.months or rule.hours):
        positions = draw(some(signed(5), 2))
        rule = Rule(
            **{name: getattr(rule, name) for name in Rule.__slots__} | {"set_positions": positions}
        )
    return rule


LATE_STARTS = st.datetimes(datetime(9960, 1, 1), datetime(9990, 1, 1))
"""So late that python-dateutil, which searches to the end of the calendar, soon gets there."""
STARTS = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1))


@settings(max_examples=150, deadline=None)
@given(rule=rules(), start=LATE_STARTS)
@example(Rule("YEARLY", week_numbers=(1,), weekdays=(Weekday(0),)), datetime(9963, 12, 30, 9))
@example(Rule("YEARLY", week_numbers=(-1, 51), week_start=3), datetime(9961, 1, 1, 9))
@example(Rule("YEARLY", month_days=(29,), months=(2,)), datetime(9960, 2, 29, 9))
@example(Rule("MONTHLY", interval=7), datetime(9960, 1, 31, 23, 59, 59))
@example(Rule("MONTHLY", weekdays=(Weekday(4, -1),)), datetime(9970, 1, 1, 9))
@example(Rule("HOURLY", interval=25, hours=(3,)), datetime(9970, 1, 1, 9))
def test_the_dates_are_those_of_dateutil(rule: Rule, start: datetime) -> None:
    start = start.replace(microsecond=0)
    # dateutil wants a numbered weekday and a plain one at once where the standard wants either,
    # takes a week across New Year for another one (the next test has those), and begins the first
    # week of a series in its middle when it counts BYSETPOS.
    assume(len({bool(weekday.nth) for weekday in rule.weekdays}) < 2)
    assume(all(abs(number) < 52 for number in rule.week_numbers))
    assume(rule.freq != "WEEKLY" or not rule.set_positions)
    expected = []
    # It raises where it sees at once that there are none, and where a week leaves the calendar.
    with contextlib.suppress(ValueError):
        for wall in itertools.islice(rrulestr(str(rule), dtstart=start), MANY):
            expected += [wall] if wall.year < LAST_YEAR else []
    ours = itertools.islice(occurrences(rule, start.replace(tzinfo=UTC), UTC_ZONE), MANY)
    found = [moment.replace(tzinfo=None) for moment in ours if moment.year < LAST_YEAR]
    assert found == expected


@settings(max_examples=60, deadline=None)
@given(numbers=some(signed(53)).filter(bool), start=st.dates(date(1900, 1, 1), date(2100, 1, 1)))
@example((53,), date(2020, 12, 27))
@example((-53,), date(2026, 1, 1))
@example((1, -1), date(2024, 12, 20))
def test_weeks_are_those_of_the_calendar(numbers: tuple[int, ...], start: date) -> None:
    series = occurrences(Rule("YEARLY", week_numbers=numbers), start, WARSAW)
    found = list(itertools.islice(series, MANY))
    days = [start + timedelta(days=n) for n in range((found[-1] - start).days + 1)]
    assert found == [day for day in days if _is_in_iso_week(day, numbers)]


def _is_in_iso_week(day: date, numbers: tuple[int, ...]) -> bool:
    year, week, _ = day.isocalendar()
    last = date(year, 12, 28).isocalendar().week
    return week in numbers or week - last - 1 in numbers


@settings(max_examples=60, deadline=None)
@given(rule=rules(), start=STARTS, days=st.integers(0, 5000), zone=st.sampled_from(ZONES))
def test_a_series_entered_late_is_the_same(
    rule: Rule, start: datetime, days: int, zone: ZoneInfo
) -> None:
    at = start.replace(microsecond=0, tzinfo=UTC)
    after = at + timedelta(days=days)
    whole = occurrences(rule, at, zone)
    later = itertools.dropwhile(lambda moment: moment <= after, itertools.islice(whole, 500))
    expected = next(later, None)
    found = next_occurrence(rule, at, after, zone)
    if expected is not None:
        assert found == expected
    elif found is not None:
        assert found > after


@settings(max_examples=60, deadline=None)
@given(rule=rules(), start=STARTS, zone=st.sampled_from(ZONES))
def test_the_time_on_the_clock_stays(rule: Rule, start: datetime, zone: ZoneInfo) -> None:
    at = start.replace(microsecond=0, tzinfo=UTC)
    clock = at.astimezone(zone)
    hours = rule.hours or (range(24) if rule.freq == "HOURLY" else (clock.hour,))
    last = None
    for moment in itertools.islice(occurrences(rule, at, zone), MANY):
        assert moment.utcoffset() == timedelta(0)
        assert last is None or moment > last
        assert moment >= at or at.astimezone(zone).fold
        wall = moment.astimezone(zone)
        on_time = wall.hour in hours and (wall.minute, wall.second) == (clock.minute, clock.second)
        assert on_time or _clock_jumped_before(moment, zone)
        last = moment


def _clock_jumped_before(moment: datetime, zone: ZoneInfo) -> bool:
    offset = moment.astimezone(zone).utcoffset()
    before = (moment - timedelta(hours=1, seconds=1)).astimezone(zone).utcoffset()
    assert offset is not None
    assert before is not None
    return offset > before


@settings(max_examples=60, deadline=None)
@given(rule=rules(timed=False), start=st.dates(date(1990, 1, 1), date(2040, 1, 1)))
def test_days_are_those_of_midnights(rule: Rule, start: date) -> None:
    days = list(itertools.islice(occurrences(rule, start, WARSAW), MANY))
    midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
    moments = itertools.islice(occurrences(rule, midnight, UTC_ZONE), MANY)
    assert days == [moment.date() for moment in moments if isinstance(moment, datetime)]
    assert not any(isinstance(day, datetime) for day in days)


@settings(max_examples=100, deadline=None)
@given(rule=rules())
def test_a_rule_is_read_back_as_it_was_written(rule: Rule) -> None:
    assume(len(str(rule)) <= 500)
    assert parse(str(rule)) == rule
    assert parse(f"  rrule:{str(rule).lower()}\r\n") == rule


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(max_size=60)
    | st.text("FREQ=DAILYWKST;BYMONTHUNTIL:,-+0123456789\n", max_size=60).map("FREQ=DAILY;".__add__)
)
def test_any_other_text_is_refused(text: str) -> None:
    with contextlib.suppress(RecurrenceError):
        assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a part"),
        ("INTERVAL=2", "FREQ is missing"),
        ("FREQ=SECONDLY", "FREQ is one of"),
        ("FREQ=MINUTELY", "FREQ is one of"),
        ("FREQ=FORTNIGHTLY", "FREQ is one of"),
        ("FREQ=DAILY;", "not a part"),
        ("FREQ=DAILY;FREQ=DAILY", "twice"),
        ("FREQ=DAILY;BYEASTER=1", "'BYEASTER' is not a part"),
        ("FREQ=DAILY;X-NAME=1", "'X-NAME' is not a part"),
        ("FREQ=DAILY;BYSECOND=1,2,3", "BYSECOND is not supported"),
        ("FREQ=DAILY;BYMINUTE=1", "BYMINUTE is not supported"),
        ("RSCALE=CHINESE;FREQ=YEARLY", "RSCALE is not supported"),
        ("FREQ=MONTHLY;SKIP=FORWARD", "SKIP is not supported"),
        ("EXRULE:FREQ=DAILY", "one RRULE only"),
        ("RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY", "one RRULE only"),
        ("RRULE:FREQ=DAILY\r\nRDATE:20260101", "one RRULE only"),
        ("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY", "one RRULE only"),
        ("FREQ=DAILY\u2028COUNT=2", "one RRULE only"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL is 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=1001", "INTERVAL is 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL is 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=1.5", "INTERVAL is 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=\u0661", "INTERVAL is 1 to 1000"),
        ("FREQ=DAILY;COUNT=0", "COUNT is 1 to 1000"),
        ("FREQ=DAILY;COUNT=1000000000", "COUNT is 1 to 1000"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20260101", "exclude each other"),
        ("FREQ=DAILY;UNTIL=20260230", "UNTIL is a date such as"),
        ("FREQ=DAILY;UNTIL=2026-01-01", "UNTIL is a date such as"),
        ("FREQ=DAILY;UNTIL=20260101T000000", "UNTIL is a date such as"),
        ("FREQ=DAILY;UNTIL=20260101T250000Z", "UNTIL is a date such as"),
        ("FREQ=DAILY;UNTIL=99991231", "UNTIL is in the years 2 to 9998"),
        ("FREQ=DAILY;UNTIL=00011231T000000Z", "UNTIL is in the years 2 to 9998"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH is 1 to 12"),
        ("FREQ=DAILY;BYMONTH=1,,2", "BYMONTH is 1 to 12"),
        ("FREQ=DAILY;BYMONTHDAY=0", "BYMONTHDAY is never 0"),
        ("FREQ=DAILY;BYMONTHDAY=32", "BYMONTHDAY is -31 to 31"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR is 0 to 23"),
        ("FREQ=WEEKLY;BYDAY=XX", "BYDAY has days such as"),
        ("FREQ=WEEKLY;BYDAY=0MO", "BYDAY has days such as"),
        ("FREQ=WEEKLY;BYDAY=2MO", "FREQ=MONTHLY and FREQ=YEARLY only"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY has days such as"),
        ("FREQ=MONTHLY;BYDAY=6MO", "-5 to 5"),
        ("FREQ=YEARLY;BYMONTH=1;BYDAY=-6MO", "-5 to 5"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "does not go with BYWEEKNO"),
        ("FREQ=MONTHLY;BYWEEKNO=1", "FREQ=YEARLY only"),
        ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY goes with"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "does not go with FREQ=WEEKLY"),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS needs another part"),
        ("FREQ=HOURLY;BYHOUR=1;BYSETPOS=1", "BYSETPOS does not go"),
        ("FREQ=DAILY;WKST=1", "WKST is one of"),
        ("FREQ=DAILY;BYHOUR=" + ",".join(["1"] * 1000), "at most 500 characters"),
    ],
)
def test_what_is_refused_is_named(text: str, problem: str) -> None:
    with pytest.raises(RecurrenceError) as error:
        parse(text)
    assert problem in error.value.problem
    assert error.value.errors == {"json": {"recurrence": [error.value.problem]}}
    assert error.value.at("json", "rrule").errors == {"json": {"rrule": [error.value.problem]}}


ALL_HOURS = ",".join(map(str, range(24)))


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
        "FREQ=YEARLY;BYWEEKNO=1;BYMONTH=7",
        "FREQ=YEARLY;BYYEARDAY=200;BYWEEKNO=20;BYMONTHDAY=31",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=3",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2",
        f"FREQ=DAILY;BYHOUR={ALL_HOURS};BYSETPOS=25",
        f"FREQ=YEARLY;BYDAY=MO;BYHOUR={ALL_HOURS};BYWEEKNO=1;BYSETPOS=49",
        "FREQ=DAILY;UNTIL=20250101T000000Z",
    ],
)
def test_a_rule_without_a_date_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(RecurrenceError, match="cannot be used") as error:
        accept(text, local("2026-01-01 12:00"), WARSAW)
    assert "No date from the start" in error.value.problem
    assert time.process_time() - began < SECONDS_FOR_A_BOMB


@pytest.mark.parametrize(
    "text",
    [
        f"FREQ=YEARLY;BYDAY={','.join(WEEKDAYS)};BYHOUR={ALL_HOURS};COUNT=1000",
        "FREQ=HOURLY;INTERVAL=1000;COUNT=1000",
        "FREQ=YEARLY;INTERVAL=1000",
        "FREQ=DAILY;INTERVAL=1000;BYDAY=MO;BYMONTHDAY=29",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
    ],
)
def test_a_rare_date_is_found(text: str) -> None:
    began = time.process_time()
    start = local("2026-01-01 12:00")
    rule = accept(text, start, WARSAW)
    assert next_occurrence(rule, start, start, WARSAW)
    assert time.process_time() - began < SECONDS_FOR_A_BOMB


def test_the_end_of_the_calendar_is_the_end() -> None:
    start = datetime(LAST_YEAR, 12, 30, 12, tzinfo=UTC)
    assert len(list(occurrences(parse("FREQ=DAILY"), start, WARSAW))) == 2
    assert next_occurrence(parse("FREQ=WEEKLY"), start, start, WARSAW) is None
    for freq in FREQUENCIES:
        rule = Rule(freq, interval=1000)
        following = next_task(rule, due=start, completed=start, zone=WARSAW, anchor=FROM_COMPLETION)
        assert following is None or following.due.year <= LAST_YEAR
    first = datetime(2, 1, 1, tzinfo=UTC)
    assert next_occurrence(parse("FREQ=WEEKLY"), first, first, ZoneInfo("America/New_York"))


@pytest.mark.parametrize(
    ("text", "start", "problem"),
    [
        ("FREQ=HOURLY", date(2026, 1, 1), "no HOURLY"),
        ("FREQ=DAILY;BYHOUR=9", date(2026, 1, 1), "no BYHOUR"),
        ("FREQ=DAILY;UNTIL=20261231T120000Z", date(2026, 1, 1), "is a date, such as"),
        ("FREQ=DAILY;UNTIL=20261231", local("2026-01-01 09:00"), "is in UTC, such as"),
        ("FREQ=DAILY;UNTIL=20251231", date(2026, 1, 1), "No date from the start"),
    ],
)
def test_a_rule_fits_the_date_it_begins_with(text: str, start: Moment, problem: str) -> None:
    with pytest.raises(RecurrenceError) as error:
        accept(text, start, WARSAW)
    assert problem in error.value.problem


def test_the_clock_is_kept_across_daylight_saving() -> None:
    start = local("2026-03-28 09:00")
    days = itertools.islice(occurrences(parse("FREQ=DAILY"), start, WARSAW), 2)
    assert [moment.isoformat() for moment in days] == [
        "2026-03-28T08:00:00+00:00",
        "2026-03-29T07:00:00+00:00",
    ]


def test_a_time_that_the_clock_jumps_over_is_moved_on_that_day_only() -> None:
    start = local("2026-03-28 02:30")
    days = itertools.islice(occurrences(parse("FREQ=DAILY"), start, WARSAW), 3)
    assert shown(days) == ["2026-03-28 02:30", "2026-03-29 03:30", "2026-03-30 02:30"]


def test_a_jump_of_half_an_hour_moves_by_half_an_hour() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    start = local("2026-10-03 02:15", zone)
    days = itertools.islice(occurrences(parse("FREQ=DAILY"), start, zone), 3)
    assert shown(days, zone) == ["2026-10-03 02:15", "2026-10-04 02:45", "2026-10-05 02:15"]


def test_of_a_time_that_comes_twice_the_first_counts() -> None:
    start = local("2026-10-24 02:30")
    moments = list(itertools.islice(occurrences(parse("FREQ=DAILY"), start, WARSAW), 3))
    assert shown(moments) == ["2026-10-24 02:30", "2026-10-25 02:30", "2026-10-26 02:30"]
    assert moments[1] == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_hours_that_fall_together_come_once() -> None:
    start = local("2026-03-29 01:00")
    hours = itertools.islice(occurrences(parse("FREQ=HOURLY;COUNT=4"), start, WARSAW), 5)
    assert shown(hours) == [
        "2026-03-29 01:00",
        "2026-03-29 03:00",
        "2026-03-29 04:00",
        "2026-03-29 05:00",
    ]


def test_a_day_that_a_place_never_had_comes_once() -> None:
    zone = ZoneInfo("Pacific/Apia")
    start = local("2011-12-29 09:00", zone)
    days = itertools.islice(occurrences(parse("FREQ=DAILY"), start, zone), 3)
    assert shown(days, zone) == ["2011-12-29 09:00", "2011-12-31 09:00", "2012-01-01 09:00"]


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("FREQ=MONTHLY", "2026-01-31", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "2026-01-31", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("FREQ=YEARLY", "2024-02-29", ["2024-02-29", "2028-02-29", "2032-02-29"]),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
            "1997-08-05",
            ["1997-08-05", "1997-08-17", "1997-08-19"],
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "2026-01-01",
            ["2026-01-30", "2026-02-27", "2026-03-31"],
        ),
        # The first week counts as a whole, and one of the two kinds of weekday is enough.
        ("FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=1", "2026-01-07", ["2026-01-12", "2026-01-19"]),
        ("FREQ=MONTHLY;BYDAY=1MO,FR", "2026-01-01", ["2026-01-02", "2026-01-05", "2026-01-09"]),
    ],
)
def test_the_examples_of_the_standard(text: str, start: str, expected: list[str]) -> None:
    days = occurrences(parse(text), date.fromisoformat(start), UTC_ZONE)
    assert [day.isoformat() for day in itertools.islice(days, len(expected))] == expected


def test_until_is_the_last_that_counts() -> None:
    rule = parse("FREQ=DAILY;UNTIL=20260103T080000Z")
    moments = occurrences(rule, local("2026-01-01 09:00"), WARSAW)
    assert shown(moments) == ["2026-01-01 09:00", "2026-01-02 09:00", "2026-01-03 09:00"]
    days = occurrences(parse("FREQ=DAILY;UNTIL=20260102"), date(2026, 1, 1), WARSAW)
    assert list(days) == [date(2026, 1, 1), date(2026, 1, 2)]


def following(text: str, due: Moment, completed: str, **more: Any) -> Next | None:
    """The task after one, with the clocks of Warsaw."""
    return next_task(parse(text), due=due, completed=local(completed), zone=WARSAW, **more)


def test_the_next_task_is_counted_from_the_due_date() -> None:
    found = following("FREQ=WEEKLY;COUNT=3", local("2026-03-02 09:00"), "2026-03-20 12:00")
    assert found == Next(local("2026-03-09 09:00"), parse("FREQ=WEEKLY;COUNT=2"))
    found = following("FREQ=WEEKLY;COUNT=2", date(2026, 3, 2), "2026-03-02 12:00")
    assert found == Next(date(2026, 3, 9), parse("FREQ=WEEKLY;COUNT=1"))
    assert following("FREQ=WEEKLY;COUNT=1", date(2026, 3, 9), "2026-03-02 12:00") is None


def test_missed_ones_are_left_out_and_counted() -> None:
    due = local("2026-03-02 09:00")
    found = following("FREQ=DAILY;COUNT=9", due, "2026-03-05 09:00", skip_missed=True)
    assert found == Next(local("2026-03-06 09:00"), parse("FREQ=DAILY;COUNT=5"))
    found = following("FREQ=DAILY", due, "2026-03-05 08:59", skip_missed=True)
    assert found == Next(local("2026-03-05 09:00"), parse("FREQ=DAILY"))
    found = following("FREQ=DAILY;COUNT=3", due, "2026-03-09 09:00", skip_missed=True)
    assert found is None
    found = following(
        "FREQ=DAILY;UNTIL=20260304T080000Z", due, "2026-03-09 09:00", skip_missed=True
    )
    assert found is None


def test_of_days_todays_is_not_missed() -> None:
    found = following("FREQ=DAILY", date(2026, 3, 2), "2026-03-05 23:30", skip_missed=True)
    assert found == Next(date(2026, 3, 5), parse("FREQ=DAILY"))
    found = following("FREQ=DAILY;COUNT=9", date(2026, 3, 2), "2026-03-05 23:30", skip_missed=True)
    assert found == Next(date(2026, 3, 5), parse("FREQ=DAILY;COUNT=6"))
    # Completed before it was due.
    found = following("FREQ=DAILY", date(2026, 3, 2), "2026-02-20 12:00", skip_missed=True)
    assert found == Next(date(2026, 3, 3), parse("FREQ=DAILY"))


def test_what_was_put_off_does_not_move_the_series() -> None:
    start = local("2026-03-28 02:30")
    found = following("FREQ=DAILY", local("2026-03-29 03:30"), "2026-03-29 12:00", start=start)
    assert found is not None
    assert shown([found.due]) == ["2026-03-30 02:30"]
    put_off = local("2026-03-06 10:00")
    found = following(
        "FREQ=DAILY;INTERVAL=3", put_off, "2026-03-06 12:00", start=local("2026-03-01 09:00")
    )
    assert found is not None
    assert shown([found.due]) == ["2026-03-07 09:00"]


@pytest.mark.parametrize(
    ("text", "completed", "expected"),
    [
        ("FREQ=DAILY;INTERVAL=3", "2026-03-10 22:00", "2026-03-13 09:00"),
        ("FREQ=DAILY;INTERVAL=3", "2026-03-10 07:00", "2026-03-13 09:00"),
        ("FREQ=WEEKLY;INTERVAL=2", "2026-03-18 22:00", "2026-04-01 09:00"),
        ("FREQ=MONTHLY", "2026-01-31 12:00", "2026-02-28 09:00"),
        ("FREQ=YEARLY", "2028-02-29 12:00", "2029-02-28 09:00"),
        ("FREQ=HOURLY;INTERVAL=8", "2026-03-10 22:15:40", "2026-03-11 06:15"),
        ("FREQ=WEEKLY;BYDAY=SA", "2026-03-10 22:00", "2026-03-14 09:00"),
        ("FREQ=WEEKLY;BYDAY=SA", "2026-03-14 08:00", "2026-03-21 09:00"),
        ("FREQ=DAILY;BYHOUR=9,18", "2026-03-10 10:00", "2026-03-10 18:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=1", "2026-03-10 10:00", "2026-04-01 09:00"),
        ("FREQ=DAILY;UNTIL=20260311T080000Z", "2026-03-10 10:00", "2026-03-11 09:00"),
    ],
)
def test_the_next_task_is_counted_from_the_completion(
    text: str, completed: str, expected: str
) -> None:
    found = following(text, local("2026-03-02 09:00"), completed, anchor=FROM_COMPLETION)
    assert found is not None
    assert shown([found.due]) == [expected]


def test_days_are_counted_from_the_day_of_completion_in_the_zone() -> None:
    completed = local("2026-03-11 00:30")  # still the 10th in UTC
    found = next_task(
        parse("FREQ=DAILY;INTERVAL=2;COUNT=5"),
        due=date(2026, 3, 2),
        completed=completed,
        zone=WARSAW,
        anchor=FROM_COMPLETION,
    )
    assert found == Next(date(2026, 3, 13), parse("FREQ=DAILY;INTERVAL=2;COUNT=4"))
    rule = "FREQ=WEEKLY;BYDAY=MO;UNTIL=20260315"
    assert following(rule, date(2026, 3, 2), "2026-03-10 12:00", anchor=FROM_COMPLETION) is None
    rule = "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"
    assert following(rule, date(2026, 3, 2), "2026-03-10 12:00", anchor=FROM_COMPLETION) is None


@settings(max_examples=60, deadline=None)
@given(
    rule=rules(),
    start=STARTS,
    late=st.integers(0, 60 * 24 * 40),
    zone=st.sampled_from(ZONES),
    anchor=st.sampled_from(["due", "completion"]),
    skip_missed=st.booleans(),
)
def test_a_chain_of_tasks_ends_with_its_count(
    rule: Rule, start: datetime, late: int, zone: ZoneInfo, anchor: str, skip_missed: bool
) -> None:
    due: Moment = start.replace(microsecond=0, tzinfo=UTC)
    for _ in range(12):
        assert isinstance(due, datetime)
        completed = due + timedelta(minutes=late)
        found = next_task(
            rule,
            due=due,
            completed=completed,
            zone=zone,
            anchor=anchor,
            skip_missed=skip_missed,
        )
        if found is None:
            break
        assert isinstance(found.due, datetime)
        assert found.due > due
        if anchor == FROM_COMPLETION or skip_missed:
            assert found.due > completed
        if rule.count is not None:
            assert found.rule.count is not None
            assert 1 <= found.rule.count < rule.count
        due, rule = found.due, found.rule


@settings(max_examples=60, deadline=None)
@given(start=STARTS, freq=st.sampled_from(FREQUENCIES), count=st.integers(1, 12), data=st.data())
def test_a_chain_of_tasks_is_the_series(
    start: datetime, freq: str, count: int, data: st.DataObject
) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    rule = Rule(freq, interval=data.draw(st.integers(1, 4)), count=count)
    at = start.replace(microsecond=0, tzinfo=UTC)
    assume(not at.astimezone(zone).fold)
    due: Moment = at
    chain = [due]
    while found := next_task(rule, due=due, completed=at, zone=zone, start=at):
        due, rule = found
        chain.append(due)
    assert chain == list(occurrences(Rule(freq, rule.interval, count), at, zone))


@pytest.mark.parametrize("start", [date(2027, 1, 8), date(2027, 1, 1)])
def test_the_week_in_which_a_series_begins_is_whole(start: date) -> None:
    """Both are Fridays: the first of Monday and Friday in their weeks is over."""
    rule = parse("FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=1")
    assert next(occurrences(rule, start, UTC_ZONE)) == start + timedelta(days=3)
