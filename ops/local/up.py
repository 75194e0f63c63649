"""`flask up`: everything on one machine, from nothing, with one command."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

from pyrage.x25519 import Identity

from ops.local.child import end_leftover, search_path
from ops.local.environment import published
from ops.local.errors import LocalError, Stopped
from ops.local.files import LOOPBACK, Ports, exclusive, free_port, is_free, private_dir
from ops.local.postgres import embedded_postgres, ensure_owner
from ops.local.probes import CeleryNodes, answers, log_in
from ops.local.report import Place, curl_line, show
from ops.local.secrets import Secrets, load_secrets
from ops.local.supervisor import Supervisor, stop_requests
from ops.local.valkey import embedded_valkey
from ops.roles import command

DATABASE = "todo"
API_ROLE = "todo_api"
DEMO = ["flask", "tenants", "demo", "--json"]


def run(root: Path, environ: Mapping[str, str], *, port: int, flower_port: int) -> None:
    """Start everything in the clone at `root`, and return when a signal has stopped it.

    Args:
        root: holds wsgi.py; data, logs and passwords go to its `var`.
        environ: settings; DATABASE_URL and REDIS_URL are used where they are set.
        port: of the API, on the loopback address like all others.
        flower_port: of Flower.

    Raises:
        LocalError: something did not start, or has ended; all is stopped again.
    """
    var = private_dir(root / "var")
    url = f"http://{LOOPBACK}:{port}"
    with (
        suppress(Stopped),
        exclusive(var / "up.lock", f"process {os.getpid()}, {url}"),
        stop_requests() as stop,
        ExitStack() as servers,
    ):
        log_dir = private_dir(var / "log")
        for pid_file in log_dir.glob("*.pid"):
            end_leftover(pid_file)
        _check_ports(port, flower_port)
        passwords = load_secrets(var / "secrets.json")
        env = _environment(environ, var, passwords, url, port, flower_port)
        supervisor = Supervisor(stop, log_dir=log_dir, cwd=root, env=env)
        servers.callback(supervisor.say, "all stopped")
        _database(servers, supervisor, var, passwords)
        stop.check()
        _broker(servers, supervisor, var, passwords)
        servers.enter_context(published(var / "environment.json", supervisor.env))
        # Entered after the servers, so that it stops its processes before they go.
        with supervisor:
            supervisor.run("migrate", command("migrate", supervisor.env))
            for role in ("api", "worker", "beat", "flower"):
                supervisor.start(role, command(role, supervisor.env))
            # While they load, which takes longer.
            demo = supervisor.run("demo", DEMO, {"DEMO_PASSWORD": passwords.demo})
            _wait(supervisor, port, flower_port)
            _tell(supervisor, json.loads(demo)["tenants"], url, port, flower_port)
            supervisor.watch()


def _check_ports(port: int, flower_port: int) -> None:
    if port == flower_port:
        raise LocalError(f"PORT and FLOWER_PORT are both {port}: set one of them to another port.")
    for setting, number in (("PORT", port), ("FLOWER_PORT", flower_port)):
        if not is_free(number):
            raise LocalError(
                f"Port {number} is taken by another program: set {setting} to another one."
            )


def _environment(
    environ: Mapping[str, str],
    var: Path,
    passwords: Secrets,
    url: str,
    port: int,
    flower_port: int,
) -> dict[str, str]:
    """What the processes get: the caller's settings, and ours where they have none."""
    beat_dir = private_dir(var / "beat")
    defaults = {
        "PUBLIC_URL": url,
        "LOG_FORMAT": "console",
        "FLOWER_BASIC_AUTH": f"admin:{passwords.flower}",
        "METRICS_TOKEN": passwords.metrics,
        "WORKER_METRICS_PORT": str(_metrics_port(var)),
        "BEAT_SCHEDULE_FILE": str(beat_dir / "schedule"),
        "ATTACHMENTS_URL": (var / "attachments").as_uri(),
        "BACKUP_URL": (var / "backups").as_uri(),
        "SECRETS_KEYS": passwords.secrets_key,
        **_backup_keys(environ, passwords),
    }
    given = {name: value for name, value in environ.items() if value}
    return {
        **defaults,
        **given,
        "PATH": search_path(),
        "FLASK_APP": "wsgi",
        "PYTHONUNBUFFERED": "1",
        "BIND": f"{LOOPBACK}:{port}",
        "FLOWER_ADDRESS": LOOPBACK,
        "FLOWER_PORT": str(flower_port),
        "WORKER_METRICS_ADDRESS": LOOPBACK,
    }


