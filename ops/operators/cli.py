"""`flask operators`: who may run the service over `/cc`."""

from __future__ import annotations

import json
from datetime import timedelta

import click

from ops.console import OpsGroup, json_option, print_table
from ops.operators import job
from todo_app.database import transaction
from todo_app.tenancy import operations

operators = OpsGroup("operators", help="Tokens for the /cc API.")


@operators.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, help=f"One of {', '.join(job.SCOPES)}; default: all."
)
@click.option("--days", type=click.IntRange(1, 3650), help="How long it is good for.")
def create(name: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Print a new operator's token, once."""
    with operations(), transaction():
        token = job.create(name, list(scopes or job.SCOPES), timedelta(days=days) if days else None)
    click.echo(token)
    click.echo("Keep it: only its digest is stored.", err=True)


@operators.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all operators."""
    with operations():
        rows = [
            {
                "name": operator.name,
                "scopes": operator.scopes,
                "created": operator.created_at.isoformat(timespec="seconds"),
                "expires": operator.expires_at and operator.expires_at.isoformat(),
                "revoked": operator.revoked_at and operator.revoked_at.isoformat(),
            }
            for operator in job.every()
        ]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        print_table(rows)


@operators.command()
@click.argument("name")
def revoke(name: str) -> None:
    """End an operator's token for good."""
    with operations(), transaction():
        job.revoke(name)
    click.echo(f"{name} is revoked.")
