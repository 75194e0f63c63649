"""Flower's settings: its list of tasks says in words who is worked on, and what came of it.

Flower takes this file from the directory that it is started in; what is set here wins over a
`FLOWER_…` variable of the same name.
"""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from typing import Any

# Rows do not wrap and a cell shows some 50 characters, so what matters comes first. The UUID leads
# to the task's own page, which shows all.
tasks_columns = "received,state,args,result,uuid,name,runtime,worker"

WENT_WRONG = ("FAILURE", "RETRY")

_OF_A_RUN = re.compile(
    r"(?P<what>run \d+ \(.*?\)(?:, wave [\d-]+ of \d+)?): (?P<outcome>.*)", re.DOTALL
)
_TENANTS_FAILED = re.compile(r"TenantsFailedError\((.*)\)", re.DOTALL)


def format_task(task: Any) -> Any:
    """Put a task into words, for the list and for its own page.

    Args:
        task: Flower's own copy of what Celery's events have told of it.

    Returns:
        The same task. Its arguments by position, which our tasks do not have, say what it is; its
        result says what came of it, or what is being done.
    """
    sent = _parse(task.kwargs)
    shown = sent if isinstance(sent, dict) else {}
    task.args = (_what(shown) if shown else sent) or task.name
    task.result = _outcome(task, shown)
    of_a_run = _OF_A_RUN.fullmatch(task.result)
    if of_a_run:
        task.args, task.result = of_a_run["what"], of_a_run["outcome"]
    return task


def _what(shown: dict[str, Any]) -> str:
    if "run" not in shown:
        return ", ".join(f"{name} {value}" for name, value in shown.items())
    wave = f", wave {shown['wave']}" if "wave" in shown else ""
    return f"run {shown['run_id']} ({shown['run']}){wave}"


def _outcome(task: Any, shown: dict[str, Any]) -> str:
    if task.state in WENT_WRONG:
        text = str(task.exception or "")
        failed = _TENANTS_FAILED.fullmatch(text)
        return str(_parse(failed[1])) if failed else text
    if task.state == "PROGRESS" and "tenants" in shown:
        return f"{shown['left_in_wave']} left; works on {shown['tenants']}"
    result = _parse(task.result)
    return "" if result is None else str(result)


def _parse(text: str | None) -> Any:
    """The value that Celery has written down; the text itself where it is none, or was cut."""
    with suppress(ValueError, SyntaxError):
        return ast.literal_eval(text or "''")
    return text
