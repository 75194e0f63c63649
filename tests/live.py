"""The API as people run it: gunicorn on a port of its own, part of the tests' installation."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ops.local.child import Child
from ops.local.files import LOOPBACK, free_port
from ops.roles import command
from tests.factories import wait_until

ROOT = Path(__file__).parent.parent
START_SECONDS = 60


@contextmanager
def gunicorn(environment: Mapping[str, str], directory: Path) -> Iterator[str]:
    """Run the role `api` while the block runs.

    Args:
        environment: of the installation that it is part of.
        directory: for its log.

    Yields:
        The URL at which it answers.
    """
    port = free_port()
    own = {**environment, "BIND": f"{LOOPBACK}:{port}", "WEB_CONCURRENCY": "1"}
    url = f"http://{LOOPBACK}:{port}"
    child = Child("api", command("api", own), log_dir=directory, env=own, cwd=ROOT)
    try:
        wait_until(lambda: child.exit_code() is not None or _answers(url), START_SECONDS)
        assert child.exit_code() is None, child.tail()
        yield url
    finally:
        child.stop()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/health", timeout=5).close()
    except urllib.error.URLError:
        return False
    return True
