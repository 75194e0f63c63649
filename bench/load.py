"""The load drivers: wrk, or ab where wrk is missing. Both keep 40 connections alive."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

CONNECTIONS = 40
GRACE = 60
"""Seconds that a driver may take beyond its time before it counts as stuck."""

SCRIPT = Path(__file__).with_name("load.lua")


class LoadError(Exception):
    """There is no driver, or the program under load did not answer every request with success."""


class Caller(NamedTuple):
    """Whom a request comes from: what its two headers say."""

    tenant: str
    token: str


class Sample(NamedTuple):
    """What one round of load has shown."""

    requests: float
    rate: float
    """Requests a second."""
    p50_ms: float
    p99_ms: float


class Driver(Protocol):
    """Sends requests to a URL over 40 connections, from the callers in turn, for some seconds.

    They are GET, or POST with the bodies in turn where there are some. A driver that knows one body
    only sends the first.

    Raises:
        LoadError: a request failed.
    """

    name: str

    def __call__(
        self, url: str, callers: Sequence[Caller], seconds: int, bodies: Sequence[str] = ()
    ) -> Sample:
        """Load the URL."""


class Wrk:
    """Load by wrk."""

    name = "wrk"

    def __init__(self, directory: Path) -> None:
        self._callers = directory / "callers"
        self._bodies = directory / "bodies"

    def __call__(
        self, url: str, callers: Sequence[Caller], seconds: int, bodies: Sequence[str] = ()
    ) -> Sample:
        """Load the URL from one thread, which is enough for tens of thousands of requests."""
        self._callers.write_text("".join(f"{tenant} {token}\n" for tenant, token in callers))
        self._bodies.write_text("".join(f"{body}\n" for body in bodies))
        options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout=10s", f"-s{SCRIPT}"]
        output = _run(["wrk", *options, url, "--", str(self._callers), str(self._bodies)], seconds)
        result = json.loads(output.splitlines()[-1])
        if result["errors"] or not result["requests"]:
            raise LoadError(f"{result['errors']} of {result['requests']} requests failed at {url}")
        rate = result["requests"] / result["seconds"]
        return Sample(result["requests"], rate, result["p50_ms"], result["p99_ms"])


class ApacheBench:
    """Load by ab. One process of ab knows one caller only, so several callers take turns."""

    name = "ab"
    _body: Sequence[str] = ()
    """Options that say what is sent."""
    turn = 50
    """Requests from one caller before the next one's turn."""
    processes = 8
    """At once, when callers take turns."""

    def __call__(
        self, url: str, callers: Sequence[Caller], seconds: int, bodies: Sequence[str] = ()
    ) -> Sample:
        """Load the URL."""
        with _file_of(bodies) as body:
            self._body = body
            return self._load(url, callers, seconds)

    def _load(self, url: str, callers: Sequence[Caller], seconds: int) -> Sample:
        if len(callers) == 1:
            limits = [f"-c{CONNECTIONS}", f"-t{seconds}", "-n10000000"]
            return self._round(url, callers[0], limits, seconds)
        started = time.monotonic()
        with ThreadPoolExecutor(self.processes) as pool:
            shares = (callers[number :: self.processes] for number in range(self.processes))
            turns = pool.map(lambda share: self._turns(url, share, started + seconds), shares)
            samples = [sample for share in turns for sample in share]
        elapsed = time.monotonic() - started
        middle = sorted(sample.p50_ms for sample in samples)[len(samples) // 2]
        slowest = sorted(sample.p99_ms for sample in samples)[int(len(samples) * 0.99)]
        requests = sum(sample.requests for sample in samples)
        return Sample(requests, requests / elapsed, middle, slowest)

    def _turns(self, url: str, callers: Sequence[Caller], deadline: float) -> list[Sample]:
        limits = [f"-c{CONNECTIONS // self.processes}", f"-n{self.turn}"]
        samples: list[Sample] = []
        while callers and time.monotonic() < deadline:
            samples.append(self._round(url, callers[len(samples) % len(callers)], limits, GRACE))
        return samples

    def _round(self, url: str, caller: Caller, limits: Sequence[str], seconds: float) -> Sample:
        headers = [f"-Htenant: {caller.tenant}", f"-HAuthorization: Bearer {caller.token}"]
        output = _run(["ab", "-q", "-k", "-l", *limits, *self._body, *headers, url], seconds)
        failed = _number(r"Failed requests: +(\d+)", output) + _number(
            r"Non-2xx responses: +(\d+)", output
        )
        complete = _number(r"Complete requests: +(\d+)", output)
        if failed or not complete:
            raise LoadError(f"{failed:.0f} of {complete:.0f} requests failed at {url}")
        return Sample(
            complete,
            _number(r"Requests per second: +([\d.]+)", output),
            _number(r"\n +50% +(\d+)", output),
            _number(r"\n +99% +(\d+)", output),
        )


def installed_driver() -> str:
    """The name of the driver that this machine has.

    Raises:
        LoadError: neither is installed.
    """
    for name in (Wrk.name, ApacheBench.name):
        if shutil.which(name):
            return name
    raise LoadError(
        "The benchmarks need a load driver: install wrk (apt install wrk) or ab "
        "(apt install apache2-utils)."
    )


def find_driver(directory: Path) -> Driver:
    """The driver of this machine; its files, which hold tokens, go to `directory`.

    Raises:
        LoadError: neither is installed.
    """
    return Wrk(directory) if installed_driver() == Wrk.name else ApacheBench()


@contextmanager
def _file_of(bodies: Sequence[str]) -> Iterator[Sequence[str]]:
    """Options with which ab sends the first body; none where there is none."""
    if not bodies:
        yield ()
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(bodies[0])
        file.flush()
        yield (f"-p{file.name}", "-Tapplication/json")


def _run(command: Sequence[str], seconds: float) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + GRACE, check=True
        )
    except subprocess.CalledProcessError as error:
        raise LoadError(f"{command[0]} failed: {error.stderr.strip()}") from None
    except subprocess.TimeoutExpired:
        raise LoadError(f"{command[0]} does not end") from None
    return done.stdout


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else 0.0
