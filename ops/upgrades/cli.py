"""`flask tenants upgrade` and `downgrade`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from ops.console import WrongUseError, json_option, print_table, whoami
from ops.runs.cli import carry_on, inline_option, need_worker, resume_run
from ops.runs.job import Limits
from ops.runs.report import no_run
from ops.upgrades import job
from ops.upgrades import plan as planning
from ops.upgrades.plan import Choice
from todo_app.database import transaction
from todo_app.tenancy import REQUIRED_REVISION, operations

SIZES_SHOWN = 5
MOST = 100_000


def move_options(command: Any) -> Any:
    """The options that both directions share."""
    for option in reversed(
        (
            click.argument("slugs", nargs=-1),
            click.option("--only", help="Slugs, separated by commas; as good as arguments."),
            click.option(
                "--where",
                multiple=True,
                metavar="COLUMN=VALUE",
                help="Only tenants whose state or revision is VALUE.",
            ),
            click.option(
                "--canary",
                type=click.IntRange(1, MOST),
                help="Tenants that go first, instead of those that are marked.",
            ),
            click.option(
                "--wave-size",
                type=click.IntRange(1, MOST),
                help="Instead of a tenth, then the rest.",
            ),
            click.option(
                "--max-failures",
                type=click.IntRange(0, MOST),
                help="Tenants that may fail before the run stops; a tenth when left out.",
            ),
            click.option(
                "--concurrency",
                type=click.IntRange(1, 100),
                help=f"Tenants worked on at once; {Limits.concurrency}, or 1 with --inline.",
            ),
            click.option("--before-backup", is_flag=True, help="Back each tenant up first."),
            click.option(
                "--reconcile",
                is_flag=True,
                help="First put the catalogue right by every tenant's own version table.",
            ),
            click.option(
                "--dry-run", is_flag=True, help="Print the plan and its SQL; change nothing."
            ),
            click.option(
                "--sql", "as_sql", is_flag=True, help="Print the SQL of all tenants only."
            ),
            click.option(
                "--resume",
                type=click.IntRange(1),
                metavar="RUN",
                help="Go on with this run instead.",
            ),
            inline_option,
            click.option(
                "--detach/--wait", help="Do not follow the run, or do.", show_default=True
            ),
            json_option,
        )
    ):
        command = option(command)
    return command


@click.command()
@click.option("--to", default="head", show_default=True, help="Revision to go up to.")
@move_options
@with_appcontext
def upgrade(**options: Any) -> None:
    """Bring all tenants, or only SLUGS, up to a revision.

    Celery's workers do the work, in waves, and the ledger has what came of each tenant; this
    command follows. Ends with 1 if any tenant failed.
    """
    _move(downgrade=False, **options)


@click.command()
@click.option("--to", required=True, help="Revision to go down to; `base` for none.")
@move_options
@with_appcontext
def downgrade(**options: Any) -> None:
    """Take all tenants, or only SLUGS, back to an older revision."""
    _move(downgrade=True, **options)


def _move(
    *,
    to: str,
    downgrade: bool,
    slugs: tuple[str, ...],
    only: str | None,
    where: tuple[str, ...],
    canary: int | None,
    wave_size: int | None,
    max_failures: int | None,
    concurrency: int | None,
    before_backup: bool,
    reconcile: bool,
    dry_run: bool,
    as_sql: bool,
    resume: int | None,
    inline: bool,
    detach: bool,
    as_json: bool,
) -> None:
    if inline and detach:
        raise WrongUseError("--inline does the work here: there is nothing to detach from.")
    if resume and (slugs or only or where or dry_run or as_sql or reconcile):
        raise WrongUseError("--resume goes on with a run as it was planned.")
    if reconcile and (dry_run or as_sql):
        raise WrongUseError("--reconcile writes the catalogue: run it without --dry-run and --sql.")
    if resume:
        resume_run(resume, failed=False, detach=detach, inline=inline, as_json=as_json)
        return
    if reconcile:
        for correction in planning.reconcile():
            click.echo(correction.text, err=True)
    names = [*slugs, *(slug for slug in (only or "").split(",") if slug)]
    order = job.Order(
        to,
        downgrade,
        Choice(names, _parse_where(where), canary, wave_size),
        max_failures,
        concurrency or Limits.concurrency,
        before_backup,
    )
    with operations():
        plan = job.make_plan(order, current_app.config["SETTINGS"])
    if downgrade and plan.target < REQUIRED_REVISION and plan.waves:
        click.echo(
            f"The API serves no tenant below {REQUIRED_REVISION}: they will be answered with 503.",
            err=True,
        )
    if as_sql:
        for sql in job.sql(plan):
            click.echo(sql)
    elif dry_run:
        _show(plan, as_json)
    elif not plan.waves:
        _tell_nobody(plan, as_json)
    else:
        _start(plan, concurrency or 1, inline=inline, detach=detach, as_json=as_json)


def _start(plan: job.Plan, concurrency: int, *, inline: bool, detach: bool, as_json: bool) -> None:
    if not inline:
        need_worker(job.KIND)
    with operations(), transaction():
        run_id = job.start(plan, current_app.config["SETTINGS"], actor=whoami())
    if not as_json and not detach:
        sizes = [str(len(wave)) for wave in plan.waves]
        if len(sizes) > SIZES_SHOWN:
            sizes[SIZES_SHOWN:] = ["…"]
        click.echo(
            f"Run {run_id} ({plan.title}): {len(plan.members)} tenants in {len(plan.waves)} "
            f"wave{'s' if sizes[1:] else ''} of {', '.join(sizes)}."
        )
    with ExitStack() as helpers:
        for _ in range(concurrency - 1 if inline else 0):
            argv = [sys.executable, "-m", "flask", "runs", "work", str(run_id)]
            # This program once more, beside it.
            helpers.enter_context(subprocess.Popen(argv, env=os.environ))  # noqa: S603
        carry_on(run_id, detach=detach, inline=inline, as_json=as_json)


def _parse_where(where: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in where:
        column, equals, value = text.partition("=")
        if not equals:
            raise WrongUseError(f"--where {text!r} is not COLUMN=VALUE.")
        pairs[column] = value
    return pairs


def _tell_nobody(plan: job.Plan, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**no_run(plan.title), "tenants": []}))
    else:
        click.echo(f"Nobody has to move: {plan.title} changes no tenant.")


def _show(plan: job.Plan, as_json: bool) -> None:
    """Print a plan and the SQL that tenants get, by the revision that they start from."""
    scripts = job.preview(plan)
    if as_json:
        click.echo(json.dumps({"title": plan.title, "tenants": plan.rows, "sql": scripts}))
        return
    if not plan.waves:
        _tell_nobody(plan, as_json)
        return
    print_table(plan.rows)
    for revision, sql in scripts.items():
        click.echo(f"\n-- SQL for tenants at {revision or 'base'}, such as:\n{sql}")
