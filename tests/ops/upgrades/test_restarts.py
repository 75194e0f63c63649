"""Broker and database are restarted in the middle of a run; one worker lives through all of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from ops.local.files import free_port
from ops.local.postgres import PostgresServer, embedded_postgres, ensure_owner
from ops.local.valkey import ValkeyServer, embedded_valkey
from tests.factories import wait_until
from tests.ops.fleet import Fleet, make_fleet
from tests.ops.upgrades.faulty import (
    BEFORE,
    FAULTY,
    age,
    done,
    forget,
    gate,
    last_run,
    ledger,
    let_beat_wake,
    plant,
    prepare,
    standing,
    wait_for_run,
)

UPGRADE = ("tenants", "upgrade", "--to", FAULTY, "--wave-size", "100")
PATIENT = {"UPGRADE_LOCK_TIMEOUT": "60"}
SLEEPING = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


class Server:
    """A server that can be stopped and started again where it was."""

    def __init__(
        self, run: Callable[[], AbstractContextManager[PostgresServer | ValkeyServer]]
    ) -> None:
        self._run = run
        self._stack = ExitStack()
        self.server: PostgresServer | ValkeyServer | None = None
        self.start()

    def start(self) -> None:
        """Start it with the data that is there, unless it runs."""
        if self.server is None:
            self.server = self._stack.enter_context(self._run())

    def stop(self) -> None:
        """End it in order."""
        self._stack.close()
        self.server = None

    def kill(self) -> None:
        """End it without a warning."""
        assert self.server
        os.kill(self.server.pid, signal.SIGKILL)
        self.stop()


class Servers:
    """A fleet of its own servers, and a worker."""

    def __init__(self, directory: Path, environment: dict[str, str], stack: ExitStack) -> None:
        self.broker_data = directory / "valkey"
        ports = free_port(), free_port()
        self.postgres = Server(
            lambda: embedded_postgres(directory / "postgres", ports[0], "secret")
        )
        stack.callback(self.postgres.stop)
        self.broker = Server(lambda: embedded_valkey(self.broker_data, ports[1]))
        stack.callback(self.broker.stop)
        postgres, broker = self.postgres.server, self.broker.server
        assert isinstance(postgres, PostgresServer)
        assert isinstance(broker, ValkeyServer)
        ensure_owner(postgres, "ops")
        env = {
            **environment,
            "OPS_DATABASE_URL": postgres.url("todo", "todo_ops", "ops"),
            "DATABASE_URL": postgres.url("todo", "todo_api", "api"),
            "REDIS_URL": broker.url,
            "SPARE_SCHEMAS": "0",
        }
        self.fleet: Fleet = stack.enter_context(make_fleet(directory, env))
        prepare(self.fleet)
        self.worker = stack.enter_context(self.fleet.worker())


@pytest.fixture(scope="module")
def all_servers(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Iterator[Servers]:
    """Servers for the tests of this module."""
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), environment, stack)


@pytest.fixture
def servers(all_servers: Servers) -> Iterator[Servers]:
    """The same, for one test."""
    yield all_servers
    all_servers.postgres.start()
    all_servers.broker.start()
    assert all_servers.worker.poll() is None, "the worker lives through it"
    forget(all_servers.fleet)


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_broker_is_restarted(servers: Servers, is_kept: bool) -> None:
    fleet = servers.fleet
    first, second = fleet.add_tenants(8), fleet.add_tenants(3)
    with gate(fleet, first[0], first[4]):
        started = fleet.flask(*UPGRADE, "--detach", *first, **PATIENT)
        assert started.returncode == 0, started.stderr
        # Both processes of the worker wait: the message of the second run stays in the queue.
        fleet.wait_for_waiting_lock(2)
        run = last_run(fleet).id
        fleet.flask(*UPGRADE, "--detach", *second)
        if is_kept:
            servers.broker.stop()
        else:
            servers.broker.kill()
            (servers.broker_data / "dump.rdb").unlink(missing_ok=True)
    # Workers need no broker for what they have begun.
    wait_until(lambda: done(fleet, run) == first, 30)
    assert ledger(fleet) == {"pending": second}
    assert standing(fleet) == dict.fromkeys(first, FAULTY) | dict.fromkeys(second, BEFORE)
    servers.broker.start()
    if is_kept:
        wait_for_run(fleet, "succeeded")
    else:
        age(fleet)
        let_beat_wake(fleet)
    assert ledger(fleet) == {"done": second}
    assert standing(fleet) == dict.fromkeys(first + second, FAULTY)


def stop_in_order(servers: Servers) -> None:
    """Restart the database; it ends all sessions first."""
    servers.postgres.stop()
    servers.postgres.start()


def kill_server(servers: Servers) -> None:
    """Restart the database after a crash."""
    servers.postgres.kill()
    servers.postgres.start()


def end_connections(servers: Servers) -> None:
    """Let the database end all connections of operations, as a failover does."""
    servers.fleet.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = 'todo_ops' AND pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize("restart", [stop_in_order, kill_server, end_connections])
def test_the_database_is_restarted(servers: Servers, restart: Callable[[Servers], None]) -> None:
    fleet = servers.fleet
    slugs = fleet.add_tenants(8)
    plant(fleet, "sleep", slugs[0])
    with fleet.start_flask(*UPGRADE) as program:
        wait_until(lambda: fleet.sql(SLEEPING), 30)
        restart(servers)
        fleet.sql("DELETE FROM public.faults")
        assert standing(fleet)[slugs[0]] == BEFORE
        age(fleet)
        let_beat_wake(fleet)
        _, error = program.communicate(timeout=60)
    assert program.returncode == 0, error
    assert standing(fleet) == dict.fromkeys(slugs, FAULTY)
    assert ledger(fleet) == {"done": slugs}
