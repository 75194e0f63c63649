"""`flask tenants`: the catalogue and the lifecycle of every tenant."""

from __future__ import annotations

import json
from typing import Any

import click
import sqlalchemy as sa
from flask import current_app
from marshmallow import ValidationError

from ops.backups.cli import forget
from ops.console import EXIT_FAILED, OpsGroup, WrongUseError, json_option, print_table
from ops.monitor.cli import check
from ops.tenants import demo as demo_data
from ops.tenants import job
from ops.upgrades.cli import downgrade, upgrade
from ops.upgrades.script import lag
from todo_app.database import db, transaction
from todo_app.registration import service as registration
from todo_app.schemas import Email
from todo_app.tenancy import control_plane, operations
from todo_app.tenants import service
from todo_app.tenants.models import ACTIVE, STATES, SUSPENDED, Tenant

tenants = OpsGroup("tenants", help="Tenants: list, create, change, upgrade, drop.")
tenants.add_command(upgrade)
tenants.add_command(downgrade)
tenants.add_command(check)
tenants.add_command(forget)

COLUMNS = ("slug", "name", "state", "revision", "schema_name", "host", "created_at")


def _row(tenant: Any) -> dict[str, Any]:
    row = {column: getattr(tenant, column) for column in COLUMNS}
    return {**row, "created_at": tenant.created_at.isoformat(timespec="seconds")}


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows))
    else:
        print_table(rows)


@tenants.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only tenants in this state.")
@json_option
def list_(state: str | None, as_json: bool) -> None:
    """List all tenants."""
    statement = sa.select(Tenant).order_by(Tenant.slug)
    if state:
        statement = statement.where(Tenant.state == state)
    with operations():
        _show([_row(tenant) for tenant in db.session.scalars(statement)], as_json)


@tenants.command()
@json_option
def status(as_json: bool) -> None:
    """Show how many tenants stand where: by state and revision, and how far behind they are."""
    statement = (
        sa.select(Tenant.state, Tenant.revision, sa.func.count().label("tenants"))
        .group_by(Tenant.state, Tenant.revision)
        .order_by(Tenant.state, Tenant.revision)
    )
    with operations():
        rows = [
            {**row._mapping, "behind": lag(row.revision)} for row in db.session.execute(statement)
        ]
    _show(rows, as_json)


@tenants.command()
@click.argument("name")
@click.option("--slug", help="Its name in addresses; made of NAME when left out.")
@click.option("--host", help="A host name of its own.")
@click.option("--admin", help="Address of its first user, who is told by mail.")
@click.option("--first-name", default="Master", show_default=True, help="Of that user.")
@click.option("--last-name", default="Administrator", show_default=True, help="Of that user.")
@json_option
def create(
    name: str,
    slug: str | None,
    host: str | None,
    admin: str | None,
    first_name: str,
    last_name: str,
    as_json: bool,
) -> None:
    """Create a tenant, with its first user or without any."""
    if admin is None:
        with operations(), transaction():
            row = _row(service.create(name, slug, host=host))
    else:
        person = {"email": _address(admin), "first_name": first_name, "last_name": last_name}
        company = {"name": name, "slug": slug, "host": host}
        url = current_app.config["SETTINGS"].public_url
        with control_plane(), transaction():
            row = _row(registration.found_for(company, person, url).tenant)
    _show([row], as_json)


def _address(text: str) -> str:
    try:
        return str(Email().deserialize(text))
    except ValidationError as error:
        raise click.BadParameter(error.messages[0], param_hint="--admin") from None


@tenants.command()
@click.argument("slug")
@json_option
def show(slug: str, as_json: bool) -> None:
    """Show one tenant."""
    with operations():
        tenant = service.get(slug)
        row = {column.name: getattr(tenant, column.name) for column in Tenant.__table__.columns}
    if as_json:
        click.echo(json.dumps(row, default=str))
        return
    print_table([{"field": name, "value": value} for name, value in row.items()])


@tenants.command()
@click.argument("slug")
@click.argument("new_slug")
def rename(slug: str, new_slug: str) -> None:
    """Give a tenant another slug; its schema and tokens stay."""
    with operations(), transaction():
        service.change(slug, {"slug": new_slug})
    click.echo(f"{slug} is now {new_slug}.")


@tenants.command()
@click.argument("slug")
def suspend(slug: str) -> None:
    """Refuse all requests of a tenant; its data stays."""
    with operations(), transaction():
        service.change(slug, {"state": SUSPENDED})
    click.echo(f"{slug} is suspended.")


@tenants.command()
@click.argument("slug")
def activate(slug: str) -> None:
    """Serve a suspended tenant again."""
    with operations(), transaction():
        service.change(slug, {"state": ACTIVE})
    click.echo(f"{slug} is active.")


@tenants.command()
@click.argument("slug")
@click.option("--off", is_flag=True, help="Treat it like all others again.")
def canary(slug: str, off: bool) -> None:
    """Mark a tenant that upgrades touch before all others."""
    with operations(), transaction():
        service.change(slug, {"is_canary": not off})
    click.echo(f"{slug} is {'no longer ' if off else ''}a canary.")


@tenants.command()
@click.argument("slug")
@click.option("--confirm", help="The slug once more; asked for when left out.")
def drop(slug: str, confirm: str | None) -> None:
    """Delete a tenant and all its data, for good."""
    with operations():
        service.get(slug)
    if confirm is None:
        confirm = click.prompt(f"All data of {slug} will be lost. Type its slug to go on")
    with operations(), transaction():
        schema_name = service.mark_deleting(slug, confirm).schema_name
    job.drop(schema_name)
    click.echo(f"{slug} is gone.")


@tenants.command(context_settings={"ignore_unknown_options": True})
@click.option("--only", help="Slugs, separated by commas.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(only: str | None, command: tuple[str, ...]) -> None:
    """Run a program once for each active tenant.

    It finds TENANT, TENANT_SCHEMA and TENANT_ID in its environment, and the connection and schema
    as libpq wants them:  flask tenants run -- psql -c 'SELECT count(*) FROM users'
    """
    slugs = [slug for slug in (only or "").split(",") if slug]
    failed = []
    with operations():
        for slug in slugs:
            service.get(slug)
        chosen = job.active(slugs)
    try:
        for slug, code in job.run_in_each(command, chosen, current_app.config["SETTINGS"]):
            click.echo(f"{slug}: exit code {code}", err=True)
            if code:
                failed.append(slug)
    except OSError as error:
        raise WrongUseError(f"{command[0]} cannot be started: {error.strerror}") from None
    if failed:
        click.echo(f"failed for {', '.join(failed)}", err=True)
        raise click.exceptions.Exit(EXIT_FAILED)


@tenants.command()
@click.password_option(envvar="DEMO_PASSWORD", help="Of all demo users.")
@json_option
def demo(password: str, as_json: bool) -> None:
    """Create two companies with people, lists and tasks; does nothing where they exist."""
    rows = demo_data.create(password)
    if as_json:
        click.echo(json.dumps({"tenants": rows}))
    else:
        print_table([{key: row[key] for key in ("slug", "name", "email")} for row in rows])
