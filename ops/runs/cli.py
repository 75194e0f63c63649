"""`flask runs`: the ledger of all fan-outs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import click
from flask import current_app

from ops.console import (
    FailedError,
    OpsGroup,
    WrongUseError,
    json_option,
    print_table,
    whoami,
)
from ops.runs import job, queue
from ops.runs.follow import follow
from ops.runs.kinds import performing
from ops.runs.models import ITEM_STATES
from ops.runs.queue import BrokerAwayError, NoWorkerError
from ops.runs.report import ending, item_row, list_row, run_row
from ops.runs.work import TASK_SECONDS_PARAM
from ops.runs.work import work as work_on
from todo_app.config import Settings
from todo_app.database import transaction
from todo_app.tenancy import operations

runs = OpsGroup("runs", help="Fan-outs over tenants: list, show, watch, resume, cancel.")

INLINE_SECONDS = 0.3
"""How long an inline worker works between two looks at the whole."""
IDLE_SECONDS = 0.5

run_argument = click.argument("run_id", metavar="RUN", type=click.IntRange(1))
inline_option = click.option(
    "--inline", is_flag=True, help="Do the work in this process, without Celery."
)


@runs.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
def list_(limit: int, as_json: bool) -> None:
    """List the newest runs."""
    with operations():
        recent = job.recent(limit)
    if as_json:
        click.echo(json.dumps([run_row(run) for run in recent]))
    else:
        print_table([list_row(run) for run in recent])


@runs.command()
@run_argument
@click.option("--state", type=click.Choice(ITEM_STATES), help="Only tenants in this state.")
@json_option
def show(run_id: int, state: str | None, as_json: bool) -> None:
    """Show a run and what came of each tenant."""
    with operations():
        run = job.look(run_id)
        rows = [item_row(item) for item in job.items(run_id, state)]
    if as_json:
        click.echo(json.dumps({**run_row(run), "tenants": rows}))
        return
    print_table(rows)
    click.echo(ending(run))


@runs.command()
@run_argument
@json_option
def watch(run_id: int, as_json: bool) -> None:
    """Follow a run until it is over; ends with 1 unless it succeeds."""
    follow(run_id, as_json=as_json)


@runs.command()
@run_argument
@click.option("--failed", is_flag=True, help="Only tenants that failed, not those never tried.")
@click.option("--detach", is_flag=True, help="Do not follow it.")
@inline_option
@json_option
def resume(run_id: int, failed: bool, detach: bool, inline: bool, as_json: bool) -> None:
    """Go on with a run that stopped, was cancelled, or has failed tenants."""
    resume_run(run_id, failed=failed, detach=detach, inline=inline, as_json=as_json)


@runs.command()
@run_argument
def cancel(run_id: int) -> None:
    """Begin no further tenant; those that are being worked on are finished."""
    with operations(), transaction():
        job.cancel(run_id, whoami())
    click.echo(f"Run {run_id} is cancelled. Go on with: flask runs resume {run_id}")


@runs.command()
@run_argument
def work(run_id: int) -> None:
    """Work on a run in this process, beside others, until nothing is left of it."""
    for _ in inline_work(run_id):
        pass


def resume_run(run_id: int, *, failed: bool, detach: bool, inline: bool, as_json: bool) -> None:
    """Resume a run, and follow it unless `detach`.

    Raises:
        AppError: it cannot be resumed.
        FailedError: no worker is there to do it.
    """
    with operations():
        kind = job.get(run_id).kind
    if not inline:
        queue.need_worker(kind)
    with operations(), transaction():
        job.resume(run_id, failed_only=failed)
    carry_on(run_id, detach=detach, inline=inline, as_json=as_json)


def begin(
    queue_name: str, start: Callable[[], int], *, inline: bool, detach: bool, as_json: bool
) -> None:
    """Write a run into the ledger and get its work done.

    Args:
        queue_name: that a worker has to take from.
        start: writes the run; is called in a transaction of its own.
        inline: do the work in this process.
        detach: do not follow it.
        as_json: print JSON.

    Raises:
        WrongUseError: it cannot be both inline and detached.
        FailedError: no worker is there to do it.
    """
    if inline and detach:
        raise WrongUseError("--inline does the work here: there is nothing to detach from.")
    if not inline:
        need_worker(queue_name)
    with operations(), transaction():
        run_id = start()
        run = job.look(run_id)
    if not as_json and not detach:
        click.echo(f"Run {run_id} ({run.title}): {run.total} tenant{'s' * (run.total != 1)}.")
    carry_on(run_id, detach=detach, inline=inline, as_json=as_json)


def need_worker(queue_name: str) -> None:
    """Check that a worker takes from a queue.

    Raises:
        FailedError: none does; the text says what to do.
    """
    try:
        queue.need_worker(queue_name)
    except (NoWorkerError, BrokerAwayError) as error:
        raise FailedError(f"{error.detail} Start one, or add --inline.") from None


def carry_on(run_id: int, *, detach: bool, inline: bool, as_json: bool) -> None:
    """Get the work on a run done that stands in the ledger: by Celery, or in this process."""
    if inline:
        follow(run_id, inline_work(run_id), as_json=as_json)
        return
    with operations():
        run = job.look(run_id)
    try:
        queue.wake(run)
    except BrokerAwayError:
        click.echo("The queue does not answer: the run begins once it does.", err=True)
    if not detach:
        follow(run_id, as_json=as_json)
    elif as_json:
        click.echo(json.dumps(run_row(run)))
    else:
        click.echo(ending(run))


def inline_work(run_id: int) -> Iterator[None]:
    """Work on a run in this process; yields now and then, and ends when the run is over."""
    settings: Settings = current_app.config["SETTINGS"]
    with operations():
        run = job.get(run_id)
    seconds = float(run.params.get(TASK_SECONDS_PARAM, INLINE_SECONDS))
    while True:
        done = work_on(
            run_id, performing(run.kind, run.params, settings), lambda claim: None, seconds
        )
        yield
        if done.is_over:
            return
        if done.call_again_in != 0.0:
            time.sleep(IDLE_SECONDS)
