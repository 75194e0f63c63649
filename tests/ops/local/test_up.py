"""The whole of `flask up`, with real servers and processes around a stand-in for the app."""

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner

from ops.local import cli
from ops.local.files import free_port
from ops.local.postgres import embedded_postgres, ensure_owner
from ops.local.valkey import embedded_valkey
from tests.ops.local.programs import (
    REPOSITORY,
    Program,
    as_nobody,
    eventually,
    nothing_runs_in,
    processes_in,
)

pytestmark = pytest.mark.e2e

UP = """
import sys
from pathlib import Path
from ops.local import cli
cli.ROOT = Path.cwd()
cli.up(sys.argv[1:])
"""
READY = "Ctrl-C stops everything."
NAMES = {"postgres", "valkey", "api", "worker", "beat", "flower"}


class Clone:
    """A clone of the repository, with a stand-in for the app."""

    def __init__(self, path: Path, start: Callable[..., Program]) -> None:
        path.mkdir(mode=0o700)
        here = Path(__file__).parent
        shutil.copy(here / "stub_wsgi.py", path / "wsgi.py")
        shutil.copy(REPOSITORY / "gunicorn.conf.py", path)
        self.path = path
        self.var = path / "var"
        self.port, self.flower_port = free_port(), free_port()
        self._start = start

    def up(self, *, wait_for: str = READY, prefix: tuple[str, ...] = (), **env: str) -> Program:
        """Start it, and wait until it says something."""
        ports = {"PORT": str(self.port), "FLOWER_PORT": str(self.flower_port)}
        small = {"WEB_CONCURRENCY": "1", "WORKER_CONCURRENCY": "1"}
        program = self._start(UP, self.path, prefix=prefix, env={**ports, **small, **env})
        program.says(wait_for)
        return program

    def get(self, path: str, port: int = 0, **headers: str) -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", port or self.port)) as connection:
            connection.request("GET", path, headers=headers)
            return json.load(connection.getresponse())

    def pid(self, name: str) -> int:
        return int(json.loads((self.var / "log" / f"{name}.pid").read_text())["pid"])


@pytest.fixture
def clone(tmp_path: Path, start: Callable[..., Program]) -> Iterator[Clone]:
    clone = Clone(tmp_path / "clone", start)
    yield clone
    for program in processes_in(clone.path):
        os.kill(program, signal.SIGKILL)


def test_everything_answers_stops_with_ctrl_c_and_keeps_its_data(clone: Clone) -> None:
    first = clone.up()
    assert stat.S_IMODE(clone.var.stat().st_mode) == 0o700
    secrets = json.loads((clone.var / "secrets.json").read_text())
    running = "\n".join(processes_in(clone.path).values())
    assert all(secret not in running for secret in secrets.values())
    assert {path.stem for path in (clone.var / "log").glob("*.pid")} == NAMES

    output = first.output
    for shown in (f"http://127.0.0.1:{clone.port}/docs", secrets["flower"], secrets["demo"]):
        assert shown in output
    ports = json.loads((clone.var / "ports.json").read_text())
    for port in (clone.port, ports["worker-metrics"]):
        assert f"http://127.0.0.1:{port}/metrics  Bearer  {secrets['metrics']}" in output
    assert "tenant acme  Łódź [red] & Co  ada@acme.example" in output
    (curl,) = re.findall(r"^curl .*$", output, re.MULTILINE)
    _, _, tenant, _, token, address = shlex.split(curl)
    headers = dict(word.split(": ") for word in (tenant, token))
    assert address == f"http://127.0.0.1:{clone.port}/users/"
    assert clone.get("/users/", **headers) == {
        "tenant": "acme",
        "token": "Bearer tenant_acme.ada@acme.example",
    }
    login = b64encode(f"admin:{secrets['flower']}".encode()).decode()
    workers = partial(
        clone.get, "/api/workers?refresh=1", clone.flower_port, Authorization=f"Basic {login}"
    )
    eventually(lambda: [name.split("@")[0] for name in workers()] == ["celery"])

    other = clone.up(wait_for="Already running")
    assert other.process.wait(30) == 1
    assert f"process {first.process.pid}, http://127.0.0.1:{clone.port}" in other.output

    assert first.kill(signal.SIGINT) == 0
    assert first.output.endswith("all stopped\n")
    assert "killed" not in first.output
    nothing_runs_in(clone.path)

    second = clone.up()
    assert clone.get("/health/ready") == {"starts": 2}
    assert json.loads((clone.var / "ports.json").read_text()) == ports
    assert second.kill(signal.SIGTERM) == 0
    nothing_runs_in(clone.path)


