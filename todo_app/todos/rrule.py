"""Recurrence rules as text: the RRULE of RFC 5545, read, checked and written.

What is read is as large as a task needs. The parts that make a rule fire within a day by minutes
or seconds are refused, and so is whatever the standard forbids: other programs read it in
different ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, TypeAlias

from todo_app.errors import InvalidInputError

YEARLY = "YEARLY"
MONTHLY = "MONTHLY"
WEEKLY = "WEEKLY"
DAILY = "DAILY"
HOURLY = "HOURLY"
FREQUENCIES = (YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY)

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

MAX_TEXT_LENGTH = 500
MAX_INTERVAL = 1000
MAX_COUNT = 1000
FIRST_YEAR = datetime.min.year + 1
LAST_YEAR = datetime.max.year - 1

Moment: TypeAlias = date | datetime
"""A date for what lasts all day, else an aware date and time."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,4}", re.ASCII)
_WEEKDAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_UNTIL = re.compile(r"[0-9]{8}(T[0-9]{6}Z)?", re.ASCII)
_REFUSED = {
    "BYMINUTE": "has its minute from the date it begins with",
    "BYSECOND": "has its second from the date it begins with",
    "RSCALE": "counts by the Gregorian calendar",
    "SKIP": "leaves out dates that do not exist",
}


class RecurrenceError(InvalidInputError):
    """A rule that cannot be used.

    Args:
        problem: what is wrong with it: a sentence.
        place: where the rule came from: the part of the request and the name in it.
    """

    code = "bad-recurrence"
    detail = "The recurrence rule cannot be used."

    def __init__(self, problem: str, place: tuple[str, str] = ("json", "recurrence")) -> None:
        part, name = place
        super().__init__(errors={part: {name: [problem]}})
        self.problem = problem

    def at(self, part: str, name: str) -> RecurrenceError:
        """The same of a rule that came from elsewhere, such as `json` and `rrule`."""
        return RecurrenceError(self.problem, (part, name))


class Weekday(NamedTuple):
    """A day of the week, 0 for Monday, and which one of the month or year; 0 for each."""

    day: int
    nth: int = 0

    def __str__(self) -> str:
        return f"{self.nth or ''}{WEEKDAYS[self.day]}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A recurrence rule; `str` gives the one text of all that mean the same, without `RRULE:`."""

    freq: str
    interval: int = 1
    count: int | None = None
    until: Moment | None = None
    """The last moment that is still in the series: a date, or a time in UTC."""
    months: tuple[int, ...] = ()
    week_numbers: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[Weekday, ...] = ()
    hours: tuple[int, ...] = ()
    set_positions: tuple[int, ...] = ()
    week_start: int = 0

    @property
    def picks_days(self) -> bool:
        """Whether it says which days of its periods it means, and not only how long those are."""
        return bool(self.week_numbers or self.year_days or self.month_days or self.weekdays)

    @property
    def is_plain(self) -> bool:
        """Whether it has a frequency and an interval, and nothing that picks from them."""
        return not (self.picks_days or self.months or self.hours or self.set_positions)

    def __str__(self) -> str:
        parts = {
            "FREQ": self.freq,
            "INTERVAL": self.interval if self.interval > 1 else None,
            "COUNT": self.count,
            "UNTIL": _until_text(self.until) if self.until else None,
            "BYMONTH": _list_text(self.months),
            "BYWEEKNO": _list_text(self.week_numbers),
            "BYYEARDAY": _list_text(self.year_days),
            "BYMONTHDAY": _list_text(self.month_days),
            "BYDAY": _list_text(self.weekdays),
            "BYHOUR": _list_text(self.hours),
            "BYSETPOS": _list_text(self.set_positions),
            "WKST": WEEKDAYS[self.week_start] if self.week_start else None,
        }
        return ";".join(f"{name}={value}" for name, value in parts.items() if value)


