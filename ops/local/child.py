"""One child process: it logs to a file, does not outlive us, and is found again if it does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

LAUNCH = Path(__file__).with_name("launch.py")
STOP_TIMEOUT = 10.0  # seconds from the polite signal to the other one
POLL = 0.02  # seconds


def launcher(death_signal: int) -> list[str]:
    """Words to put before a command, so that it gets `death_signal` when this thread dies."""
    return [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(death_signal))]


class Child:
    """A started program, in a session of its own: Ctrl-C in the terminal reaches only us.

    Linux sends the death signal when the starting *thread* ends, so start children from one that
    lives as long as they shall.

    Args:
        name: names its files `<log_dir>/<name>.log` (the one before is kept as `.log.1`) and
            `.pid`. What an earlier run has left under that name is ended first.
        argv: the command; no secrets, everybody can read it.
        env: its whole environment.
        prefix: words before the launcher, such as `setpriv ...`.
        stop_signal: asks it to end.
        stdout: where its output goes instead of the log, which still gets its errors.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_dir: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
        prefix: Sequence[str] = (),
        stop_signal: int = signal.SIGTERM,
        stdout: IO[bytes] | None = None,
    ) -> None:
        self.name = name
        self.log_file = log_dir / f"{name}.log"
        self._pid_file = log_dir / f"{name}.pid"
        self._stop_signal = stop_signal
        self._read = 0
        end_leftover(self._pid_file)
        if self.log_file.exists():
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - argv comes from our own code
                [*prefix, *launcher(stop_signal), *argv],
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        note = {"pid": self.pid, "birth": _birth(self.pid), "stop_signal": int(stop_signal)}
        self._pid_file.write_text(json.dumps(note))

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative is the signal that ended it.

        It stays a zombie until `stop()`: only that keeps its number from being given away while
        we may still want to signal its group.
        """
        if self._process.returncode is not None:
            return self._process.returncode
        state = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if state is None:
            return None
        return state.si_status if state.si_code == os.CLD_EXITED else -state.si_status

    def new_output(self, *, last: bool = False) -> str:
        """What it has logged since the last call, up to the last whole line, or to the end."""
        with self.log_file.open("rb") as log:
            log.seek(self._read)
            data = log.read()
        if not last:
            data = data[: data.rfind(b"\n") + 1]
        self._read += len(data)
        return data.decode(errors="replace")

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def ask_to_stop(self) -> None:
        """Send it its stop signal, and do not wait."""
        if self.exit_code() is None:
            os.kill(self.pid, self._stop_signal)

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """End it, after `timeout` seconds by force, and whatever is left of its group."""
        self.ask_to_stop()
        deadline = time.monotonic() + timeout
        while self.exit_code() is None and time.monotonic() < deadline:
            time.sleep(POLL)
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._pid_file.unlink(missing_ok=True)


def end_leftover(pid_file: Path) -> None:
    """End the process that an earlier run noted in `pid_file`, if that very process still runs."""
    try:
        note = json.loads(pid_file.read_text())
        pid, birth, stop_signal = note["pid"], note["birth"], note["stop_signal"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return
    deadline = time.monotonic() + STOP_TIMEOUT
    with suppress(ProcessLookupError):
        if birth is not None and _birth(pid) == birth:
            os.kill(pid, stop_signal)
            while _birth(pid) == birth and time.monotonic() < deadline:
                time.sleep(POLL)
            os.killpg(pid, signal.SIGKILL)
    pid_file.unlink(missing_ok=True)


def _birth(pid: int) -> str | None:
    """When process `pid` was born: with its number, this names a process for all time."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # After the name, which may hold any character: state, ..., the 20th is the start in ticks.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"


def search_path() -> str:
    """PATH with the programs beside this Python first, as in an activated environment."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def find_program(name: str) -> str | None:
    """Where the program `name` is; None if it is not installed."""
    return shutil.which(name, path=os.pathsep.join([search_path(), "/usr/sbin", "/sbin"]))
