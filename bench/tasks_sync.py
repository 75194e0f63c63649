"""`GET /sync` with nothing new: what a client that keeps a copy asks again and again."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from bench.installation import Installation
from bench.load import Caller, LoadError
from bench.result import Figures, Options, Ratio, spread

TARGET = "<= 1"
REQUESTS = 50
PAGE = 500
ENTERING = 1
"""The statement of each request that enters the tenant and finds the user."""


def measure(
    installation: Installation, caller: Caller, options: Options
) -> tuple[dict[str, Ratio], Figures]:
    """Read everything once, and then ask in this process, without HTTP, for what is new."""
    client = installation.app.test_client()
    headers = {"tenant": caller.tenant, "Authorization": f"Bearer {caller.token}"}

    def ask(query: dict[str, Any]) -> Any:
        answer = client.get("/sync", query_string=query, headers=headers)
        if answer.status_code != 200:
            raise LoadError(f"/sync: {answer.text[:500]}")
        return answer.json

    started = time.perf_counter()
    read, delta = 0, ask({"size": PAGE})
    while True:
        read += len(delta["tasks"])
        if not delta["has_more"]:
            break
        delta = ask({"size": PAGE, "since": delta["token"]})
    whole = time.perf_counter() - started
    statements: list[str] = []
    seconds: list[float] = []

    def count(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        for _ in range(options.rounds * REQUESTS):
            started = time.perf_counter()
            delta = ask({"since": delta["token"]})
            seconds.append(time.perf_counter() - started)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
    if delta["tasks"] or delta["deleted"]:
        raise LoadError("there is something new to sync, though nothing was changed")
    probes = len(statements) / len(seconds) - ENTERING
    return {"statements of /sync with nothing new/1": Ratio.of([probes], [1], TARGET)}, {
        "/sync, nothing new": spread(seconds),
        f"/sync, everything, {read} tasks": {"seconds": whole, "tasks/s": read / whole},
    }
