"""How a rush of log-ins treats those who are signed in already."""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

from bench.installation import Installation
from bench.load import Caller, LoadError, find_driver
from bench.result import Figures, Options, Ratio, spread

PEOPLE = 200
"""Who sign in at once."""
SHORTEST_PAUSE = 0.1
"""Seconds that somebody waits who is told to come back at once."""
TARGET = "<= 3"
FINEST_MS = 1.0
"""Some load drivers tell no less than this."""


def measure(
    installation: Installation,
    caller: Caller,
    emails: Sequence[str],
    password: str,
    options: Options,
) -> tuple[dict[str, Ratio], Figures]:
    """`GET /users/` while all of `emails` sign in at once, again and again, and while nobody does.

    Raises:
        LoadError: a `GET /users/` has failed, or a log-in but for being told to come back.
    """
    driver = find_driver(installation.directory)
    quiet: list[float] = []
    rushed: list[float] = []
    signed_in: list[float] = []
    with installation.gunicorn("accounts", "wsgi:app") as server:
        url = f"{server.url}/users/?size=1"

        def load(p99s: list[float]) -> None:
            p99s.append(max(driver(url, [caller], options.seconds).p99_ms, FINEST_MS) / 1e3)

        def load_in_a_rush() -> None:
            with _rush(server.url, caller.tenant, emails, password) as counted:
                load(rushed)
            signed_in.append(len(counted) / options.seconds)

        load([])
        for number in range(options.rounds):
            turns = [lambda: load(quiet), load_in_a_rush]
            for turn in turns if number % 2 == 0 else reversed(turns):
                turn()
    name = f"p99 of GET /users/, while {len(emails)} sign in/while nobody does"
    figures = {
        "GET /users/, p99": spread(quiet),
        f"GET /users/, p99 while {len(emails)} sign in": spread(rushed),
        "log-ins in the rushes": {"log-ins/s": statistics.median(signed_in)},
    }
    return {name: Ratio.of(rushed, quiet, TARGET)}, figures


@contextmanager
def _rush(url: str, tenant: str, emails: Sequence[str], password: str) -> Iterator[list[str]]:
    """Let all sign in at once, and once all have, again, until the block ends.

    Yields:
        The addresses of those who have signed in, one after the other.
    """
    is_over = threading.Event()
    together = threading.Barrier(len(emails))
    done: list[str] = []

    def sign_in_again_and_again(email: str) -> None:
        try:
            with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
                while not is_over.is_set():
                    together.wait()
                    if _sign_in(connection, tenant, email, password, is_over):
                        done.append(email)
        except threading.BrokenBarrierError:
            pass  # It is over.
        except BaseException:
            together.abort()
            raise

    with ThreadPoolExecutor(len(emails)) as pool:
        people = [pool.submit(sign_in_again_and_again, email) for email in emails]
        try:
            yield done
        finally:
            is_over.set()
            together.abort()
    for person in people:
        person.result()


def _sign_in(
    connection: HTTPConnection, tenant: str, email: str, password: str, is_over: threading.Event
) -> bool:
    """Sign in; whoever is told to come back does. Gives whether it came to that."""
    body = json.dumps({"email": email, "password": password})
    headers = {"tenant": tenant, "Content-Type": "application/json"}
    while not is_over.is_set():
        connection.request("POST", "/auth/login", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 200:
            return True
        if answer.status != 503:
            raise LoadError(f"nobody can sign in: {answer.status} {text.decode()}")
        is_over.wait(max(SHORTEST_PAUSE, float(answer.headers["Retry-After"])))
    return False
