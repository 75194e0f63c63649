"""Squawk's opinion on the SQL of a revision; `.squawk.toml` says which rules are off, and why."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

from migrations.lint.revision import Finding, Revision
from todo_app.histories import CONTROL

CONFIG = Path(__file__).parents[2] / ".squawk.toml"
PROGRAM = Path(sysconfig.get_path("scripts"), "squawk")


def check(revision: Revision) -> list[Finding]:
    """What squawk finds in the upgrade.

    Raises:
        RuntimeError: squawk itself has failed.
    """
    sql = "\n".join(revision.upgrade)
    command = [str(PROGRAM), "--config", str(CONFIG), "--reporter", "json"]
    if revision.history == CONTROL:
        # The search_path leads nowhere there.
        command += ["--include", "require-table-schema"]
    done = subprocess.run(  # noqa: S603 - our own words; the SQL is its input
        command, input=sql, capture_output=True, text=True, check=False
    )
    if not done.stdout:
        raise RuntimeError(f"squawk: {done.stderr.strip()}")
    lines = sql.splitlines()
    return [
        revision.find(
            found["rule_name"],
            " ".join(filter(None, (found["message"], found["help"]))),
            "".join(lines[found["line"] :][:1]).strip(),
        )
        for found in json.loads(done.stdout)
    ]
