"""Start a server on a port and wait until it answers; shared by PostgreSQL and Valkey."""

import time
from collections.abc import Callable

from ops.local.child import POLL, Child
from ops.local.errors import LocalError
from ops.local.files import free_port

START_TIMEOUT = 120.0  # seconds: after a crash PostgreSQL replays its log first
ATTEMPTS = 5

# Failures that pass by themselves: the port was taken between choice and use, or the processes
# of a killed server are not gone yet.
PASSING = ("Address already in use", "is still in use")


def start_on_port(
    title: str,
    start: Callable[[int], Child],
    is_ready: Callable[[Child, int], bool],
    port: int | None,
) -> tuple[Child, int]:
    """Start a server and wait until it is ready.

    Args:
        title: its name in messages.
        start: starts it on a port.
        is_ready: whether it answers there; called again until it does.
        port: None takes a free one.

    Returns:
        The process and its port.

    Raises:
        LocalError: it ends instead, or is not ready in time; the text has the end of its log.
    """
    for _ in range(ATTEMPTS):
        chosen = port or free_port()
        child = start(chosen)
        try:
            if _wait(title, child, chosen, is_ready):
                return child, chosen
        except BaseException:
            child.stop()
            raise
        child.stop()
        if not any(text in child.tail() for text in PASSING):
            break
        time.sleep(0.5)
    raise LocalError(f"{title} did not start on port {chosen}:\n{child.tail()}")


def _wait(title: str, child: Child, port: int, is_ready: Callable[[Child, int], bool]) -> bool:
    """False if it ended instead."""
    deadline = time.monotonic() + START_TIMEOUT
    while child.exit_code() is None:
        if is_ready(child, port):
            return True
        if time.monotonic() > deadline:
            raise LocalError(f"{title} is not ready in {START_TIMEOUT:.0f} s:\n{child.tail()}")
        time.sleep(POLL)
    return False
