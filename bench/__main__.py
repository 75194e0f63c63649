"""`python -m bench [NAME]`: run one benchmark, or all of them."""

from __future__ import annotations

import sys

import click
from rich.console import Console

from bench import accounts, archives, create, many_tenants, tasks, upgrade, users
from bench.installation import InstallationError, installation
from bench.load import LoadError, installed_driver
from bench.result import Options
from ops.local.errors import LocalError

BENCHMARKS = {
    "users": users.run,
    "accounts": accounts.run,
    "tasks": tasks.run,
    "create": create.run,
    "upgrade": upgrade.run,
    "archives": archives.run,
    "tenants-1000": many_tenants.run,
}
UNDER_LOAD = ("users", "accounts", "tasks", "tenants-1000")

DEFAULTS = Options()


@click.command()
@click.argument("name", required=False, type=click.Choice(list(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object a benchmark.")
@click.option("--rounds", type=click.IntRange(1, 100), default=DEFAULTS.rounds, show_default=True)
@click.option("--seconds", type=click.IntRange(1, 60), default=DEFAULTS.seconds, show_default=True)
@click.option(
    "--tenants", type=click.IntRange(1, 100_000), default=DEFAULTS.tenants, show_default=True
)
@click.option(
    "--megabytes", type=click.IntRange(1, 100_000), default=DEFAULTS.megabytes, show_default=True
)
def main(
    name: str | None, as_json: bool, rounds: int, seconds: int, tenants: int, megabytes: int
) -> None:
    """Run the benchmark NAME, or all, on an installation that is made for it and goes with it.

    Whether a ratio keeps its target is for the reader: the exit code is 0 once all is measured.
    """
    options = Options(rounds, seconds, tenants, megabytes)
    # The table is for people: it leaves standard output to the JSON where that is asked for.
    console = Console(stderr=as_json)
    try:
        if name in (None, *UNDER_LOAD):
            installed_driver()  # or say so before anything is started
        with installation() as place:
            for chosen in [name] if name else BENCHMARKS:
                result = BENCHMARKS[chosen](place, options)
                result.print_table(console)
                if as_json:
                    click.echo(result.to_json())
    except (LoadError, LocalError, InstallationError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)


main(prog_name="python -m bench")
