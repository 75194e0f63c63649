"""`flask backups restore`, `undo`, `drill`, `kept`; `flask tenants clone`, `archive`."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
import sqlalchemy as sa
from flask import current_app
from flask.cli import with_appcontext

from ops.backups import closing
from ops.backups import job as backups
from ops.console import EXIT_FAILED, WrongUseError, json_option, print_table, whoami
from ops.restores import elsewhere, job
from ops.restores.find import parse_until
from ops.restores.preview import preview
from ops.runs.cli import begin, inline_option
from ops.runs.models import RUNNING, RunItem
from todo_app.config import Settings
from todo_app.database import OPS_BIND, db, transaction
from todo_app.tenancy import operations

LOOK_EVERY_SECONDS = 2.0
MEBIBYTE = 1024 * 1024

detach_option = click.option(
    "--detach/--wait", help="Do not follow the run, or do.", show_default=True
)


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def _run(start: Callable[[], int], *, inline: bool, detach: bool, as_json: bool) -> None:
    """Begin a run and show how far its tenants are."""
    begun: list[int] = []

    def start_and_note() -> int:
        run_id = start()
        begun.append(run_id)
        return run_id

    with _lines(begun, is_quiet=as_json or detach):
        begin(job.KIND, start_and_note, inline=inline, detach=detach, as_json=as_json)


@contextmanager
def _lines(run_ids: list[int], *, is_quiet: bool) -> Iterator[None]:
    """Print now and then what is loaded: one tenant alone may take long."""
    if is_quiet:
        yield
        return
    ended = threading.Event()
    engine = db.engines[OPS_BIND]

    def show() -> None:
        told: dict[str, int] = {}
        while not ended.wait(LOOK_EVERY_SECONDS):
            with suppress(sa.exc.SQLAlchemyError):
                for slug, progress in _progress(engine, run_ids):
                    click.echo(_line(slug, progress, told.get(slug, 0)), err=True)
                    told[slug] = progress["bytes"]

    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _progress(engine: sa.Engine, run_ids: list[int]) -> list[tuple[str, dict[str, Any]]]:
    items = RunItem.__table__
    statement = sa.select(items.c.slug, items.c.result["progress"]).where(
        items.c.run_id.in_(run_ids), items.c.state == RUNNING, items.c.result.has_key("progress")
    )
    with engine.begin() as connection:
        return [(row[0], row[1]) for row in connection.execute(statement)]


def _line(slug: str, progress: dict[str, Any], bytes_before: int) -> str:
    rows, of_rows, size = progress["rows"], progress["of_rows"], progress["bytes"]
    line = f"{slug}: {progress['step']}; {rows:,} of {of_rows:,} rows, {size / MEBIBYTE:,.1f} MiB"
    rate = (size - bytes_before) / LOOK_EVERY_SECONDS
    if rate > 0 and 0 < rows < of_rows:
        left = size / rows * (of_rows - rows) / rate
        line += f", {rate / MEBIBYTE:.1f} MiB/s, {left:.0f} s left"
    return line


@click.command()
@click.option("--tenant", "slug", help="Whose data; one that is gone comes back by its old slug.")
@click.option("--set", "set_name", help="From this set; without --tenant all that is in it.")
@click.option("--date", "until", help="The last archive up to the end of a day, or up to a time.")
@click.option("--as", "as_slug", metavar="NAME", help="Into a new tenant with this slug.")
@click.option(
    "--tables", metavar="A,B", help="Only these, into a schema beside the tenant that stays."
)
@click.option(
    "--with-deleted-users", is_flag=True, help="Bring back people who were deleted since, too."
)
@click.option("--dest-db", metavar="URL", help="A whole set into another, empty database.")
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@inline_option
@detach_option
@json_option
@with_appcontext
def restore(
    *,
    slug: str | None,
    set_name: str | None,
    until: str | None,
    as_slug: str | None,
    tables: str | None,
    with_deleted_users: bool,
    dest_db: str | None,
    dry_run: bool,
    inline: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Give a tenant the data of an archive back; what it replaces is kept for `undo`.

    Passwords and sessions stay as they are, and so do all other tenants. The archive is proven
    row for row before anything is replaced. --dest-db reads its password from DEST_DB_PASSWORD.
    """
    order = job.Order(
        slug,
        set_name,
        parse_until(until) if until else None,
        as_slug,
        [name for name in (tables or "").split(",") if name],
        with_deleted_users,
    )
    if dest_db is not None:
        if slug or until or as_slug or tables or dry_run or detach or as_json:
            raise WrongUseError("--dest-db restores a whole set: only --set goes with it.")
        _restore_elsewhere(dest_db, set_name or backups.LATEST)
    elif dry_run:
        _preview(order, as_json)
    else:

        def start() -> int:
            return job.start(order, actor=whoami(), settings=_settings())

        _run(start, inline=inline, detach=detach, as_json=as_json)