def _backup_keys(environ: Mapping[str, str], passwords: Secrets) -> dict[str, str]:
    """Both keys of our own; the caller's recipients would not go with it."""
    if environ.get("BACKUP_RECIPIENTS"):
        return {}
    identity = passwords.backup_identity
    recipient = Identity.from_str(identity).to_public()
    return {"BACKUP_RECIPIENTS": str(recipient), "BACKUP_IDENTITY": identity}


def _metrics_port(var: Path) -> int:
    ports = Ports(var / "ports.json")
    port = ports.recall("worker-metrics") or free_port()
    ports.remember("worker-metrics", port)
    return port


def _database(servers: ExitStack, supervisor: Supervisor, var: Path, passwords: Secrets) -> None:
    env = supervisor.env
    if "DATABASE_URL" in env:
        supervisor.say("using the database of DATABASE_URL")
        return
    ports = Ports(var / "ports.json")
    server = servers.enter_context(
        embedded_postgres(
            var / "postgres",
            ports.recall("postgres"),
            passwords.superuser,
            log_dir=var / "log",
        )
    )
    ports.remember("postgres", server.port)
    supervisor.adopt(server.child)
    ensure_owner(server, passwords.ops_role, database=DATABASE)
    env["DATABASE_URL"] = server.url(DATABASE, API_ROLE, passwords.api_role)
    env["OPS_DATABASE_URL"] = server.url(DATABASE, "todo_ops", passwords.ops_role)
    env.setdefault("TENANT_ROLES", "true")
    supervisor.say(f"PostgreSQL on port {server.port}")


def _broker(servers: ExitStack, supervisor: Supervisor, var: Path, passwords: Secrets) -> None:
    env = supervisor.env
    if "REDIS_URL" in env:
        supervisor.say("using the broker of REDIS_URL")
        return
    ports = Ports(var / "ports.json")
    server = servers.enter_context(
        embedded_valkey(
            var / "valkey", ports.recall("valkey"), passwords.valkey, log_dir=var / "log"
        )
    )
    ports.remember("valkey", server.port)
    supervisor.adopt(server.child)
    env["REDIS_URL"] = server.url
    supervisor.say(f"Valkey on port {server.port}")


def _wait(supervisor: Supervisor, port: int, flower_port: int) -> None:
    login = supervisor.env["FLOWER_BASIC_AUTH"]
    with closing(CeleryNodes(supervisor.env["REDIS_URL"])) as nodes:
        supervisor.wait_until("The API", lambda: answers(port, "/health/ready"))
        supervisor.wait_until("The worker", nodes.worker)
        supervisor.wait_until("beat", nodes.beat)
        supervisor.wait_until("Flower", lambda: answers(flower_port, "/healthcheck", login))


def _tell(
    supervisor: Supervisor, tenants: list[dict[str, Any]], url: str, port: int, flower_port: int
) -> None:
    env = supervisor.env
    flower_user, _, flower_password = env["FLOWER_BASIC_AUTH"].partition(":")
    metrics = [f"{url}/metrics"]
    if env["WORKER_METRICS_PORT"] != "0":
        metrics.append(f"http://{LOOPBACK}:{env['WORKER_METRICS_PORT']}/metrics")
    places = [
        Place("API", url),
        Place("documentation", f"{url}/docs"),
        Place("Flower", f"http://{LOOPBACK}:{flower_port}", flower_user, flower_password),
        *(Place("metrics", where, "Bearer", env["METRICS_TOKEN"]) for where in metrics),
        *(
            Place(f"tenant {tenant['slug']}", tenant["name"], tenant["email"], tenant["password"])
            for tenant in tenants
        ),
    ]
    curl = None
    if tenants:
        first = tenants[0]
        token = log_in(port, first["slug"], first["email"], first["password"])
        if token:
            curl = curl_line(url, first["slug"], token)
        else:
            supervisor.say(f"could not log in as {first['email']}: was its password changed?")
    show(places, curl)
