"""`tenants-1000`: the API's rate with requests of one tenant, and of a thousand in turn."""

from __future__ import annotations

import random

from bench.installation import API_ROLE, Installation
from bench.load import find_driver
from bench.processes import Memory, backend_memory
from bench.result import Options, Ratio, Result
from bench.turns import Place, medians, rates, take_turns

TARGET = ">= 0.8"
WARM_UP_TURNS = 5
"""Before it is measured: until the connections have met the tenants that they are going to keep."""


def run(installation: Installation, options: Options) -> Result:
    """Measure what many tenants cost, in time and in memory of the database's processes."""
    driver = find_driver(installation.directory)
    callers = installation.tenants(options.tenants)
    spread = random.Random(0).sample(callers, len(callers))
    database = installation.postgres.pid
    memory: list[Memory] = []

    def note_memory() -> None:
        memory.append(backend_memory(database, API_ROLE))

    with installation.gunicorn("app-tenants", "wsgi:app") as app:
        url = f"{app.url}/users/"
        # As many callers in both, so that the driver has the same work.
        one = Place(url, [callers[0]] * len(callers), app.pid, database)
        driver(url, one.callers, 1)
        note_memory()
        driver(url, spread, WARM_UP_TURNS * options.seconds)
        places = {"one tenant": one, "all tenants": Place(url, spread, app.pid, database)}
        turns = take_turns(driver, places, options, note_memory)
    largest = max(memory, key=lambda sample: sample.private)
    return Result(
        name="tenants-1000",
        ratios={
            "all tenants/one tenant": Ratio.of(
                rates(turns["all tenants"]), rates(turns["one tenant"]), TARGET
            )
        },
        figures={
            **{name: medians(turns[name]) for name in turns},
            "backends, one tenant": memory[0].row(),
            "backends, in the end": memory[-1].row(),
            "backends, at most": largest.row(),
        },
    )
