"""What days and moments mean to one user at one instant.

Days, weeks, months and years are steps on the user's calendar: tomorrow at nine is `now+1d` at
nine, though the night had an hour more or less. Hours, minutes and seconds are steps on a clock
that never changes. A step to a day that a month lacks ends on the last one that it has.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from todo_app.filters.context import Context
from todo_app.filters.errors import FilterError
from todo_app.filters.nodes import ANCHORS, Day, Instant, Relative, Step, Value, Word

DateOrMoment = TypeVar("DateOrMoment", date, datetime)

_CALENDAR_UNITS = {"d": "days", "w": "weeks", "mo": "months", "y": "years"}
_CLOCK_UNITS = {"s": 1, "m": 60, "h": 3_600}
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_TICK = timedelta(microseconds=1)
"""The database tells no shorter times apart."""


class Period(NamedTuple):
    """A day of the user, or one instant.

    `end` is the first instant behind a day; of an instant it is the instant itself.
    """

    start: datetime
    end: datetime

    @property
    def is_instant(self) -> bool:
        """Whether there is no time between its start and end."""
        return self.start == self.end


def period(value: Value, context: Context) -> Period | None:
    """When a value is; None where it is nothing of the kind.

    Raises:
        FilterError: it is beyond the years 2 to 9998.
    """
    try:
        match value:
            case Instant(moment):
                return Period(moment, moment)
            case Day(day):
                return _whole(day, context.zone)
            case Word(text) if text.lower() in ANCHORS:
                return _from_anchor(text.lower(), (), context)
            case Relative(anchor, steps):
                return _from_anchor(anchor, steps, context)
    except (OverflowError, ValueError):
        raise FilterError(value.column, "the years of a filter are from 2 to 9998.") from None
    return None


def seconds(steps: tuple[Step, ...]) -> int | None:
    """How long a duration is, a day being 24 hours; None where it counts months or years."""
    units = {**_CLOCK_UNITS, "d": 86_400, "w": 7 * 86_400}
    if any(step.unit not in units for step in steps):
        return None
    return sum(step.count * units[step.unit] for step in steps)


def _from_anchor(anchor: str, steps: tuple[Step, ...], context: Context) -> Period:
    today = context.now.astimezone(context.zone).date()
    if anchor in _DAYS:
        day = today + timedelta(days=_DAYS[anchor])
        if all(step.unit in _CALENDAR_UNITS for step in steps):
            for step in steps:
                day += _calendar_step(step)
            return _whole(day, context.zone)
        start = _first_instant(day, context.zone)
    elif anchor == "now":
        start = context.now
    else:
        start = _first_instant(_boundary(anchor, today), context.zone)
    for step in steps:
        start = _moved(start, step, context.zone)
    if anchor.startswith("endof"):
        start -= _TICK
    start = _checked(start).astimezone(UTC)
    return Period(start, start)


def _boundary(anchor: str, today: date) -> date:
    """The first day of the week or month, or of the one behind it for its end."""
    if anchor.endswith("week"):
        monday = today - timedelta(days=today.weekday())
        return monday if anchor == "startofweek" else monday + timedelta(weeks=1)
    first = today.replace(day=1)
    return first if anchor == "startofmonth" else first + relativedelta(months=1)


def _moved(moment: datetime, step: Step, zone: ZoneInfo) -> datetime:
    if step.unit in _CLOCK_UNITS:
        elapsed = timedelta(seconds=step.count * _CLOCK_UNITS[step.unit])
        return _checked(moment.astimezone(UTC) + elapsed)
    return _checked(moment.astimezone(zone) + _calendar_step(step))


def _calendar_step(step: Step) -> relativedelta:
    return relativedelta(**{_CALENDAR_UNITS[step.unit]: step.count})  # type: ignore[arg-type]


def _whole(day: date, zone: ZoneInfo) -> Period:
    start = _first_instant(_checked(day), zone)
    return Period(start, _first_instant(day + timedelta(days=1), zone))


def _first_instant(day: date, zone: ZoneInfo) -> datetime:
    # Where the clock jumps over midnight, this is the instant of the jump.
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _checked(moment: DateOrMoment) -> DateOrMoment:
    # At both ends of the calendar a moment may exist in one time zone and not in another.
    if not datetime.min.year < moment.year < datetime.max.year:
        raise OverflowError
    return moment
