"""Runs as rows for tables, JSON and people."""

from __future__ import annotations

from typing import Any

import click

from ops.console import print_table
from ops.runs import job
from ops.runs.job import Snapshot
from ops.runs.models import CANCELLED, FAILED, STOPPED, SUCCEEDED, RunItem

RUN_FIELDS = (
    "id",
    "kind",
    "title",
    "params",
    "actor",
    "state",
    "error",
    "wave",
    "waves",
    "max_failures",
    "concurrency",
    "total",
    "counts",
)


def run_row(run: Snapshot) -> dict[str, Any]:
    """A run as JSON has it."""
    row = {name: getattr(run, name) for name in RUN_FIELDS}
    ended = run.finished_at and run.finished_at.isoformat(timespec="seconds")
    return {**row, "created_at": run.created_at.isoformat(timespec="seconds"), "finished_at": ended}


def no_run(title: str) -> dict[str, Any]:
    """What JSON has where there was nothing to run."""
    nothing = dict.fromkeys((*RUN_FIELDS, "created_at", "finished_at"))
    return {**nothing, "title": title, "state": SUCCEEDED, "total": 0}


def item_row(item: RunItem) -> dict[str, Any]:
    """A tenant of a run, as JSON and tables have it."""
    seconds = None
    if item.started_at and item.finished_at:
        seconds = round((item.finished_at - item.started_at).total_seconds(), 3)
    return {
        "tenant": item.slug,
        "wave": item.wave,
        "state": item.state,
        "attempts": item.attempts,
        **dict(sorted(item.result.items())),
        "seconds": seconds,
        "error": item.error,
    }


def list_row(run: Snapshot) -> dict[str, Any]:
    """A run as a row of `flask runs list`."""
    return {
        "run": run.id,
        "title": run.title,
        "state": run.state,
        "done": f"{run.ended} of {run.total}",
        "failed": run.counts[FAILED],
        "wave": f"{run.wave} of {run.waves}",
        "actor": run.actor,
        "began": run.created_at.isoformat(timespec="seconds"),
    }


def print_end(run: Snapshot) -> None:
    """Tell people how a run has ended: how many of each outcome, who failed, what to do next."""
    print_table(
        [{"outcome": state, "tenants": number} for state, number in run.counts.items() if number]
    )
    failed = job.failures(run.id)
    if failed:
        click.echo()
        print_table([{"tenant": item.slug, "error": item.error} for item in failed])
    click.echo()
    click.echo(ending(run))


def ending(run: Snapshot) -> str:
    """How a run has ended, and what can be done about it."""
    name = f"Run {run.id} ({run.title})"
    if run.state == SUCCEEDED:
        return f"{name} succeeded."
    if run.state == FAILED:
        text = f"{run.counts[FAILED]} of {run.total} tenants failed. Once the cause is gone"
        return f"{name}: {text}: flask runs resume {run.id}"
    if run.state in (STOPPED, CANCELLED):
        text = f"was {run.error}" if run.state == CANCELLED else f"stopped: {run.error}"
        return f"{name} {text}. Go on with: flask runs resume {run.id}"
    text = f"wave {run.wave} of {run.waves}, {run.ended} of {run.total} tenants"
    return f"{name} is {run.state}: {text}. Follow it: flask runs watch {run.id}"
