"""Requests are counted by route, whichever process of gunicorn answers them."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from ops.local.files import free_port
from ops.roles import command
from tests.factories import Company, wait_until

TOKEN = "scrapes-only"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

Key = tuple[str, str, str]


@pytest.fixture
def scraped(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opens `/metrics` for TOKEN."""
    settings = dataclasses.replace(app.config["SETTINGS"], metrics_token=TOKEN)
    monkeypatch.setitem(app.config, "SETTINGS", settings)


def counts(text: str) -> dict[Key, float]:
    """How many requests were answered, by route, method and status."""
    return {
        (sample.labels["route"], sample.labels["method"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "todo_http_requests_total"
    }


def duration(text: str, suffix: str, **labels: str) -> float:
    """A sample of the durations; 0 where there is none."""
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"todo_http_request_duration_seconds_{suffix}" and sample.labels == labels
    ]
    return found[0] if found else 0.0


@pytest.mark.usefixtures("scraped")
def test_requests_are_counted_by_rule_method_and_status(client: FlaskClient, acme: Company) -> None:
    uuid = acme.post("/lists/", {"title": "List"}).json["uuid"]
    before = client.get("/metrics", headers=BEARER).text
    assert acme.get(f"/lists/{uuid}").status_code == 200
    assert acme.get(f"/lists/{uuid}").status_code == 200
    assert acme.patch(f"/lists/{uuid}", json={"title": ""}).status_code == 422
    assert client.get(f"/lists/{uuid}").status_code == 401
    after = client.get("/metrics", headers=BEARER).text
    old, new = counts(before), counts(after)
    rule = "/lists/<uuid:list_uuid>"
    expected = {
        (rule, "GET", "200"): 2,
        (rule, "PATCH", "422"): 1,
        (rule, "GET", "401"): 1,
        ("/metrics", "GET", "200"): 1,
    }
    assert {key: new[key] - old.get(key, 0) for key in new if new[key] != old.get(key)} == expected
    assert uuid not in after
    labels = {"route": rule, "method": "GET"}
    for suffix, more in (("count", {}), ("bucket", {"le": "+Inf"})):
        grown = duration(after, suffix, **labels, **more) - duration(
            before, suffix, **labels, **more
        )
        assert grown == 3
    assert 0 < duration(after, "sum", **labels) - duration(before, "sum", **labels) < 30


@pytest.mark.usefixtures("scraped")
def test_what_anybody_can_make_up_becomes_no_series(client: FlaskClient) -> None:
    before = set(counts(client.get("/metrics", headers=BEARER).text))
    for path, method in (("/nothing/here", "GET"), ("/nor/here", "GET"), ("/health", "BREW")):
        client.open(path, method=method)
        client.open(path, method=method)
    after = counts(client.get("/metrics", headers=BEARER).text)
    new = {("none", "GET", "404"), ("none", "other", "405"), ("/metrics", "GET", "200")}
    assert set(after) == before | new


class Api(NamedTuple):
    """A running gunicorn."""

    process: subprocess.Popen[bytes]
    url: str

    def get(self, path: str) -> str:
        """The text of an answer, by a connection of its own."""
        request = urllib.request.Request(self.url + path, headers=BEARER)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(self.get("/health"))
        return False

    def directory(self) -> Path:
        """Where its workers count."""
        places = {Path("/dev/shm"), Path(tempfile.gettempdir())}
        name = f"todo-metrics-{self.process.pid}-*"
        (found,) = (path for place in places for path in place.glob(name))
        return found

    def workers(self) -> set[int]:
        """Process ids of its workers."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}

    def files(self) -> set[str]:
        """A file of counters for each worker that has answered anything."""
        return {path.name for path in self.directory().glob("counter_*.db")}


@pytest.fixture
def two_workers(environment: dict[str, str]) -> Iterator[Api]:
    port = free_port()
    env = {
        **environment,
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "2",
        "METRICS_TOKEN": TOKEN,
    }
    with running(env) as process:
        api = Api(process, f"http://127.0.0.1:{port}")
        wait_until(api.answers, 60)
        yield api


@contextmanager
def running(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command("api", env), env=env, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(40)


def health_checks(api: Api) -> float:
    return counts(api.get("/metrics"))["/health", "GET", "200"]


def test_workers_share_their_counts_and_hand_them_on(two_workers: Api) -> None:
    api = two_workers
    sent = health_checks(api)
    while len(api.files()) < 2:
        api.get("/health")
        sent += 1
        assert sent < 5000, "one worker gets no request"
    # Whichever worker answers, it tells of both.
    assert {health_checks(api) for _ in range(20)} == {sent}

    first = api.workers()
    killed = min(first)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(api.workers() - {killed}) == 2, 30)
    wait_until(api.answers, 30)
    sent = health_checks(api)
    for _ in range(50):
        api.get("/health")
    assert {health_checks(api) for _ in range(20)} == {sent + 50}
    assert api.files() == {"counter_0.db", "counter_1.db"}, "the new worker took the dead one's"

    directory = api.directory()
    api.process.send_signal(signal.SIGHUP)  # all workers anew
    wait_until(lambda: not api.workers() & first, 60)
    wait_until(api.answers, 30)
    assert api.directory() == directory
    assert health_checks(api) >= sent + 50

    api.process.terminate()
    assert api.process.wait(40) == 0
    assert not directory.exists()


def test_metrics_are_not_there_without_a_token(client: FlaskClient) -> None:
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 404
    assert answer.json["detail"] == client.get("/nothing/here").json["detail"]


@pytest.mark.usefixtures("scraped")
@pytest.mark.parametrize(
    "header", ["", TOKEN, "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_metrics_ask_for_the_token(client: FlaskClient, header: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "todo_" not in answer.text
