"""`flask tenants check`."""

from __future__ import annotations

import json

import click
from flask import current_app
from flask.cli import with_appcontext

from ops.console import EXIT_FAILED, json_option, print_table
from ops.monitor import drift


@click.command()
@click.argument("slugs", nargs=-1)
@json_option
@with_appcontext
def check(slugs: tuple[str, ...], as_json: bool) -> None:
    """Compare the schemas of all tenants, or only of SLUGS, with what their revision makes.

    Looks at active and suspended tenants and changes none. Ends with 1 if any of them differs or
    could not be checked.
    """
    report = drift.check_all(current_app.config["SETTINGS"], slugs)
    if as_json:
        differing = [
            {"tenant": f.tenant, "revision": f.revision, "differences": f.differences}
            for f in report.differing
        ]
        unchecked = [{"tenant": u.tenant, "reason": u.reason} for u in report.unchecked]
        click.echo(
            json.dumps({"checked": report.checked, "differing": differing, "unchecked": unchecked})
        )
    else:
        if report.differing:
            print_table(
                [
                    {
                        "tenant": finding.tenant,
                        "revision": finding.revision or "base",
                        "differences": "; ".join(finding.differences),
                    }
                    for finding in report.differing
                ]
            )
        for tenant in report.unchecked:
            click.echo(f"{tenant.tenant} was not checked: {tenant.reason}", err=True)
        click.echo(report.summary)
    if report.differing or report.unchecked:
        raise click.exceptions.Exit(EXIT_FAILED)
