"""A worker's metrics on its own port."""

from __future__ import annotations

import dataclasses
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any

import pytest
from celery import signals
from flask import Flask

from ops.local.files import free_port
from ops.monitor import metrics
from ops.monitor.exporter import Exporter
from ops.roles import command
from ops.upgrades.script import revisions
from tests.factories import wait_until
from tests.ops.monitor.scraping import NOW, TOKEN, Scrape, add, run, scrape, tenant
from todo_app.config import Settings


def fetch(port: int, path: str = "/metrics", token: str | None = TOKEN) -> tuple[int, str]:
    """Status and text of the answer."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def is_open(port: int) -> bool:
    with suppress(OSError):
        return bool(fetch(port))
    return False


def test_a_worker_serves_the_same_on_its_port(empty: Flask, environment: dict[str, str]) -> None:
    add(tenant("a"), run(state="succeeded", finished_at=NOW))
    port = free_port()
    settings: Settings = empty.config["SETTINGS"]
    names = ("database_url", "ops_database_url", "redis_url", "metrics_token")
    env = {**environment, **{name.upper(): getattr(settings, name) for name in names}}
    env |= {"WORKER_METRICS_PORT": str(port), "WORKER_CONCURRENCY": "1"}
    worker = subprocess.Popen(
        command("worker", env), env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: is_open(port), 60)
        status, text = fetch(port)
        assert status == 200
        seen = Scrape(text)
        assert seen.all("todo_up", "part") == {"database": 1, "broker": 1}
        assert seen.value("todo_tenants", state="active", revision=revisions()[-1]) == 1
        assert seen.value("todo_runs", kind="upgrades", state="succeeded") == 1
        of_the_api = {name for name in scrape(empty).names() if not name.startswith("todo_http_")}
        assert seen.names() == of_the_api
        assert fetch(port, token=None) == (401, "")
        assert fetch(port, token="wrong") == (401, "")
        assert fetch(port, "/")[0] == 404
    finally:
        worker.terminate()
        worker.wait(60)
    assert not is_open(port)


def test_without_a_token_the_port_is_open_until_the_worker_ends(
    current: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    use(current, monkeypatch, metrics_token="", worker_metrics_port=port)
    signals.worker_ready.send(None)
    try:
        assert fetch(port, token=None)[0] == 200
        assert fetch(port, "/metrics?name=x", token=None)[0] == 200
    finally:
        signals.worker_shutdown.send(None)
    assert not is_open(port)
    signals.worker_shutdown.send(None)


def use(app: Flask, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    settings = dataclasses.replace(app.config["SETTINGS"], **changes)
    monkeypatch.setitem(app.config, "SETTINGS", settings)


def test_a_worker_without_a_port_listens_nowhere(current: Flask) -> None:
    signals.worker_ready.send(None)
    assert "exporter" not in current.extensions


@pytest.mark.parametrize("port", ["taken", 99999])
def test_a_worker_works_on_where_its_port_cannot_be_had(
    current: Flask, monkeypatch: pytest.MonkeyPatch, port: object
) -> None:
    with Exporter(current, ("127.0.0.1", 0), "") as holder:
        number = holder.server_port if port == "taken" else port
        use(current, monkeypatch, worker_metrics_port=number)
        signals.worker_ready.send(None)
    assert "exporter" not in current.extensions


def test_a_scrape_that_breaks_off_is_no_stack(
    current: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    use(current, monkeypatch, metrics_token="", worker_metrics_port=port)
    signals.worker_ready.send(None)
    try:
        monkeypatch.setattr(metrics.StateCollector, "collect", lambda self: 1 / 0)
        with pytest.raises(OSError, match="closed connection"):
            fetch(port)
        monkeypatch.undo()
        assert fetch(port)[0] == 200
    finally:
        signals.worker_shutdown.send(None)
