"""`flask control`: the control plane's own schema."""

from __future__ import annotations

import click
from flask import current_app

from ops.console import OpsGroup
from ops.control import job
from ops.tenants import job as tenants_job
from todo_app.config import Settings
from todo_app.database import transaction
from todo_app.tenancy import operations

control = OpsGroup("control", help="The control plane: catalogue, queues of work, privileges.")


@control.command()
def upgrade() -> None:
    """Migrate the control plane to head, prepare the tenant script and the spare schemas.

    Safe to run from several instances at once.
    """
    settings: Settings = current_app.config["SETTINGS"]
    revision = job.upgrade(settings)
    with operations(), transaction():
        tenant_revision = tenants_job.prepare_script(settings)
    built = tenants_job.keep_spares(settings.spare_schemas)
    click.echo(
        f"Control plane at {revision}; new tenants start at {tenant_revision}; "
        f"{built} spare schemas built."
    )
