"""What a started run tells its user: where everything is, and who may enter."""

import shlex
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Place:
    """Something to open."""

    what: str
    where: str
    user: str = ""
    password: str = ""


def curl_line(url: str, tenant: str, token: str) -> str:
    """A command that lists the users of `tenant`, ready to be pasted into a shell."""
    words = ["curl", "-H", f"tenant: {tenant}", "-H", f"Authorization: Bearer {token}"]
    return shlex.join([*words, f"{url}/users/"])


def show(places: list[Place], curl: str | None, console: Console | None = None) -> None:
    """Print the places, as a table on a terminal and as plain lines elsewhere, then the command."""
    console = console or Console(highlight=False)
    if console.is_terminal:
        table = Table("", "where", "user", "password", title="Everything is up", title_style="bold")
        for place in places:
            row = (place.what, place.where, place.user, place.password)
            table.add_row(*(Text(cell, overflow="fold") for cell in row))
        console.print(table)
    else:
        console.print("Everything is up", soft_wrap=True)
        for place in places:
            row = (place.what, place.where, place.user, place.password)
            console.print(Text("  ".join(cell for cell in row if cell)), soft_wrap=True)
    if curl:
        # Not wrapped: it is to be pasted.
        console.print(Text(f"\n{curl}\n"), soft_wrap=True)
    console.print("Ctrl-C stops everything.")
