"""Time zones as iCalendar has them: when the clocks of a place change, written out.

The library's own generator gives the moment at which clocks go forward by the time that they show
after it, where the standard has the time before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from icalendar import Calendar, Timezone, TimezoneDaylight, TimezoneStandard

MAX_YEARS = 60
YEARS_AHEAD = 15
"""How long a series may go on before its calendar must be read again."""

_FIRST_YEAR = 1900
_LAST_YEAR = 9990
_STEP = timedelta(days=7)
_SECOND = timedelta(seconds=1)


class _Clock(NamedTuple):
    """What the clocks of a place show, against UTC."""

    offset: timedelta
    is_summer: bool
    name: str


def add_zone(calendar: Calendar, zone: ZoneInfo, first_year: int, last_year: int) -> None:
    """Tell in a calendar how the clocks of a zone go.

    Args:
        calendar: gets a VTIMEZONE with the zone's key; nothing where that is UTC.
        zone: one with a key.
        first_year: from when on.
        last_year: of the last date that is known; some years more are written.
    """
    if zone.key == "UTC":
        return
    until = max(_FIRST_YEAR, min(last_year + YEARS_AHEAD, _LAST_YEAR))
    since = max(_FIRST_YEAR, until - MAX_YEARS, min(first_year, until))
    component = Timezone()
    component.add("tzid", zone.key)
    for (before, after), moments in _changes(zone, since, until).items():
        observance = TimezoneDaylight() if after.is_summer else TimezoneStandard()
        # By the clock as it was until then.
        local = [moment.replace(tzinfo=None) + before.offset for moment in moments]
        observance.add("dtstart", local[0])
        if local[1:]:
            observance.add("rdate", local[1:])
        observance.add("tzoffsetfrom", before.offset)
        observance.add("tzoffsetto", after.offset)
        observance.add("tzname", after.name)
        component.add_component(observance)
    calendar.add_component(component)


@lru_cache(maxsize=64)
def _changes(zone: ZoneInfo, since: int, until: int) -> dict[tuple[_Clock, _Clock], list[datetime]]:
    """When the clocks of a zone changed, in UTC, by what they showed before and after."""
    start = datetime(since, 1, 1, tzinfo=UTC) - timedelta(days=1)
    first = _clock(zone, start)
    found = {(first, first): [start]}
    for moment in _moments(zone, start, datetime(until + 1, 1, 1, tzinfo=UTC)):
        change = _clock(zone, moment - _SECOND), _clock(zone, moment)
        found.setdefault(change, []).append(moment)
    return found


def _moments(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        low, high = start, start + _STEP
        if _clock(zone, low) != _clock(zone, high):
            while high - low > _SECOND:
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                if _clock(zone, middle) == _clock(zone, start):
                    low = middle
                else:
                    high = middle
            yield high
        # From the change on, for the next one may be less than a step away.
        start = high


def _clock(zone: ZoneInfo, moment: datetime) -> _Clock:
    local = moment.astimezone(zone)
    return _Clock(local.utcoffset() or timedelta(), bool(local.dst()), local.tzname() or "UTC")
