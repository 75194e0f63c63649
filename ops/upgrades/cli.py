"""`flask tenants upgrade` and `downgrade`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import click
from flask.cli import with_appcontext

from celeryconfig import UPGRADES
from ops import dispatch
from ops.console import EXIT_FAILED, FailedError, json_option, print_table
from ops.upgrades import job, tasks
from todo_app.tenancy import operations

POLL_SECONDS = 0.2
STALLED_SECONDS = 15.0
"""After so long without news the workers are asked whether they still have the tasks."""


def move_options(command: Any) -> Any:
    """The options that both directions share."""
    for option in (
        click.argument("slugs", nargs=-1),
        click.option("--inline", is_flag=True, help="Do it in this process, without Celery."),
        json_option,
    ):
        command = option(command)
    return command


@click.command()
@click.option("--to", default="head", show_default=True, help="Revision to go up to.")
@move_options
@with_appcontext
def upgrade(slugs: tuple[str, ...], to: str, inline: bool, as_json: bool) -> None:
    """Bring all tenants, or only SLUGS, up to a revision.

    The work is done by Celery's workers and followed here. Ends with 1 if any tenant failed.
    """
    move(slugs, to, downgrade=False, inline=inline, as_json=as_json)


@click.command()
@click.option("--to", required=True, help="Revision to go down to; `base` for none.")
@move_options
@with_appcontext
def downgrade(slugs: tuple[str, ...], to: str, inline: bool, as_json: bool) -> None:
    """Take all tenants, or only SLUGS, back to an older revision."""
    move(slugs, to, downgrade=True, inline=inline, as_json=as_json)


def move(slugs: tuple[str, ...], to: str, *, downgrade: bool, inline: bool, as_json: bool) -> None:
    """Move tenants and report each; exits with 1 if any failed."""
    with operations():
        target = job.check_revision(to)
        planned = job.plan(target, slugs, downgrade=downgrade)
    if not planned:
        click.echo(json.dumps([]) if as_json else f"Nobody has to move to {target or 'base'}.")
        return
    if inline:
        outcomes: Iterator[dict[str, Any]] = (
            job.move(tenant.schema_name, target, downgrade=downgrade)._asdict()
            for tenant in planned
        )
    else:
        if not dispatch.has_worker(UPGRADES):
            raise FailedError(
                f"No worker takes from the queue {UPGRADES}. Start one, or add --inline."
            )
        outcomes = _by_celery(planned, target, downgrade)
    done = []
    for outcome in outcomes:
        done.append(outcome)
        if not as_json:
            click.echo(_line(outcome, len(done), len(planned)))
    failed = [outcome for outcome in done if outcome["status"] == job.FAILED]
    if as_json:
        click.echo(json.dumps(done))
    else:
        click.echo(
            f"{len(done) - len(failed)} of {len(planned)} tenants are at {target or 'base'}."
        )
        if len(done) < len(planned):
            click.echo("Not heard of the others: run the command again for those still behind.")
        if failed:
            print_table([{"tenant": o["tenant"], "error": o["error"]} for o in failed])
    if len(done) < len(planned) or failed:
        raise click.exceptions.Exit(EXIT_FAILED)


def _by_celery(
    planned: list[job.Planned], target: str, downgrade: bool
) -> Iterator[dict[str, Any]]:
    run_id = dispatch.start(
        tasks.move.s(tenants=batch, target=target, downgrade=downgrade)
        for batch in job.batches(planned)
    )
    seen: set[str] = set()
    lost = 0
    moved_at = time.monotonic()
    while True:
        run = dispatch.look(run_id)
        # By name: batches do not end in the order in which they were sent.
        for outcome in run.outcomes:
            if outcome["tenant"] not in seen:
                seen.add(outcome["tenant"])
                lost, moved_at = 0, time.monotonic()
                yield outcome
        if run.state != dispatch.RUNNING:
            break
        if time.monotonic() - moved_at > STALLED_SECONDS:
            # Asked twice: a busy worker may be late with its answer.
            lost = lost + 1 if dispatch.is_lost(run_id, UPGRADES) else 0
            if lost == 2:
                click.echo("The worker that had the rest is gone.", err=True)
                break
            moved_at = time.monotonic()
        time.sleep(POLL_SECONDS)
    for error in run.errors:
        click.echo(f"A task was lost: {error}", err=True)


def _line(outcome: dict[str, Any], number: int, total: int) -> str:
    text = f"[{number}/{total}] {outcome['tenant']}: {outcome['status']}"
    text += f" {outcome['from_revision'] or 'base'} -> {outcome['to_revision'] or 'base'}"
    return f"{text} in {outcome['seconds']} s" + (
        f": {outcome['error']}" if outcome["error"] else ""
    )
