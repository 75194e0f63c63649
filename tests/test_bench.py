"""The benchmarks work from end to end, with small numbers; no test judges what they measure."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.load import ApacheBench, Caller, Driver, LoadError, Wrk, find_driver
from bench.processes import backend_memory, cpu_seconds
from bench.result import Ratio, Result
from ops.local.child import search_path
from ops.local.postgres import PostgresServer

ROOT = Path(__file__).parent.parent
CALLERS = [Caller("acme", "t_acme.secret"), Caller("globex", "t_globex.secret")]
SECONDS = 3
"""Of load: on a busy machine a driver may not come to its first request within one."""


@pytest.fixture
def requests() -> list[tuple[str | None, str | None]]:
    """The headers of all requests that the server below has got."""
    return []


@pytest.fixture
def bodies() -> list[str]:
    """What it has got by POST."""
    return []


@pytest.fixture
def server(requests: list[tuple[str | None, str | None]], bodies: list[str]) -> Iterator[str]:
    """A server that knows one address: `/users/`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append((self.headers["tenant"], self.headers["Authorization"]))
            self.send_response(200 if self.path == "/users/" else 404)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # the drivers hang up in the middle of answers when their time is over

    with Server(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(params=["wrk", "ab"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return Wrk(tmp_path) if request.param == "wrk" else ApacheBench()


@pytest.mark.parametrize("callers", [CALLERS[:1], CALLERS])
def test_driver_sends_requests_of_all_callers(
    driver: Driver,
    server: str,
    requests: list[tuple[str | None, str | None]],
    callers: list[Caller],
) -> None:
    sample = driver(f"{server}/users/", callers, SECONDS)
    assert sample.requests > 0
    assert sample.rate > 0
    assert 0 <= sample.p50_ms <= sample.p99_ms
    assert set(requests) == {(caller.tenant, f"Bearer {caller.token}") for caller in callers}


def test_driver_sends_bodies(driver: Driver, server: str, bodies: list[str]) -> None:
    assert driver(f"{server}/users/", CALLERS[:1], SECONDS).requests > 0
    assert bodies == []
    sent = ['{"title": "One"}', '{"title": "Two"}']
    assert driver(f"{server}/users/", CALLERS[:1], SECONDS, sent).requests > 0
    assert set(bodies) == set(sent if driver.name == "wrk" else sent[:1])


def test_driver_reports_failed_requests(driver: Driver, server: str) -> None:
    with pytest.raises(LoadError, match="requests failed"):
        driver(f"{server}/elsewhere", CALLERS[:1], SECONDS)


def test_driver_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(LoadError, match=r"install wrk .* or ab"):
        find_driver(tmp_path)


def test_ratio_is_the_median_of_the_rounds() -> None:
    ratio = Ratio.of([1, 4, 9], [2, 4, 3], ">= 1")
    assert ratio == Ratio(value=1, lowest=0.5, highest=3, target=">= 1")


def test_result_as_json() -> None:
    result = Result("x", {"a/b": Ratio(0.5, 0.4, 0.6, "<= 1")}, {"a": {"ms": 1.0}})
    assert json.loads(result.to_json()) == {
        "name": "x",
        "ratios": {"a/b": 0.5},
        "figures": {"a": {"ms": 1.0}, "ratio a/b": {"lowest": 0.4, "highest": 0.6}},
    }


def test_processes_of_the_database(postgres: PostgresServer, app: object) -> None:
    assert cpu_seconds(postgres.pid) > 0
    assert backend_memory(postgres.pid, "nobody").processes == 0


@pytest.mark.skipif(
    not (shutil.which("wrk") or shutil.which("ab")), reason="neither wrk nor ab is installed"
)
@pytest.mark.long
def test_all_benchmarks_end_with_one_json_object_each() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "--json"),
            *("--rounds=1", "--seconds=1", "--tenants=12", "--megabytes=2"),
        ],
        cwd=ROOT,
        env={"PATH": search_path()},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    users, accounts, tasks, create, upgrade, archives, tenants = map(
        json.loads, done.stdout.splitlines()
    )
    assert users["name"] == "users"
    assert set(users["ratios"]) == {"app/floor", "floor/app, processor time"}
    assert set(users["figures"]) >= {"floor", "app"}
    assert accounts["name"] == "accounts"
    assert set(accounts["ratios"]) == {
        "log-in without argon2/3 ms",
        "statements and hashes of a token check/1",
        "p99 of GET /users/, while 200 sign in/while nobody does",
        "import/COPY, 120 users",
    }
    assert accounts["figures"]["each token check"] == {"statements": 1, "hashes": 0}
    assert tasks["name"] == "tasks"
    assert set(tasks["ratios"]) == {
        *(f"{what} /tasks/, app/floor" for what in ("GET", "POST")),
        *(f"{what} /tasks/, floor/app, processor time" for what in ("GET", "POST")),
        *(
            f"p99 of {what}, API/bare SQL"
            for what in ("priority and due", "creator and status", "tags and assignee", "search")
        ),
        "statements of /sync with nothing new/1",
        "import/COPY, 120 tasks",
    }
    assert create["name"] == "create"
    assert set(create["ratios"]) == {
        f"{way}/script, {count} tenants"
        for way in ("empty pool", "spare schema")
        for count in (10, 12)
    }
    assert upgrade["name"] == "upgrade"
    assert set(upgrade["ratios"]) == {
        "fan-out/its SQL by psycopg2, 12 tenants",
        "fan-out/its DDL alone, 12 tenants",
        "loop/fan-out, 12 tenants",
        "worker's memory, last/first fan-out",
        *(f"nobody behind/{other}, {n} tenants" for other in ("1 s", "import") for n in (12, 120)),
    }
    assert upgrade["figures"]["worker, after the last fan-out"]["processes"] == 2
    assert archives["name"] == "archives"
    assert set(archives["ratios"]) == {
        *(f"archive/plain COPY, {count} tenants" for count in (10, 12, "12 wide")),
        *(f"pg_dump -n/archive, {count} tenants" for count in (10, 12, "12 wide")),
        "archive, 12 tenants/10 tenants",
        "archive/pg_dump -Fc, throughput",
        "archive/pg_dump -Z0, our codec, throughput",
        "restore/pg_restore, throughput",
        *(f"peak memory of {way}/200 MiB" for way in ("archive", "restore")),
    }
    assert archives["figures"]["set of all tenants, median"]["tenants"] == 12
    dumps = [row for name, row in archives["figures"].items() if name.startswith("pg_dump of ")]
    assert all(row["tables"] > 12 * tables for row, tables in zip(dumps, (16, 26), strict=True))
    assert archives["figures"]["archive, bulk, last turn"]["text MiB"] == pytest.approx(2, rel=0.2)
    assert tenants["name"] == "tenants-1000"
    assert set(tenants["ratios"]) == {"all tenants/one tenant"}
    assert tenants["figures"]["backends, in the end"]["private MiB"] > 0
    for result in (users, accounts, tasks, create, upgrade, archives, tenants):
        assert all(ratio > 0 for ratio in result["ratios"].values())
    assert "processor time" in done.stderr  # the tables, for people
