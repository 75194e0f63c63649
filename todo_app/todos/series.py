"""The dates of a recurrence rule, on the calendar and the clock of one place.

Each rule cuts time into periods of its frequency. Of the days of a period those stay that agree
with the parts of the rule, each at the hours of the rule. Which days of a year agree depends only
on the weekday it begins with and on leap years, so of all years there are but a few kinds to look
at. Nothing here knows of time zones.

A rule can be written that no date ever agrees with. The search for the next one ends with the
calendar, or after MAX_LOOKED_AT days and times that were not it, whatever the rule.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from todo_app.todos.rrule import HOURLY, LAST_YEAR, MONTHLY, WEEKLY, YEARLY, Rule, Weekday

MAX_LOOKED_AT = 15_000
"""At most a tenth of a second. With an interval of 1000, the next date is some thousand days on."""


def walls(rule: Rule, start: datetime, floor: datetime) -> Iterator[datetime]:
    """The times of a series in their order, without time zone, whatever its COUNT and UNTIL.

    Args:
        rule: whose times.
        start: what the series begins with: periods are counted from it, and the rule's parts that
            are missing are taken from it. It is itself in the series where it agrees with the rule.
        floor: a time up to which the caller needs none; some of those may come all the same.
    """
    rule = _complete(rule, start)
    first, passed = (
        _period(rule, at.year, at.month, at.toordinal()) for at in (start, max(start, floor))
    )
    looked_at = 0
    for period, days in groupby(_agreeing_days(rule, start, floor), key=itemgetter(0)):
        looked_at += 1
        if period >= passed and (period - first) % _days_interval(rule) == 0:
            times = [
                datetime.combine(date.fromordinal(ordinal), start.time().replace(hour=hour))
                for _, ordinal in days
                for hour in _hours(rule, start, ordinal)
            ]
            looked_at += len(times)
            for wall in _at_positions(times, rule.set_positions):
                if wall >= start:
                    yield wall
                    looked_at = 0
        if looked_at > MAX_LOOKED_AT:
            return


def _complete(rule: Rule, start: datetime) -> Rule:
    """The rule, with what it does not say taken from the time it begins with."""
    if not rule.hours and rule.freq != HOURLY:
        rule = replace(rule, hours=(start.hour,))
    if rule.picks_days:
        return rule
    if rule.freq == YEARLY:
        return replace(rule, months=rule.months or (start.month,), month_days=(start.day,))
    if rule.freq == MONTHLY:
        return replace(rule, month_days=(start.day,))
    if rule.freq == WEEKLY:
        return replace(rule, weekdays=(Weekday(start.weekday()),))
    return rule


def _period(rule: Rule, year: int, month: int, ordinal: int) -> int:
    """The number of the period that a day is in; those of HOURLY are told apart by `_hours`."""
    if rule.freq == YEARLY:
        return year
    if rule.freq == MONTHLY:
        return year * 12 + month
    if rule.freq == WEEKLY:
        return (ordinal - 1 - rule.week_start) // 7
    return ordinal


def _days_interval(rule: Rule) -> int:
    return 1 if rule.freq == HOURLY else rule.interval


def _hours(rule: Rule, start: datetime, ordinal: int) -> Iterator[int]:
    """At which hours of a day the rule fires."""
    if rule.freq != HOURLY:
        yield from rule.hours
        return
    passed = (ordinal - start.toordinal()) * 24 - start.hour
    for hour in range(-passed % rule.interval, 24, rule.interval):
        if not rule.hours or hour in rule.hours:
            yield hour


def _agreeing_days(rule: Rule, start: datetime, floor: datetime) -> Iterator[tuple[int, int]]:
    """The days that a complete rule means, whatever its interval.

    Returns:
        Of each day the number of its period, and its ordinal.
    """
    by_kind: dict[tuple[bool | int, ...], list[tuple[int, int]]] = {}
    step = rule.interval if rule.freq == YEARLY else 1
    # A week that the year begins with may have begun in the year before.
    passed = max(0, floor.year - start.year) - (rule.freq == WEEKLY)
    begins = max(date.min.year, start.year + passed // step * step)
    for year in range(begins, LAST_YEAR + 1, step):
        before = date(year, 1, 1).toordinal() - 1
        kind = (isleap(year - 1), isleap(year), isleap(year + 1), before % 7)
        if kind not in by_kind:
            days = _days_of_year(year)
            by_kind[kind] = [(day.month, day.number) for day in days if _agrees(rule, day)]
        for month, number in by_kind[kind]:
            ordinal = before + number
            yield _period(rule, year, month, ordinal), ordinal


class _Day(NamedTuple):
    """A day, and all that a rule may ask of it."""

    year: int
    number: int
    """In the year, from 1."""
    month: int
    day: int
    month_length: int
    weekday: int


def _days_of_year(year: int) -> Iterator[_Day]:
    weekday, number = date(year, 1, 1).weekday(), 0
    for month in range(1, 13):
        length = monthrange(year, month)[1]
        for day in range(1, length + 1):
            yield _Day(year, number + day, month, day, length, (weekday + number + day - 1) % 7)
        number += length


def _agrees(rule: Rule, day: _Day) -> bool:
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days and not _is_among(day.day, day.month_length, rule.month_days):
        return False
    if rule.year_days and not _is_among(day.number, _length(day.year), rule.year_days):
        return False
    if rule.weekdays and not _is_weekday(rule, day):
        return False
    return not rule.week_numbers or _is_in_week(rule, day)


def _is_weekday(rule: Rule, day: _Day) -> bool:
    nths = [weekday.nth for weekday in rule.weekdays if weekday.day == day.weekday]
    if not nths or 0 in nths:
        return bool(nths)
    number, length = day.day, day.month_length
    if rule.freq == YEARLY and not rule.months:
        number, length = day.number, _length(day.year)
    return (number - 1) // 7 + 1 in nths or -((length - number) // 7 + 1) in nths


def _is_in_week(rule: Rule, day: _Day) -> bool:
    # A week is of the year that most of its days are in, and so its fourth.
    year, fourth = day.year, day.number - (day.weekday - rule.week_start) % 7 + 3
    if fourth < 1:
        year -= 1
        fourth += _length(year)
    elif fourth > _length(year):
        fourth -= _length(year)
        year += 1
    week, weeks_left = (fourth - 1) // 7 + 1, (_length(year) - fourth) // 7
    return _is_among(week, week + weeks_left, rule.week_numbers)


def _length(year: int) -> int:
    return 366 if isleap(year) else 365


def _is_among(number: int, last: int, wanted: tuple[int, ...]) -> bool:
    """Whether a number, or the same counted from the end as -1, -2, …, is wanted."""
    return number in wanted or number - last - 1 in wanted


def _at_positions(times: list[datetime], positions: tuple[int, ...]) -> list[datetime]:
    """Those of a period's times that BYSETPOS picks."""
    if not positions:
        return times
    last = len(times)
    return [time for n, time in enumerate(times, 1) if _is_among(n, last, positions)]
