"""Shows a run while it goes on: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain

import click
import sqlalchemy as sa
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ops.console import EXIT_FAILED, FailedError, whoami
from ops.runs import job, queue
from ops.runs.claims import IDLE
from ops.runs.job import Snapshot
from ops.runs.models import RUNNING, SUCCEEDED, RunItem
from ops.runs.report import item_row, print_end, run_row
from todo_app.database import transaction
from todo_app.errors import first_line
from todo_app.tenancy import operations

POLL_SECONDS = 0.2
LINE_EVERY_SECONDS = 2.0
STALLED_SECONDS = IDLE.total_seconds()
"""After so long without news the workers are asked whether they are still there."""

PATIENCE_SECONDS = 60.0
"""How long the database may be away before the command gives up."""

EXIT_INTERRUPTED = 130


def follow(run_id: int, ticks: Iterator[None] | None = None, *, as_json: bool = False) -> None:
    """Show a run until it is over; ends the program with 1 unless it has succeeded.

    Args:
        run_id: of the run.
        ticks: does some of the work before each look; None where Celery's workers do it.
        as_json: print nothing but the run in the end, as JSON.

    Raises:
        FailedError: no worker is there any more.
        click.exceptions.Exit: the run did not succeed, or Ctrl-C was pressed.
    """
    try:
        with _display(as_json) as display:
            run = _watch(run_id, display, chain(ticks or (), _wait(run_id)))
    except KeyboardInterrupt:
        _interrupt(run_id, is_inline=ticks is not None)
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None
    with operations():
        if as_json:
            rows = [item_row(item) for item in job.items(run_id)]
            click.echo(json.dumps({**run_row(run), "tenants": rows}))
        else:
            print_end(run)
    if run.state != SUCCEEDED:
        raise click.exceptions.Exit(EXIT_FAILED)


def _watch(run_id: int, display: _Lines | _Bar, ticks: Iterator[None]) -> Snapshot:
    told: list[int] = []
    heard_at = time.monotonic()
    while True:
        try:
            with operations():
                # The failures first: one that comes in between is then told with the next look.
                failures = job.failures(run_id, told)
                run = job.look(run_id)
        except sa.exc.OperationalError as error:
            # A server that is restarted comes back; the run goes on without us anyway.
            if time.monotonic() - heard_at > PATIENCE_SECONDS:
                raise FailedError(
                    f"The database does not answer: {first_line(error)}. The run is kept: "
                    f"flask runs watch {run_id}"
                ) from None
            time.sleep(POLL_SECONDS)
            continue
        heard_at = time.monotonic()
        for item in failures:
            told.append(item.tenant_id)
            display.failure(item)
        display.update(run)
        if run.is_over:
            return run
        next(ticks)


def _wait(run_id: int) -> Iterator[None]:
    """Wait between two looks, and see to it that somebody does the work."""
    looked_at = time.monotonic()
    is_away = False
    while True:
        time.sleep(POLL_SECONDS)
        if time.monotonic() - looked_at > STALLED_SECONDS:
            looked_at = time.monotonic()
            stalled = _stalled(run_id)
            # Asked twice: a busy worker may be late with its answer, a broker is restarted.
            was_away, is_away = is_away, stalled is not None and not _wake(stalled)
            if was_away and is_away:
                raise FailedError(
                    "No worker takes this on any more. The run is kept: start a worker, then "
                    f"flask runs watch {run_id}"
                )
        yield


def _stalled(run_id: int) -> Snapshot | None:
    with suppress(sa.exc.OperationalError), operations():
        return next((run for run in job.stalled(IDLE) if run.id == run_id), None)
    return None


def _wake(run: Snapshot) -> bool:
    """Wake a worker, where there is one."""
    with suppress(queue.BrokerAwayError):
        if queue.has_worker(run.kind):
            queue.wake(run, expires=STALLED_SECONDS)
            return True
    return False


def _interrupt(run_id: int, *, is_inline: bool) -> None:
    if not is_inline:
        click.echo(
            f"\nThe run goes on without you. Follow it: flask runs watch {run_id}; "
            f"stop it: flask runs cancel {run_id}",
            err=True,
        )
        return
    with operations(), transaction():
        if job.get(run_id).state == RUNNING:
            job.cancel(run_id, whoami())
    click.echo(f"\nCancelled. Go on with: flask runs resume {run_id} --inline", err=True)


@contextmanager
def _display(is_quiet: bool) -> Iterator[_Lines | _Bar]:
    if is_quiet or not sys.stdout.isatty():
        yield _Lines(is_quiet)
        return
    columns = (
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, TimeRemainingColumn()) as progress:
        yield _Bar(progress)


class _Pace:
    """How fast a run goes while it is watched."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None

    def rate(self, run: Snapshot) -> float:
        """Tenants a second since the first look; 0 where none has ended since."""
        now = time.monotonic()
        began, ended = self._began = self._began or (now, run.ended)
        return (run.ended - ended) / (now - began) if now > began else 0.0


class _Lines:
    """A line now and then: for logs and pipes."""

    def __init__(self, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._pace = _Pace()
        self._next = 0.0
        self._wave = 0

    def update(self, run: Snapshot) -> None:
        """Print how far the run is, when its wave is a new one or some time has gone by."""
        rate = self._pace.rate(run)
        if run.wave == self._wave and not run.is_over and time.monotonic() < self._next:
            return
        self._wave = run.wave
        self._next = time.monotonic() + LINE_EVERY_SECONDS
        text = f"wave {run.wave} of {run.waves}: {run.ended} of {run.total} tenants"
        if rate and not run.is_over:
            text += f", {rate:.1f}/s, {(run.total - run.ended) / rate:.0f} s left"
        self._print(text)

    def failure(self, item: RunItem) -> None:
        """Print that a tenant has failed."""
        self._print(f"{item.slug} failed: {item.error}")

    def _print(self, text: str) -> None:
        if not self._is_quiet:
            click.echo(text)


class _Bar:
    """A bar that moves: for people at a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, rate="")
        self._pace = _Pace()

    def update(self, run: Snapshot) -> None:
        """Move the bar."""
        self._progress.update(
            self._task,
            description=f"{escape(run.title)}, wave {run.wave} of {run.waves}",
            total=run.total,
            completed=run.ended,
            rate=f"{self._pace.rate(run):.1f}/s",
        )

    def failure(self, item: RunItem) -> None:
        """Print that a tenant has failed, above the bar."""
        self._progress.console.print(
            f"{item.slug} failed: {item.error}", style="red", markup=False, highlight=False
        )
