"""Load in turns: what is compared is measured seconds apart, so that a busy machine harms both."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.load import Caller, Driver, Sample
from bench.processes import cpu_seconds
from bench.result import Options, Row

WARM_UP_SECONDS = 2


class Place(NamedTuple):
    """Where load goes to."""

    url: str
    callers: Sequence[Caller]
    program: int
    """Process id of the program that answers."""
    database: int
    """Process id of the database server."""
    bodies: Sequence[str] = ()
    """Of POST; without them it is GET."""


class Turn(NamedTuple):
    """What one turn has shown."""

    sample: Sample
    program_us: float
    """Processor time of the program for each request, in microseconds."""
    database_us: float


def take_turns(
    driver: Driver,
    places: dict[str, Place],
    options: Options,
    after_turn: Callable[[], None] = lambda: None,
) -> dict[str, list[Turn]]:
    """Load each place in each round; which one is first changes from round to round.

    Args:
        driver: sends the requests.
        places: by name.
        options: how often and how long.
        after_turn: called after each turn.

    Returns:
        By name, a turn for each round.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in places}
    for place in places.values():
        _turn(driver, place, min(WARM_UP_SECONDS, options.seconds))
    for number in range(options.rounds):
        order = list(places) if number % 2 == 0 else list(reversed(places))
        for name in order:
            turns[name].append(_turn(driver, places[name], options.seconds))
            after_turn()
    return turns


def rates(turns: Sequence[Turn]) -> list[float]:
    """Requests a second of each turn."""
    return [turn.sample.rate for turn in turns]


def costs(turns: Sequence[Turn]) -> list[float]:
    """Microseconds of processor time for each request of each turn."""
    return [turn.program_us + turn.database_us for turn in turns]


def medians(turns: Sequence[Turn]) -> Row:
    """The figures of one place, each the median of all its turns."""
    return {
        "requests/s": statistics.median(rates(turns)),
        "p50 ms": statistics.median(turn.sample.p50_ms for turn in turns),
        "p99 ms": statistics.median(turn.sample.p99_ms for turn in turns),
        "program us": statistics.median(turn.program_us for turn in turns),
        "database us": statistics.median(turn.database_us for turn in turns),
    }


def _turn(driver: Driver, place: Place, seconds: int) -> Turn:
    before = cpu_seconds(place.program), cpu_seconds(place.database)
    sample = driver(place.url, place.callers, seconds, place.bodies)
    after = cpu_seconds(place.program), cpu_seconds(place.database)
    program, database = (
        (end - start) / sample.requests * 1e6 for start, end in zip(before, after, strict=True)
    )
    return Turn(sample, program, database)