def parse(text: str) -> Rule:
    """Read one rule, with or without `RRULE:` in front.

    Whether it fits the date that a series begins with is checked by `recurrence.accept`.

    Raises:
        RecurrenceError: it is none, is larger than the bounds, or has what is refused.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise RecurrenceError(f"A rule has at most {MAX_TEXT_LENGTH} characters.")
    parts = _split(text.strip().upper().removeprefix("RRULE:"))
    values = {field: read(parts[name]) for name, (field, read) in _READERS.items() if name in parts}
    if "freq" not in values:
        raise RecurrenceError("FREQ is missing.")
    rule = Rule(**values)
    _check(rule)
    return rule


def _split(body: str) -> dict[str, str]:
    if ":" in body or len(body.splitlines()) > 1:
        raise RecurrenceError("Give one RRULE only: no EXRULE, RDATE, EXDATE or DTSTART.")
    parts: dict[str, str] = {}
    for piece in body.split(";"):
        name, _, value = piece.partition("=")
        if not value:
            raise RecurrenceError(f"{piece[:40]!r} is not a part such as FREQ=DAILY.")
        if name in _REFUSED:
            raise RecurrenceError(f"{name} is not supported: a task {_REFUSED[name]}.")
        if name not in _READERS:
            raise RecurrenceError(f"{name[:40]!r} is not a part of a rule.")
        if name in parts:
            raise RecurrenceError(f"{name} is there twice.")
        parts[name] = value
    return parts


def _check(rule: Rule) -> None:
    """Refuse combinations that the standard forbids.

    Raises:
        RecurrenceError
    """
    nths = [weekday.nth for weekday in rule.weekdays if weekday.nth]
    of_month = rule.freq == MONTHLY or bool(rule.months)
    wrong = {
        "COUNT and UNTIL exclude each other.": rule.count and rule.until,
        "BYWEEKNO goes with FREQ=YEARLY only.": rule.week_numbers and rule.freq != YEARLY,
        "BYYEARDAY goes with FREQ=YEARLY and FREQ=HOURLY only.": (
            rule.year_days and rule.freq not in (YEARLY, HOURLY)
        ),
        "BYMONTHDAY does not go with FREQ=WEEKLY.": rule.month_days and rule.freq == WEEKLY,
        "BYDAY with a number, such as 2MO, goes with FREQ=MONTHLY and FREQ=YEARLY only.": (
            nths and rule.freq not in (MONTHLY, YEARLY)
        ),
        "BYDAY with a number, such as 2MO, does not go with BYWEEKNO.": nths and rule.week_numbers,
        "A month has no more than 5 of a weekday: BYDAY with a number is -5 to 5 here.": (
            of_month and any(abs(nth) > 5 for nth in nths)
        ),
        "BYSETPOS needs another part that begins with BY.": (
            rule.set_positions and not (rule.picks_days or rule.months or rule.hours)
        ),
        "BYSETPOS does not go with FREQ=HOURLY.": rule.set_positions and rule.freq == HOURLY,
    }
    for problem, is_so in wrong.items():
        if is_so:
            raise RecurrenceError(problem)


def _frequency(value: str) -> str:
    if value not in FREQUENCIES:
        raise RecurrenceError(f"FREQ is one of {', '.join(FREQUENCIES)}.")
    return value


def _one(name: str, most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        return _number(name, value, 1, most)

    return read


def _several(
    name: str, least: int, most: int, *, signed: bool = False
) -> Callable[[str], tuple[int, ...]]:
    def read(value: str) -> tuple[int, ...]:
        lowest = -most if signed else least
        numbers = {_number(name, piece, lowest, most) for piece in value.split(",")}
        if signed and 0 in numbers:
            raise RecurrenceError(f"{name} is never 0: it counts from 1, or from -1 at the end.")
        return tuple(sorted(numbers))

    return read


def _number(name: str, value: str, least: int, most: int) -> int:
    if not _NUMBER.fullmatch(value) or not least <= int(value) <= most:
        raise RecurrenceError(f"{name} is {least} to {most}.")
    return int(value)


def _weekdays(value: str) -> tuple[Weekday, ...]:
    found = set()
    for piece in value.split(","):
        match = _WEEKDAY.fullmatch(piece)
        nth = int(match[1] or 0) if match else 0
        if not match or abs(nth) > 53 or (match[1] and not nth):
            raise RecurrenceError("BYDAY has days such as MO, or 2MO, or -1FR, between commas.")
        found.add(Weekday(WEEKDAYS.index(match[2]), nth))
    return tuple(sorted(found))


def _week_start(value: str) -> int:
    if value not in WEEKDAYS:
        raise RecurrenceError(f"WKST is one of {', '.join(WEEKDAYS)}.")
    return WEEKDAYS.index(value)


def _until(value: str) -> Moment:
    problem = "UNTIL is a date such as 20261231, or a time in UTC such as 20261231T225959Z."
    if not _UNTIL.fullmatch(value):
        raise RecurrenceError(problem)
    form = "%Y%m%dT%H%M%SZ" if "T" in value else "%Y%m%d"
    try:
        moment = datetime.strptime(value, form).replace(tzinfo=UTC)
    except ValueError:
        raise RecurrenceError(problem) from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise RecurrenceError(f"UNTIL is in the years {FIRST_YEAR} to {LAST_YEAR}.")
    return moment if "T" in value else moment.date()


def _until_text(until: Moment) -> str:
    # strftime does not fill up years below 1000 everywhere.
    text = until.isoformat().replace("-", "").replace(":", "")
    return f"{text.partition('+')[0]}Z" if isinstance(until, datetime) else text


def _list_text(values: tuple[Any, ...]) -> str:
    return ",".join(map(str, values))


_READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "FREQ": ("freq", _frequency),
    "INTERVAL": ("interval", _one("INTERVAL", MAX_INTERVAL)),
    "COUNT": ("count", _one("COUNT", MAX_COUNT)),
    "UNTIL": ("until", _until),
    "BYMONTH": ("months", _several("BYMONTH", 1, 12)),
    "BYWEEKNO": ("week_numbers", _several("BYWEEKNO", 1, 53, signed=True)),
    "BYYEARDAY": ("year_days", _several("BYYEARDAY", 1, 366, signed=True)),
    "BYMONTHDAY": ("month_days", _several("BYMONTHDAY", 1, 31, signed=True)),
    "BYDAY": ("weekdays", _weekdays),
    "BYHOUR": ("hours", _several("BYHOUR", 0, 23)),
    "BYSETPOS": ("set_positions", _several("BYSETPOS", 1, 366, signed=True)),
    "WKST": ("week_start", _week_start),
}
"""By the name of a part: the field of the rule, and what reads it."""
