"""The floor of an upgrade: SQL that psycopg2 sends, half of the tenants from each of two processes.

As a program: connects to `OPS_DATABASE_URL`, says so, waits for a line with a JSON list of SQL, and
sends each in a round trip of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing

import psycopg2

from bench.installation import ROOT, WORKERS, InstallationError


def replay(env: Mapping[str, str], scripts: Sequence[str]) -> float:
    """Send SQL from `WORKERS` new processes at once, each script as one transaction.

    Args:
        env: of the installation.
        scripts: a tenant's statements each.

    Returns:
        Seconds from when all are connected until the last is done.
    """
    argv = [sys.executable, "-m", "bench.replay"]
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


def main() -> None:
    """The program."""
    with closing(psycopg2.connect(os.environ["OPS_DATABASE_URL"])) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            print("connected", flush=True)
            for script in json.loads(sys.stdin.readline()):
                # Sent as one message, it is one transaction.
                cursor.execute(script)
    print("done", flush=True)


if __name__ == "__main__":
    main()
