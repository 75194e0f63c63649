"""`flask backups`: archives of tenants."""

from __future__ import annotations

import json
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from ops.archives.models import COMPLETE
from ops.backups import closing, job, retention
from ops.backups import forget as forgetting
from ops.backups.databases import databases as all_databases
from ops.backups.report import archive_row, set_row
from ops.backups.rescan import rescan as rescan_storage
from ops.console import EXIT_FAILED, OpsGroup, WrongUseError, json_option, print_table, whoami
from ops.runs.cli import begin, inline_option
from todo_app.config import Settings
from todo_app.database import transaction
from todo_app.tenancy import operations

backups = OpsGroup("backups", help="Archives of tenants: take, look at, verify, restore, keep.")

set_argument = click.argument("name", metavar="SET")


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings


@backups.command()
@json_option
def databases(as_json: bool) -> None:
    """List the databases of the server."""
    with operations():
        rows = all_databases()
    if as_json:
        click.echo(json.dumps(rows))
    else:
        print_table(rows)


@backups.command()
@click.option("--all", "all_", is_flag=True, help="All tenants that have data.")
@click.option("--tenant", "slugs", multiple=True, help="One tenant; may be given several times.")
@click.option("--consistent", is_flag=True, help="All archives show the same moment.")
@inline_option
@click.option("--detach/--wait", help="Do not follow the run, or do.", show_default=True)
@json_option
def create(
    all_: bool, slugs: tuple[str, ...], consistent: bool, inline: bool, detach: bool, as_json: bool
) -> None:
    """Take the archives of all tenants, or of some.

    Ends with 1 if any tenant is not in the set.
    """
    if all_ == bool(slugs):
        raise WrongUseError("Say either --all or --tenant.")
    job.need_storage(_settings())

    def start() -> int:
        _, run_id = job.create(
            slugs, actor=whoami(), settings=_settings(), is_consistent=consistent
        )
        return run_id

    try:
        begin(job.KIND, start, inline=inline, detach=detach, as_json=as_json)
    finally:
        if not detach:
            with operations(), transaction():
                closing.close(_settings())


@backups.command("list")
@click.option("--tenant", "slug", help="The archives of one tenant instead of the sets.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=30, show_default=True)
@json_option
def list_(slug: str | None, limit: int, as_json: bool) -> None:
    """List the newest sets, or the archives of one tenant."""
    with operations():
        if slug is None:
            rows = [set_row(row) for row in job.recent(limit)]
        else:
            rows = [archive_row(row) for row in job.archives(slug=slug)[:limit]]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        print_table(rows)


@backups.command()
@set_argument
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a set, or `latest`: its archives, and who is not in it and why."""
    with operations():
        set_ = job.get(name)
        archives = [archive_row(row) for row in job.archives(set_.name)]
    if as_json:
        row = {"name": set_.name, "state": set_.state, "failures": set_.failures}
        click.echo(json.dumps({**row, "archives": archives}))
        return
    print_table(archives)
    for slug, error in set_.failures.items():
        click.echo(f"not in it: {slug}: {error}", err=True)
    click.echo(f"Set {set_.name} is {set_.state}: {len(archives)} archives.")
    if set_.state != COMPLETE:
        raise SystemExit(EXIT_FAILED)


@backups.command()
@set_argument
@inline_option
@click.option("--detach/--wait", help="Do not follow the run, or do.", show_default=True)
@json_option
def verify(name: str, inline: bool, detach: bool, as_json: bool) -> None:
    """Read every byte of a set's archives; ends with 1 if any is damaged."""

    def start() -> int:
        return job.verify(name, actor=whoami(), settings=_settings())

    begin(job.KIND, start, inline=inline, detach=detach, as_json=as_json)


@backups.command()
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
@json_option
def prune(dry_run: bool, as_json: bool) -> None:
    """Delete the archives that no rule keeps."""
    with operations():
        archives = retention.superfluous(_settings())
    rows = [archive_row(row) for row in archives]
    if not dry_run:
        retention.prune(_settings(), archives)
    if as_json:
        click.echo(json.dumps(rows))
        return
    if rows:
        print_table(rows)
    verb = "would be" if dry_run else "were"
    click.echo(f"{len(rows)} archives {verb} deleted.")


def _rule_option(name: str) -> Any:
    return click.option(
        f"--{name}", type=click.IntRange(-1, retention.MOST), help="-1 takes the setting again."
    )


@backups.command("retention")
@click.argument("slug")
@_rule_option("daily")
@_rule_option("weekly")
@_rule_option("monthly")
@_rule_option("yearly")
def retention_(slug: str, **numbers: int | None) -> None:
    """Show which archives of a tenant are kept, or change it."""
    own = {name: None if n < 0 else n for name, n in numbers.items() if n is not None}
    with operations(), transaction():
        rules = retention.rules_of(_settings(), retention.set_rules(slug, own))
    click.echo(", ".join(f"{number} {name}" for name, number in rules._asdict().items()))


@backups.command()
@click.option("--yes", is_flag=True, help="Although the storage has none of the archives known.")
@json_option
def rescan(yes: bool, as_json: bool) -> None:
    """Rebuild the list of sets and archives from the storage alone."""
    with operations(), transaction():
        scan = rescan_storage(_settings(), may_forget_all=yes)
    if as_json:
        click.echo(json.dumps(scan._asdict()))
        return
    click.echo(f"{scan.sets} sets, {scan.archives} archives, {scan.keys} keys of tenants.")
    for name in scan.forgotten:
        click.echo(f"no longer in the storage: {name}", err=True)
    for name in scan.changed:
        click.echo(f"not what was stored here: {name}", err=True)
    for name in scan.unreadable:
        click.echo(f"cannot be read: {name}", err=True)


@click.command()
@click.argument("slug")
@click.option("--living", is_flag=True, help="Although the tenant is active or suspended.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def forget(slug: str, living: bool, yes: bool) -> None:
    """Destroy the key of a tenant, so that nobody can open its archives any more."""
    with operations():
        doomed = forgetting.find(slug, may_live=living)
    who = f"{slug} ({doomed.tenant_uuid}, {doomed.now})"
    if not yes:
        click.confirm(f"No archive of {who} can be restored after this. Go on?", abort=True)
    with operations(), transaction():
        archives = forgetting.forget(_settings(), doomed.tenant_uuid)
    click.echo(f"The key of {who} is destroyed: {archives} archives can no longer be opened.")
