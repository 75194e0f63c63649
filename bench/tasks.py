"""`tasks`: pages, new tasks, filters, search, sync and import in a tenant of many tasks."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from bench import tasks_data, tasks_found, tasks_import, tasks_sync
from bench.installation import Installation, Server
from bench.load import Caller, LoadError, find_driver
from bench.result import Figures, Options, Ratio, Result
from bench.turns import Place, costs, medians, rates, take_turns

TASKS_FACTOR = 100
"""Tasks for each tenant of `many tenants`: 100,000."""

PAGE_TARGET = ">= 0.35"
ADD_TARGET = ">= 0.4"

Found = tuple[dict[str, Ratio], Figures]


def run(installation: Installation, options: Options) -> Result:
    """Measure all of it in one tenant."""
    caller = installation.tenants(1)[0]
    schema = caller.token.partition(".")[0]
    lists = tasks_data.fill(installation, schema, options.tenants * TASKS_FACTOR)
    ratios: dict[str, Ratio] = {}
    figures: Figures = {}
    with (
        installation.gunicorn("app", "wsgi:app") as app,
        installation.gunicorn("floor", "bench.tasks_floor:app", FLOOR_SCHEMA=schema) as floor,
    ):
        servers = {"floor": floor, "app": app}
        for more_ratios, more_figures in (
            _pages(installation, servers, caller, options),
            tasks_found.measure(installation, app, caller, options),
            tasks_sync.measure(installation, caller, options),
            tasks_import.measure(installation, caller, options),
            _new_tasks(installation, servers, caller, lists, options),
        ):
            ratios |= more_ratios
            figures |= more_figures
    return Result("tasks", ratios, figures)


def _pages(
    installation: Installation, servers: dict[str, Server], caller: Caller, options: Options
) -> Found:
    """The first page of 50."""
    places = {
        name: _place(installation, server, caller, "/tasks/?size=50")
        for name, server in servers.items()
    }
    answers = [_ask(place.url, caller) for place in places.values()]
    if answers[0] != answers[1]:
        raise LoadError("the floor and the API answer differently: nothing to compare")
    return _compare("GET /tasks/", installation, places, options, PAGE_TARGET)


def _new_tasks(
    installation: Installation,
    servers: dict[str, Server],
    caller: Caller,
    lists: list[str],
    options: Options,
) -> Found:
    """New tasks in all lists in turn."""
    bodies = [json.dumps(_new_task(uuid)) for uuid in lists]
    places = {
        name: _place(installation, server, caller, "/tasks/", bodies)
        for name, server in servers.items()
    }
    shown = [_ask(place.url, caller, bodies[0]) for place in places.values()]
    if not set(shown[0]) <= set(shown[1]):
        raise LoadError("the floor and the API answer differently: nothing to compare")
    return _compare("POST /tasks/", installation, places, options, ADD_TARGET)


def _new_task(list_uuid: str) -> dict[str, Any]:
    return {
        "list_uuid": list_uuid,
        "title": "Buy milk",
        "description": "2 litres, *fresh*",
        "priority": 3,
        "due_at": "2026-12-01T12:00:00+00:00",
    }


def _place(
    installation: Installation, server: Server, caller: Caller, path: str, bodies: Any = ()
) -> Place:
    return Place(server.url + path, [caller], server.pid, installation.postgres.pid, bodies)


def _compare(
    what: str,
    installation: Installation,
    places: dict[str, Place],
    options: Options,
    target: str,
) -> Found:
    turns = take_turns(find_driver(installation.directory), places, options)
    ratios = {
        f"{what}, app/floor": Ratio.of(rates(turns["app"]), rates(turns["floor"]), target),
        f"{what}, floor/app, processor time": Ratio.of(costs(turns["floor"]), costs(turns["app"])),
    }
    return ratios, {f"{what}, {name}": medians(turns[name]) for name in turns}


def _ask(url: str, caller: Caller, body: str | None = None) -> Any:
    headers = {"tenant": caller.tenant, "Authorization": f"Bearer {caller.token}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    data = body.encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return json.load(answer)
