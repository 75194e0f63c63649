"""The private directory of a local run, its lock and its remembered ports."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.local.errors import LocalError

LOOPBACK = "127.0.0.1"


def private_dir(path: Path) -> Path:
    """Make directory `path` readable by its owner alone, and return it.

    Raises:
        LocalError: it belongs to somebody else.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.geteuid():
        raise LocalError(
            f"{path} belongs to another user (uid {path.stat().st_uid}): "
            "run as that user, or remove the directory to start anew."
        )
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Put a file that only its owner can read in place, whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


@contextmanager
def exclusive(path: Path, note: str) -> Iterator[None]:
    """Hold the lock file `path`; the kernel lets go of it however this process ends.

    Args:
        path: the lock file; it stays behind, which means nothing.
        note: tells others who holds it.

    Raises:
        LocalError: another process does; its text ends with that one's note.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise LocalError(f"Already running: {file.read()}") from None
        file.truncate(0)
        file.write(note)
        file.flush()
        yield


def is_free(port: int) -> bool:
    """Whether a server can listen on `port` of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody uses now, chosen by the kernel."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Ports:
    """Ports chosen once and kept in a file, so that other programs can go on using them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self, name: str) -> int | None:
        """The port of server `name`, if it has one and it is still free."""
        port = self._read().get(name)
        return port if port and is_free(port) else None

    def remember(self, name: str, port: int) -> None:
        """Keep the port of server `name` for the next start."""
        write_private(self._path, json.dumps(self._read() | {name: port}))

    def _read(self) -> dict[str, int]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (FileNotFoundError, ValueError):
            return {}