def _preview(order: job.Order, as_json: bool) -> None:
    with operations():
        archives = job.choose(order)
    found = [
        preview(archive, _settings(), is_new=order.as_slug is not None) for archive in archives
    ]
    if as_json:
        click.echo(json.dumps(found))
        return
    for row in found:
        click.echo(f"{row['tenant']}: {row['archive']}, taken at {row['taken_at']}")
        print_table(row["tables"])
        if row["deleted_people"]:
            verb = "would come back" if order.with_deleted_users else "would stay deleted"
            click.echo(f"\nDeleted since, and {verb}:")
            print_table(row["deleted_people"])


def _restore_elsewhere(url: str, set_name: str) -> None:
    with operations():
        name = backups.get(set_name).name
    env = elsewhere.environment(url, _settings(), os.environ)
    for command, code in elsewhere.run(name, env):
        if code:
            click.echo(f"`flask {' '.join(command)}` failed there.", err=True)
            raise click.exceptions.Exit(EXIT_FAILED)
    click.echo(f"The set {name} is restored.")


@click.command()
@click.argument("slug")
@click.option("--schema", "schema_name", help="One that `flask backups kept` lists; else the last.")
@inline_option
@detach_option
@json_option
@with_appcontext
def undo(slug: str, schema_name: str | None, inline: bool, detach: bool, as_json: bool) -> None:
    """Bring back what the last restore of a tenant has replaced; may be undone in turn."""

    def start() -> int:
        return job.start_undo(slug, actor=whoami(), schema_name=schema_name)

    _run(start, inline=inline, detach=detach, as_json=as_json)


@click.command()
@click.option("--tenant", "slugs", multiple=True, help="Instead of those proven longest ago.")
@click.option("--number", type=click.IntRange(1, 1000), help="Of tenants; BACKUP_DRILLS if not.")
@inline_option
@detach_option
@json_option
@with_appcontext
def drill(
    slugs: tuple[str, ...], number: int | None, inline: bool, detach: bool, as_json: bool
) -> None:
    """Restore into scratch schemas, compare, upgrade, and drop them: no tenant is touched."""
    settings = _settings()

    def start() -> int:
        wanted = number or settings.backup_drills
        return job.start_drill(slugs, wanted, actor=whoami(), settings=settings)

    _run(start, inline=inline, detach=detach, as_json=as_json)


@click.command()
@click.option("--tenant", "slug", help="Only of this tenant.")
@json_option
@with_appcontext
def kept(slug: str | None, as_json: bool) -> None:
    """List what restores have put aside, and until when it is kept."""
    with operations():
        rows = [
            {**row, **{name: row[name].isoformat(timespec="seconds") for name in _TIMES}}
            for row in job.replaced(slug)
        ]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        print_table(rows)


_TIMES = ("replaced_at", "keep_until")


@click.command()
@click.argument("slug")
@click.argument("new_slug")
@inline_option
@detach_option
@json_option
@with_appcontext
def clone(slug: str, new_slug: str, inline: bool, detach: bool, as_json: bool) -> None:
    """Make a tenant NEW_SLUG that is as SLUG is now; nobody is signed in there."""

    def start() -> int:
        return job.start_clone(slug, new_slug, actor=whoami())

    _run(start, inline=inline, detach=detach, as_json=as_json)


@click.command()
@click.argument("slug")
@click.option("--yes", is_flag=True, help="Do not ask.")
@inline_option
@detach_option
@json_option
@with_appcontext
def archive(slug: str, yes: bool, inline: bool, detach: bool, as_json: bool) -> None:
    """Close a tenant: back it up, read that back, then drop its schema."""
    if not yes:
        click.confirm(f"{slug} will be served no longer. Go on?", abort=True)

    def start() -> int:
        return job.start_archive(slug, actor=whoami(), settings=_settings())

    try:
        _run(start, inline=inline, detach=detach, as_json=as_json)
    finally:
        if not detach:
            with operations(), transaction():
                closing.close(_settings())
