"""Whether the processes of a run answer."""

import http.client
import json
from base64 import b64encode
from typing import Any

from celery import Celery
from celery.beat import beat_nodename
from celery.utils.nodenames import default_nodename
from kombu.exceptions import OperationalError

from ops.local.files import LOOPBACK

TIMEOUT = 5.0  # seconds


def answers(port: int, path: str, login: str = "") -> bool:
    """Whether GET `path` gives 200.

    Args:
        port: on the loopback address.
        path: of the URL.
        login: `user:password` for HTTP basic authentication.
    """
    headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {}
    try:
        return _request(port, "GET", path, headers)[0] == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False


def log_in(port: int, tenant: str, email: str, password: str) -> str | None:
    """A token of the API for this user; None if it gives none."""
    headers = {"tenant": tenant, "Content-Type": "application/json"}
    body = json.dumps({"email": email, "password": password})
    try:
        status, answer = _request(port, "POST", "/auth/login", headers, body)
        return str(json.loads(answer)["token"]) if status < http.HTTPStatus.BAD_REQUEST else None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None


class CeleryNodes:
    """Whether this machine's worker and beat answer `celery inspect ping`."""

    def __init__(self, broker_url: str) -> None:
        # Not the app of wsgi.py: that would load the whole program into the supervisor.
        # And without retries: whoever waits asks again, and looks at the broker in between.
        self._celery = Celery(
            broker=broker_url,
            set_as_current=False,
            broker_transport_options={"max_retries": 0, "socket_connect_timeout": TIMEOUT},
        )

    def worker(self) -> bool:
        """Whether the worker answers."""
        return self._ping(default_nodename(None))

    def beat(self) -> bool:
        """Whether beat answers."""
        return self._ping(beat_nodename())

    def close(self) -> None:
        """Drop the connections."""
        self._celery.close()

    def _ping(self, node: str) -> bool:
        try:
            replies: list[Any] = self._celery.control.ping(destination=[node], timeout=0.5)
        except (OperationalError, OSError):
            return False
        return any(node in reply for reply in replies)


def _request(
    port: int, method: str, path: str, headers: dict[str, str], body: str | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
