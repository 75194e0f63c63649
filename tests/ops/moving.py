"""Moves one tenant as a worker does, without a run."""

from __future__ import annotations

from flask import Flask

from ops.runs.claims import Item, Outcome
from ops.upgrades.move import Timeouts, move
from tests.factories import Company
from todo_app.database import own_connection

TIMEOUTS = Timeouts(lock=2, statement=60)


def try_to_move(
    app: Flask, schema_name: str, target: str, timeouts: Timeouts = TIMEOUTS
) -> Outcome:
    """What comes of moving a tenant to a revision."""
    item = Item(0, schema_name, schema_name, wave=1, attempts=1, result={})
    with app.app_context(), own_connection() as connection:
        return move(connection, item, target, timeouts)


def move_to(app: Flask, company: Company, target: str) -> None:
    """Move a company's schema to another revision."""
    outcome = try_to_move(app, company.schema_name, target)
    assert (outcome.state, outcome.error) == ("done", None)
