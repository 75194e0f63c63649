"""Tasks that come again: the next one of a series, in the time zone of whom it belongs to.

A series keeps the time on the clock: what is due at 9:00 in winter is due at 9:00 in summer. Where
the clock jumps over that time, the offset before the jump counts (RFC 5545, section 3.3.5), so that
2:30 becomes 3:30 on that one day: a task is never left out because of a clock. Where the clock
shows a time twice, the first one counts.

A task that is completed is followed by one task. Its rule has in COUNT how many are still to come,
itself included, so what is stored with each task is a rule that any calendar reads in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from todo_app.todos.rrule import (
    DAILY,
    HOURLY,
    LAST_YEAR,
    MONTHLY,
    WEEKLY,
    YEARLY,
    Moment,
    RecurrenceError,
    Rule,
    parse,
)
from todo_app.todos.series import walls

FROM_DUE = "due"
FROM_COMPLETION = "completion"
ANCHORS = (FROM_DUE, FROM_COMPLETION)
"""What the next task is counted from: when the last one was due, or when it was completed."""

_STEPS = {
    YEARLY: relativedelta(years=1),
    MONTHLY: relativedelta(months=1),
    WEEKLY: relativedelta(weeks=1),
    DAILY: relativedelta(days=1),
    HOURLY: relativedelta(hours=1),
}

# Clocks differ from UTC, and jump, by a day at most.
_LARGEST_JUMP = timedelta(days=2)


class Next(NamedTuple):
    """The task that follows one: when it is due, and its rule."""

    due: Moment
    rule: Rule


def accept(text: str, start: Moment, zone: ZoneInfo) -> Rule:
    """Read a rule that somebody wants for a task.

    Args:
        text: one RRULE.
        start: what the series begins with: the due date of the task, a date for all-day ones.
        zone: of whom the series belongs to.

    Raises:
        RecurrenceError: it is none that can be used, or no date of the series agrees with it.
    """
    rule = parse(text)
    all_day = not isinstance(start, datetime)
    if all_day and (rule.freq == HOURLY or rule.hours):
        raise RecurrenceError("A task that lasts all day has no hours: no HOURLY, no BYHOUR.")
    if rule.until and all_day and isinstance(rule.until, datetime):
        raise RecurrenceError("UNTIL of a task that lasts all day is a date, such as 20261231.")
    if rule.until and not all_day and not isinstance(rule.until, datetime):
        raise RecurrenceError("UNTIL of a task with a time is in UTC, such as 20261231T225959Z.")
    if next(occurrences(rule, start, zone), None) is None:
        raise RecurrenceError("No date from the start of the task on agrees with the rule.")
    return rule


def occurrences(
    rule: Rule, start: Moment, zone: ZoneInfo, after: Moment | None = None
) -> Iterator[Moment]:
    """The moments of a series, each later than the one before: dates, or times in UTC.

    Ends where the series does, in the year 9998, and where long nothing agrees with the rule
    (`series.MAX_LOOKED_AT`).

    Args:
        rule: which moments; its COUNT is counted from `start`.
        start: what the series begins with; in it only where it agrees with the rule.
        zone: on whose clocks the time stays the same.
        after: only what is strictly later; of the same type as `start`.
    """
    left = rule.count
    # What is counted has to be gone through from the beginning.
    floor = start if after is None or left is not None else after
    last: Moment | None = None
    for wall in walls(rule, _wall(start, zone), _floor(floor, zone)):
        moment = _moment(wall, start, zone)
        if last is not None and moment <= last:
            continue
        if (rule.until is not None and moment > rule.until) or left == 0:
            return
        left = None if left is None else left - 1
        last = moment
        if after is None or moment > after:
            yield moment


def next_occurrence(rule: Rule, start: Moment, after: Moment, zone: ZoneInfo) -> Moment | None:
    """The first moment of a series that is strictly later than `after`; None where none is.

    Args:
        rule: of the series; its COUNT is counted from `start`.
        start: what the series begins with.
        after: of the same type as `start`.
        zone: on whose clocks the time stays the same.
    """
    return next(occurrences(rule, start, zone, after), None)


def next_task(
    rule: Rule,
    *,
    due: Moment,
    completed: datetime,
    zone: ZoneInfo,
    start: Moment | None = None,
    anchor: str = FROM_DUE,
    skip_missed: bool = False,
) -> Next | None:
    """The task that follows one which is completed or skipped; None where the series ends.

    Args:
        rule: of the task; its COUNT says how many there are from this task on, itself included.
        due: when the task was due: a date where it lasts all day.
        completed: when it was completed; aware.
        zone: on whose clocks the time stays the same.
        start: what the whole series began with; the due date when left out. Where it is given, a
            task that was put off by hand, or by a jump of the clock, does not move the later ones.
        anchor: one of ANCHORS.
        skip_missed: leave out those that are past when the task is completed; of all-day ones
            today's is not. They count for COUNT. From the completion nothing is ever missed.
    """
    start = due if start is None else start
    if rule.count == 1:
        return None
    if anchor == FROM_COMPLETION:
        found = _after_completion(rule, start, completed, zone)
        if found is None or (rule.until is not None and found > rule.until):
            return None
        return Next(found, _left(rule, 1))
    endless = replace(rule, count=None)
    earliest = _earliest(due, completed, zone) if skip_missed else None
    if rule.count is None:
        if earliest is not None:
            due = max(due, earliest)
        found = next_occurrence(endless, start, due, zone)
        return None if found is None else Next(found, rule)
    for passed, found in enumerate(occurrences(endless, start, zone, due), start=1):
        if passed == rule.count:
            break
        if earliest is None or found > earliest:
            return Next(found, _left(rule, passed))
    return None


def _earliest(due: Moment, completed: datetime, zone: ZoneInfo) -> Moment:
    """What the next task must be later than, not to be missed already."""
    if isinstance(due, datetime):
        return completed
    return completed.astimezone(zone).date() - timedelta(days=1)


def _left(rule: Rule, passed: int) -> Rule:
    return rule if rule.count is None else replace(rule, count=rule.count - passed)


def _after_completion(
    rule: Rule, start: Moment, completed: datetime, zone: ZoneInfo
) -> Moment | None:
    """The first moment of a series that begins on the day of completion, and later than it.

    A month after January 31 is the end of February here, and not March 31 as in a series of dates:
    whoever counts from the completion means how much time passes.
    """
    local = completed.astimezone(zone).replace(tzinfo=None)
    if not isinstance(start, datetime):
        base = datetime.combine(local, time())
    elif rule.freq == HOURLY:
        base = local.replace(second=0, microsecond=0)
    else:
        base = datetime.combine(local, _wall(start, zone).time())
    if rule.is_plain:
        try:
            wall = base + _STEPS[rule.freq] * rule.interval
        except (ValueError, OverflowError):
            return None
        return None if wall.year > LAST_YEAR else _moment(wall, start, zone)
    for wall in walls(rule, base, base):
        moment = _moment(wall, start, zone)
        is_later = not isinstance(moment, datetime) or moment > completed
        if wall > base and is_later:
            return moment
    return None


def _wall(moment: Moment, zone: ZoneInfo) -> datetime:
    """What the clock of a zone shows; midnight for a date."""
    if isinstance(moment, datetime):
        return moment.astimezone(zone).replace(tzinfo=None, fold=0)
    return datetime.combine(moment, time())


def _floor(moment: Moment, zone: ZoneInfo) -> datetime:
    wall = _wall(moment, zone)
    return wall - _LARGEST_JUMP if wall - datetime.min > _LARGEST_JUMP else wall


def _moment(wall: datetime, like: Moment, zone: ZoneInfo) -> Moment:
    """The moment at which a clock shows this, as a date or in UTC."""
    if not isinstance(like, datetime):
        return wall.date()
    return wall.replace(tzinfo=zone).astimezone(UTC)
