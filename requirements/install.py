"""Bring .venv to what a lock asks for: `python3 requirements/install.py test`.

Needs a Python with venv, nothing else. Each lock holds the ones before it (`LOCKS`), so that one
environment serves all of them. A stamp inside it says what it holds: while that is still so,
nothing is done and no network is asked. The stamp is away while packages change, so an
environment without one is half built, and is built anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCKS = ("production", "embedded", "test", "dev")
OLDEST_PYTHON = (3, 11)

REQUIREMENTS = Path(__file__).resolve().parent
VENV = REQUIREMENTS.parent / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"


def main(arguments: list[str]) -> None:
    """Install the lock that is the only argument."""
    if len(arguments) != 1 or arguments[0] not in LOCKS:
        sys.exit(f"usage: install.py {'|'.join(LOCKS)}")
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed, this is "
            f"{sys.version.split()[0]}: name another one, as in `make run PYTHON=python3.12`."
        )
    with one_at_a_time():
        if not holds(arguments[0]):
            install(arguments[0])


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other process changes the environment; the kernel lets go of the lock."""
    with Path(__file__).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that is installing packages")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def holds(lock: str) -> bool:
    """Whether the environment has all of `lock`, as it is now, or of one that holds it."""
    stamp = read_stamp()
    return (
        stamp is not None
        and LOCKS.index(stamp["lock"]) >= LOCKS.index(lock)
        and stamp["sha256"] == sha256(stamp["lock"])
    )


def install(lock: str) -> None:
    """Install `lock`, in a new environment if this one cannot be trusted."""
    say(f"installing requirements/{lock}.txt into .venv")
    if read_stamp() is None:
        # Not sys.executable: that may be the environment's own, which is about to be emptied.
        python = getattr(sys, "_base_executable", sys.executable)
        run("The environment could not be made", python, "-m", "venv", "--clear", str(VENV))
    with stamp_away():
        run(
            "The packages could not be installed",
            *(str(PYTHON), "-m", "pip", "install", "--quiet", "--no-input"),
            *("--disable-pip-version-check", "--no-warn-script-location", "--require-hashes"),
            *("--requirement", str(REQUIREMENTS / f"{lock}.txt")),
        )
    write_stamp({"lock": lock, "sha256": sha256(lock), **identity()})


@contextmanager
def stamp_away() -> Iterator[None]:
    """Take the stamp away; it comes back where an error has left the packages as they were."""
    stamp, packages = read_stamp(), installed_packages()
    STAMP.unlink(missing_ok=True)
    try:
        yield
    except SystemExit:
        if stamp is not None and installed_packages() == packages:
            write_stamp(stamp)
        raise


def installed_packages() -> dict[str, int]:
    """The installed packages, by name and version, and when each was put there."""
    found = VENV.glob("lib/python*/site-packages/*.dist-info")
    return {path.name: path.stat().st_mtime_ns for path in found}


def write_stamp(stamp: dict[str, str]) -> None:
    """Put the stamp in place, whole."""
    draft = STAMP.with_suffix(".new")
    draft.write_text(json.dumps(stamp))
    draft.replace(STAMP)


def read_stamp() -> dict[str, str] | None:
    """What the environment holds; None if it is half built, or was moved, or lost its Python."""
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None
    is_ours = PYTHON.exists() and identity().items() <= stamp.items()
    return stamp if is_ours and stamp.get("lock") in LOCKS else None


def identity() -> dict[str, str]:
    """What the environment's programs have written into themselves."""
    return {"place": str(VENV), "python": str(PYTHON.resolve())}


def sha256(lock: str) -> str:
    """The hash of a lock file."""
    return hashlib.sha256((REQUIREMENTS / f"{lock}.txt").read_bytes()).hexdigest()


def run(problem: str, *command: str) -> None:
    """Run a command; if it fails, end with `problem`."""
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - our own words
        sys.exit(f"{problem}: the reason is above.")


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    # Ctrl-C needs no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main(sys.argv[1:])
