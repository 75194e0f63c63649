"""The floor of an upgrade: SQL that psycopg2 sends, half of the tenants from each process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from bench.installation import ROOT, WORKERS, InstallationError


def replay(env: Mapping[str, str], scripts: Sequence[str]) -> float:
    """Send SQL from `WORKERS` new processes at once, each script as one transaction.

    Args:
        env: of the installation.
        scripts: a tenant's statements each.

    Returns:
        Seconds from when all are connected until the last is done.
    """
    argv = [sys.executable, "-m", "bench.sender"]
    with ExitStack() as stack:
        programs = []
        for _ in range(WORKERS):
            program = subprocess.Popen(
                argv, env=env, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            programs.append(stack.enter_context(program))
        for program in programs:
            _hear(program)
        started = time.perf_counter()
        for number, program in enumerate(programs):
            assert program.stdin is not None
            program.stdin.write(f"{json.dumps(scripts[number::WORKERS])}\n")
            program.stdin.flush()
        for program in programs:
            _hear(program)
        return time.perf_counter() - started


def _hear(program: subprocess.Popen[str]) -> None:
    assert program.stdout is not None
    if not program.stdout.readline():
        raise InstallationError("a process that replays SQL has failed; its error stands above")
