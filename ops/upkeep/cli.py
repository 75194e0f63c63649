"""`flask tenants upkeep`."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from ops.console import json_option, whoami
from ops.runs.cli import begin, inline_option
from ops.upkeep import job


@click.command()
@click.argument("slugs", nargs=-1)
@inline_option
@click.option("--detach", is_flag=True, help="Do not follow the run.")
@json_option
@with_appcontext
def upkeep(slugs: tuple[str, ...], inline: bool, detach: bool, as_json: bool) -> None:
    """Let all active tenants, or only SLUGS, forget what has expired.

    Beat does it each night: entries of the audit record that are older than the company's settings
    keep them, expired sessions, mailed codes and idempotency keys, old invitations, and what has
    been in the trash for KEEP_TRASH_DAYS.
    """
    begin(
        job.KIND,
        lambda: job.start(slugs, actor=whoami()),
        inline=inline,
        detach=detach,
        as_json=as_json,
    )
