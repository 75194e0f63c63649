"""What the commands share: tables, `--json`, and errors without a stack."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import sqlalchemy as sa
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from todo_app.config import ConfigError
from todo_app.errors import AppError, UnavailableError, first_line

EXIT_FAILED = 1
EXIT_WRONG_USE = 2

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def whoami() -> str:
    """Who runs the command, for records."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container a user need not have a name.
        return f"uid {os.getuid()}"


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table on a terminal, else as lines with tabs between the values."""
    if not rows:
        click.echo("none", err=True)
        return
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *cells):
            click.echo("\t".join(line))
        return
    table = Table(*columns)
    for line in cells:
        # As text, or brackets would be read as markup.
        table.add_row(*map(Text, line))
    Console().print(table)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


class FailedError(click.ClickException):
    """A command that could not do what it was asked."""

    exit_code = EXIT_FAILED


class WrongUseError(click.ClickException):
    """A command that was asked something that cannot be."""

    exit_code = EXIT_WRONG_USE


class OpsGroup(AppGroup):
    """A group whose commands end with one line, not a stack, where the cause is known."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UnavailableError as error:
            raise FailedError(error.detail) from None
        except AppError as error:
            raise WrongUseError(_with_fields(error)) from None
        except ConfigError as error:
            raise WrongUseError(str(error)) from None
        except sa.exc.OperationalError as error:
            is_away = error.connection_invalidated or not getattr(error.orig, "pgcode", None)
            said = "The database does not answer" if is_away else "The database refuses"
            raise FailedError(f"{said}: {first_line(error)}") from None
        except sa.exc.ProgrammingError as error:
            raise FailedError(
                f"{first_line(error)}. Has the control plane been migrated? `flask control upgrade`"
            ) from None


def _with_fields(error: AppError) -> str:
    fields = (error.errors or {}).get("json", {})
    return " ".join([error.detail, *(f"{name}: {' '.join(text)}" for name, text in fields.items())])
