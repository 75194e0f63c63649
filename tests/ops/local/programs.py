"""Programs in processes of their own: started, looked at and found again."""

import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ops.local.account import PASS_THROUGH

REPOSITORY = Path(__file__).parents[3]


def processes_in(directory: Path) -> dict[int, str]:
    """Command lines, by process id, of what runs in `directory` or below."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            pid = int(entry.name)
            if Path(os.readlink(entry / "cwd")).is_relative_to(directory):
                found[pid] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def eventually(check: Callable[[], bool], timeout: float = 30.0) -> None:
    """Wait until `check()` is true; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def nothing_runs_in(directory: Path) -> None:
    """Fail unless all processes in `directory` are gone soon; a killed one takes a moment."""
    eventually(lambda: not processes_in(directory))


def as_nobody(directory: Path) -> list[str]:
    """Words that run a command as an ordinary user, who gets `directory` for his own.

    He may read everything, so that the test does not depend on where the clone lies.
    """
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("becoming another user takes root and setpriv")
    user = pwd.getpwnam("nobody")
    os.chown(directory, user.pw_uid, user.pw_gid)
    become = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return ["setpriv", *become, *PASS_THROUGH[0]]


class Program:
    """A Python program in a process of its own, with its output in a file."""

    def __init__(
        self,
        code: str,
        cwd: Path,
        *arguments: str,
        prefix: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        self._output = cwd.parent / f"{cwd.name}-{time.monotonic_ns()}.out"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-c", code, *arguments],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Nothing of ours: it must do with an empty environment.
                env={"PYTHONPATH": str(REPOSITORY), **(env or {})},
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def says(self, text: str, timeout: float = 60.0) -> None:
        """Wait until it has written `text`."""
        eventually(lambda: text in self.output or self.process.poll() is not None, timeout)
        assert text in self.output, self.output

    def kill(self, signal_number: int) -> int:
        """Send it a signal, and return how it ended."""
        self.process.send_signal(signal_number)
        return self.process.wait(60)
