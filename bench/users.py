"""`users`: a page of one user, by the API and by the floor program."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from bench.installation import Installation
from bench.load import Caller, LoadError, find_driver
from bench.result import Options, Ratio, Result
from bench.turns import Place, costs, medians, rates, take_turns

TARGET = ">= 0.4"


def run(installation: Installation, options: Options) -> Result:
    """Measure how much of the floor's rate the API reaches."""
    driver = find_driver(installation.directory)
    callers = installation.tenants(1)
    schema = callers[0].token.partition(".")[0]
    database = installation.postgres.pid
    with (
        installation.gunicorn("app", "wsgi:app") as app,
        installation.gunicorn("floor", "bench.floor:app", FLOOR_SCHEMA=schema) as floor,
    ):
        places = {
            name: Place(f"{server.url}/users/", callers, server.pid, database)
            for name, server in (("floor", floor), ("app", app))
        }
        answers = [fetch(place.url, callers[0]) for place in places.values()]
        if answers[0] != answers[1]:
            raise LoadError("the floor and the API answer differently: nothing to compare")
        turns = take_turns(driver, places, options)
    return Result(
        name="users",
        ratios={
            "app/floor": Ratio.of(rates(turns["app"]), rates(turns["floor"]), TARGET),
            "floor/app, processor time": Ratio.of(costs(turns["floor"]), costs(turns["app"])),
        },
        figures={name: medians(turns[name]) for name in turns},
    )


def fetch(url: str, caller: Caller) -> Any:
    """The JSON that `GET url` answers."""
    headers = {"tenant": caller.tenant, "Authorization": f"Bearer {caller.token}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return json.load(answer)