def test_killed_supervisor_leaves_nothing_and_can_be_started_again(clone: Clone) -> None:
    first = clone.up()
    first.kill(signal.SIGKILL)
    second = clone.up()  # at once, while the children of the first may still be stopping
    assert clone.get("/health/ready") == {"starts": 2}
    second.kill(signal.SIGKILL)
    nothing_runs_in(clone.path)


def test_dead_child_is_named_and_all_stop(clone: Clone) -> None:
    program = clone.up()
    os.kill(clone.pid("postgres"), signal.SIGKILL)
    assert program.process.wait(60) == 1
    assert "postgres has ended (killed by SIGKILL)" in program.output
    nothing_runs_in(clone.path)


def test_failing_step_is_named_with_its_error(clone: Clone) -> None:
    (clone.path / "wsgi.py").write_text("raise RuntimeError('broken app')")
    program = clone.up(wait_for="migrate has ended (exit code 1)")
    assert program.process.wait(60) == 1
    assert program.output.count("RuntimeError: broken app") == 2  # as it came, and in the end
    nothing_runs_in(clone.path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signal_while_it_starts(clone: Clone, number: signal.Signals) -> None:
    program = clone.up(wait_for="| upgraded", SLOW_UPGRADE="600")
    assert program.kill(number) == 0
    nothing_runs_in(clone.path)


def test_taken_port_names_its_setting(clone: Clone) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        for setting in ("PORT", "FLOWER_PORT"):
            program = clone.up(
                wait_for=f"Port {taken} is taken by another program: set {setting}",
                **{setting: taken},
            )
            assert program.process.wait(30) == 1
    program = clone.up(wait_for="PORT and FLOWER_PORT are both", PORT="5", FLOWER_PORT="5")
    assert program.process.wait(30) == 1
    nothing_runs_in(clone.path)


def test_servers_of_the_environment_are_used(clone: Clone, tmp_path: Path) -> None:
    with (
        embedded_postgres(tmp_path / "other-postgres", durable=False) as database,
        embedded_valkey(tmp_path / "other-valkey") as broker,
    ):
        ensure_owner(database, "secret")
        program = clone.up(
            DATABASE_URL=database.url("todo", "api", "secret"),
            OPS_DATABASE_URL=database.url("todo", "todo_ops", "secret"),
            REDIS_URL=broker.url,
            FLOWER_BASIC_AUTH="me:mine",
            METRICS_TOKEN="theirs",
            WORKER_METRICS_PORT="0",
            REFUSE_LOGIN="yes",
        )
        assert {path.stem for path in (clone.var / "log").glob("*.pid")} == NAMES - {
            "postgres",
            "valkey",
        }
        assert "using the database of DATABASE_URL" in program.output
        assert "using the broker of REDIS_URL" in program.output
        assert "could not log in as ada@acme.example" in program.output
        assert f"{clone.flower_port}  me  mine" in program.output
        assert f"{clone.port}/metrics  Bearer  theirs" in program.output
        assert program.output.count("/metrics") == 1
        assert "curl" not in program.output
        assert program.kill(signal.SIGTERM) == 0
        with closing(psycopg2.connect(database.url("todo"))) as connection:
            assert connection.status == psycopg2.extensions.STATUS_READY


def test_as_an_ordinary_user(clone: Clone) -> None:
    prefix = tuple(as_nobody(clone.path))
    program = clone.up(prefix=prefix)
    owners = {Path(f"/proc/{pid}").stat().st_uid for pid in processes_in(clone.path)}
    assert owners == {clone.var.stat().st_uid} != {0}
    assert program.kill(signal.SIGINT) == 0
    nothing_runs_in(clone.path)
    program = clone.up(wait_for="belongs to another user")  # root is not let into his var/
    assert program.process.wait(30) == 1


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "EXTRA", ("todo_no_such_package",))
    result = CliRunner().invoke(cli.up)
    assert result.exit_code == 1
    assert "extra `embedded` (todo_no_such_package missing here)" in result.output
