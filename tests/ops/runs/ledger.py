"""Runs over tenants that need not exist: the ledger knows nothing of what is done to them."""

from __future__ import annotations

import itertools
import time
from typing import Any

import sqlalchemy as sa

from ops.runs import claims, job
from ops.runs.claims import Claim, Idle, Outcome, Result
from ops.runs.job import Limits, Member
from ops.runs.models import DONE, FAILED
from todo_app.database import db, transaction
from todo_app.tenancy import operations

KIND = "tests"

_ids = itertools.count(1_000_000)


def members(number: int) -> list[Member]:
    """Tenants that no other run has."""
    return [Member(n, f"t_{n}", f"c{n}", {"from": n}) for n in itertools.islice(_ids, number)]


def start(*sizes: int, **limits: Any) -> int:
    """Start a run with waves of these sizes."""
    limits = {"max_failures": 0, "max_attempts": 3, **limits}
    waves = [members(size) for size in sizes]
    with operations(), transaction():
        return job.start(KIND, "test of tests", {}, waves, Limits(**limits), actor="me")


def take(connection: sa.Connection, run_id: int, worker: str = "me") -> Claim:
    """Claim, where there is something to claim."""
    claim = claims.claim(connection, run_id, worker)
    assert isinstance(claim, Claim), claim
    return claim


def idle(connection: sa.Connection, run_id: int) -> Idle:
    """Claim, where there is nothing to claim."""
    found = claims.claim(connection, run_id, "me")
    assert isinstance(found, Idle), found
    return found


def finish(connection: sa.Connection, claim: Claim, *outcomes: Outcome) -> list[bool]:
    """Finish the first tenants of a claim, one after the other."""
    pairs = zip(claim.items, outcomes, strict=False)
    results = [Result(item, outcome, 0.5, time.monotonic()) for item, outcome in pairs]
    return [claims.finish(connection, claim, [result]) for result in results]


def finish_all(connection: sa.Connection, run_id: int, outcome: Outcome | None = None) -> None:
    """Work on a run until nothing is left to claim."""
    while isinstance(claim := claims.claim(connection, run_id, "me"), Claim):
        finish(connection, claim, *[outcome or Outcome(DONE)] * len(claim.items))


def look(run_id: int) -> job.Snapshot:
    """The run as it stands."""
    with operations():
        return job.look(run_id)


def states(run_id: int) -> dict[str, int]:
    """How many tenants are in each state; states that none is in are left out."""
    return {state: number for state, number in look(run_id).counts.items() if number}


def change_items(run_id: int, **values: Any) -> None:
    """Change all items of a run behind the ledger's back."""
    with operations(), transaction():
        table = sa.table("ops_run_items", *map(sa.column, ["run_id", *values]), schema="public")
        db.session.execute(sa.update(table).where(table.c.run_id == run_id).values(values))


BROKEN = Outcome(FAILED, "it broke")
LOCKED = Outcome(FAILED, "it is locked", retry=True)
