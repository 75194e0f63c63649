"""Starts the processes of a run, shows what they log, and stops them together.

All in one thread: children log to files, which are read as they grow. honcho's printer shows
the lines; its manager is not used, because the process that it forks between itself and each
child would outlive a killed supervisor, and its children with it.
"""

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Self, TextIO

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from ops.local.child import STOP_TIMEOUT, Child
from ops.local.errors import LocalError, Stopped

SYSTEM = "system"
NAME_WIDTH = 8
POLL = 0.1  # seconds
READY_TIMEOUT = 120.0  # seconds


class StopRequests:
    """How many signals have asked us to stop: the first asks politely, the second hurries."""

    count = 0

    def check(self) -> None:
        """Raise `Stopped` once a signal has come."""
        if self.count:
            raise Stopped


@contextmanager
def stop_requests() -> Iterator[StopRequests]:
    """Count SIGINT, SIGTERM and SIGHUP while the block runs, instead of dying of them.

    SIGHUP stays ignored where it was (`nohup`).
    """
    requests = StopRequests()

    def count(*_: object) -> None:
        requests.count += 1

    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = {signal.SIGINT, signal.SIGTERM} | (set() if nohup else {signal.SIGHUP})
    before = {number: signal.signal(number, count) for number in numbers}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Supervisor:
    """Keeps the processes of one run; on leaving its block it stops those that it started.

    Args:
        stop: asked at every turn whether to go on.
        log_dir: where the children log to.
        cwd: where they run.
        env: their environment.
        output: where their lines are shown.
    """

    def __init__(
        self,
        stop: StopRequests,
        *,
        log_dir: Path,
        cwd: Path,
        env: Mapping[str, str],
        output: TextIO | None = None,
    ) -> None:
        self.env = dict(env)
        self._stop = stop
        self._log_dir = log_dir
        self._cwd = cwd
        self._printer = Printer(output or sys.stdout, width=NAME_WIDTH)
        self._palette = get_colours()
        self._colours: dict[str, str] = {}
        self._started: list[Child] = []
        self._adopted: list[Child] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_all()

    def say(self, text: str, name: str = SYSTEM) -> None:
        """Show `text` as output of `name`."""
        colour = None if name == SYSTEM else self._colours.get(name)
        # A terminal that went away, or a closed pipe, stops neither the run nor its end.
        with suppress(OSError):
            self._printer.write(Message("line", text, datetime.now(), name, colour))

    def adopt(self, child: Child) -> None:
        """Show and watch a process that somebody else starts and stops."""
        self._colours[child.name] = next(self._palette)
        self._adopted.append(child)

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Start a process that is to run until the end."""
        self._colours[name] = next(self._palette)
        self._started.append(Child(name, argv, log_dir=self._log_dir, env=self.env, cwd=self._cwd))

    def run(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
        """Run a program to its end, showing what it writes to standard error.

        Returns:
            Its standard output.

        Raises:
            LocalError: it failed.
        """
        with tempfile.TemporaryFile() as stdout:
            child = Child(
                name,
                argv,
                log_dir=self._log_dir,
                env=self.env | dict(env or {}),
                cwd=self._cwd,
                stdout=stdout,
            )
            try:
                while child.exit_code() is None:
                    self._turn()
                    self._show(child)
            finally:
                child.stop()
                self._show(child)
            stdout.seek(0)
            output = stdout.read().decode(errors="replace")
        if child.exit_code() != 0:
            raise LocalError(_obituary(child))
        return output

    def wait_until(
        self, what: str, answers: Callable[[], bool], timeout: float = READY_TIMEOUT
    ) -> None:
        """Wait until `answers()` is true.

        Raises:
            LocalError: a child ended meanwhile, or `timeout` seconds passed.
            Stopped: a signal came.
        """
        deadline = time.monotonic() + timeout
        while not answers():
            self._turn()
            if time.monotonic() > deadline:
                raise LocalError(f"{what} does not answer after {timeout:.0f} s.")

    def watch(self) -> None:
        """Show what the children log, for ever.

        Raises:
            LocalError: a child ended.
            Stopped: a signal came.
        """
        while True:
            self._turn()

    def _turn(self) -> None:
        time.sleep(POLL)
        children = [*self._adopted, *self._started]
        for child in children:
            self._show(child)
        self._stop.check()
        for child in children:
            if child.exit_code() is not None:
                self._show(child)
                raise LocalError(_obituary(child))

    def _show(self, child: Child) -> None:
        text = child.new_output(last=child.exit_code() is not None)
        if text:
            self.say(text, child.name)

    def _stop_all(self) -> None:
        """Ask all at once, wait for all at once: a slow one does not hold up the others."""
        running = [child for child in self._started if child.exit_code() is None]
        if running:
            self.say(f"stopping {', '.join(child.name for child in running)}")
        for child in running:
            child.ask_to_stop()
        asked = self._stop.count
        deadline = time.monotonic() + STOP_TIMEOUT
        while time.monotonic() < deadline and self._stop.count <= asked:
            for child in running:
                self._show(child)
            if all(child.exit_code() is not None for child in running):
                break
            time.sleep(POLL)
        for child in self._started:
            if child.exit_code() is None:
                self.say(f"{child.name} does not stop: killed")
            child.stop(timeout=0)


def _obituary(child: Child) -> str:
    code = child.exit_code() or 0
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{child.name} has ended ({how}). The end of {child.log_file}:\n{child.tail()}"
