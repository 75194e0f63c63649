import io
import shlex

import pytest
from rich.console import Console

from ops.local.report import Place, curl_line, show

PLACES = [
    Place("API", "http://127.0.0.1:8000"),
    Place("tenant acme", "Łódź [red] & Co", "ada@acme.example", "x" * 90),
]
CURL = curl_line("http://127.0.0.1:8000", "it's", "t_acme." + "y" * 90)


def shown(*, terminal: bool, curl: str | None = CURL) -> str:
    file = io.StringIO()
    show(PLACES, curl, Console(file=file, force_terminal=terminal, width=60, no_color=True))
    return file.getvalue()


def test_curl_line_survives_a_shell() -> None:
    assert shlex.split(CURL)[2:5] == [
        "tenant: it's",
        "-H",
        "Authorization: Bearer t_acme." + "y" * 90,
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_curl_line_is_one_line_however_narrow_the_terminal(terminal: bool) -> None:
    assert f"\n{CURL}\n" in shown(terminal=terminal)
    assert "curl" not in shown(terminal=terminal, curl=None)


def test_lines_where_there_is_no_terminal() -> None:
    assert "API  http://127.0.0.1:8000\n" in shown(terminal=False)
    assert f"tenant acme  Łódź [red] & Co  ada@acme.example  {'x' * 90}\n" in shown(terminal=False)


def test_table_on_a_terminal_cuts_nothing_off() -> None:
    text = shown(terminal=True)
    assert text.count("x") == 91  # the password, folded, and `example`
    assert "[red]" in text
    assert "…" not in text
