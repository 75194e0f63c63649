"""The image and its compose file, without a Docker engine: read, linted, and run by hand."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from ops.local.child import Child, find_program, search_path
from ops.local.files import free_port
from ops.local.postgres import PostgresServer, embedded_postgres
from ops.local.valkey import binary
from ops.roles import DEFAULTS, ROLES
from todo_app.config import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGE = DOCKERFILE.rpartition("\nFROM ")[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
APP = {name: service for name, service in SERVICES.items() if "build" in service}
EXAMPLE = dict(
    re.findall(r"^#?([A-Z][A-Z_]*)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
)
VARIABLE = re.compile(r"\$\{(\w+)(:[-?])([^}]*)\}")
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH|KEY")

# Read by gunicorn.conf.py and by Flower.
NOT_OURS = {"BIND", "WEB_CONCURRENCY", "FLOWER_BASIC_AUTH"}


def image_settings() -> dict[str, str]:
    """The ENV of the Dockerfile's last stage."""
    block = re.search(r"^ENV ((?:.*\\\n)*.*)$", STAGE, re.MULTILINE)
    assert block
    return dict(word.split("=", 1) for word in block[1].replace("\\\n", " ").split())


def copied() -> list[str]:
    """What the last stage takes from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", STAGE, re.MULTILINE)
    return [source.rstrip("/") for line in lines for source in line.split()[:-1]]


# --- Dockerfile ------------------------------------------------------------------------------


def test_dockerfile_has_no_lint() -> None:
    hadolint = find_program("hadolint")
    assert hadolint
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_image_is_not_root_and_has_only_locked_packages() -> None:
    users = re.findall(r"^USER (\S+)$", STAGE, re.MULTILINE)
    assert [int(user) > 0 for user in users] == [True]
    assert re.findall(r"requirements/(\w+)\.txt", DOCKERFILE) == ["production"]
    assert "--require-hashes" in DOCKERFILE
    assert all(":" in image for image in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))


def test_image_settings_are_known_and_no_secrets() -> None:
    names = set(image_settings())
    assert names <= known_settings() | {"PATH", "FLASK_APP", "PYTHONUNBUFFERED"}
    assert not any(SECRET.search(name) for name in names)
    assert "ARG " not in DOCKERFILE


def test_build_context_is_what_the_dockerfile_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert allowed == {*copied(), "requirements/production.txt"}


# --- docker-compose.yml ----------------------------------------------------------------------


def known_settings() -> set[str]:
    return {field.name.upper() for field in fields(Settings)} | set(DEFAULTS) | NOT_OURS


def test_services_are_the_roles_of_the_entry_point() -> None:
    assert {name: service["command"] for name, service in APP.items()} == {
        role: [role] for role in ROLES
    }


def test_migrate_comes_first() -> None:
    for name, service in APP.items():
        needs = {other: need["condition"] for other, need in service["depends_on"].items()}
        expected = {"migrate": "service_completed_successfully"} if name != "migrate" else {}
        assert expected.items() <= needs.items(), name
        for server, setting in (("postgres", "DATABASE_URL"), ("valkey", "REDIS_URL")):
            assert (needs.get(server) == "service_healthy") == (setting in service["environment"])
            assert "healthcheck" in SERVICES[server]


def test_every_variable_is_explained_and_every_explained_one_used() -> None:
    assert {name for name, _, _ in VARIABLE.findall(COMPOSE_TEXT)} == set(EXAMPLE)
    # None in another form, which would be empty where it is not set.
    assert COMPOSE_TEXT.count("$") == len(VARIABLE.findall(COMPOSE_TEXT))


def test_secrets_have_no_default() -> None:
    for name, kind, text in VARIABLE.findall(COMPOSE_TEXT):
        if SECRET.search(name):
            assert kind == ":?", name
            assert text, name
            assert EXAMPLE[name] == "", name
        else:
            assert kind == ":-", name


def test_settings_of_the_services_exist() -> None:
    for name, service in APP.items():
        assert set(service["environment"]) <= known_settings(), name


def test_roles_get_no_more_than_they_need() -> None:
    databases = {
        name: {key for key in service["environment"] if key.endswith("DATABASE_URL")}
        for name, service in APP.items()
    }
    both = {"DATABASE_URL", "OPS_DATABASE_URL"}
    assert databases == {
        "migrate": both,
        "api": {"DATABASE_URL"},
        "worker": both,
        "beat": set(),
        "flower": set(),
    }
    for service in APP.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_no_command_line_holds_a_secret() -> None:
    for service in SERVICES.values():
        words = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
        assert not any("$" in word for word in words)


# --- the entry point -------------------------------------------------------------------------


def entry_point(
    *arguments: str, app: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the entry point of the files in `app`."""
    return subprocess.run(
        [sys.executable, app / "docker-entrypoint", *arguments],
        cwd=app,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_names_the_roles() -> None:
    done = entry_point("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n  {role} " in done.stdout for role in [*ROLES, "health"])


@pytest.mark.parametrize("arguments", [[], ["web"], ["api", "worker"], ["sh", "-c", "true"]])
def test_unknown_role_is_refused_with_the_known_ones(arguments: list[str]) -> None:
    done = entry_point(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert (" ".join(arguments) or "no argument") in done.stderr
    assert all(f"\n  {role} " in done.stderr for role in ROLES)


def test_health_of_an_unknown_command_is_not_judged(tmp_path: Path) -> None:
    assert entry_point("health", env={"TMPDIR": str(tmp_path)}).returncode == 0


@pytest.mark.parametrize("role", ["api", "worker", "beat", "flower"])
def test_health_without_a_process(role: str, tmp_path: Path) -> None:
    (tmp_path / "role").write_text(role)
    port = free_port()
    settings = {
        "TMPDIR": str(tmp_path),
        "BIND": f"0.0.0.0:{port}",
        "FLOWER_PORT": str(port),
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
    }
    done = entry_point("health", env=settings)
    assert done.returncode == 1
    assert "unhealthy: " in done.stderr
    assert "Traceback" not in done.stderr


# --- all of it, as compose would start it ----------------------------------------------------


@pytest.mark.e2e
def test_the_image_runs_as_composed(tmp_path: Path) -> None:
    app = tmp_path / "app"
    for source in copied():
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        (app / source).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / source, app / source)
    values = {name: "s3cret" for name in EXAMPLE if SECRET.search(name)}
    values["SECRETS_KEYS"] = Fernet.generate_key().decode()
    values["FLOWER_BASIC_AUTH"] = "admin:s3cret"
    with (
        embedded_postgres(tmp_path / "postgres", durable=False) as postgres,
        composed_valkey(tmp_path, values) as valkey_port,
        ExitStack() as processes,
    ):
        make_ops_role(postgres, values)
        addresses = {
            "@postgres:5432": f"@127.0.0.1:{postgres.port}",
            "@valkey:6379": f"@127.0.0.1:{valkey_port}",
        }
        settings = {role: environment(role, values, addresses, tmp_path) for role in ROLES}
        migrated = entry_point("migrate", app=app, env=settings["migrate"])
        assert migrated.returncode == 0, migrated.stderr
        running = {
            role: Child(
                role,
                [sys.executable, str(app / "docker-entrypoint"), role],
                log_dir=tmp_path,
                env=settings[role],
                cwd=app,
            )
            for role in ROLES
            if role != "migrate"
        }
        for child in running.values():
            processes.callback(child.stop)
        for child in running.values():  # Called before the callbacks above, so all stop at once.
            processes.callback(child.ask_to_stop)
        for role, child in running.items():
            wait_until_healthy(role, child, app, settings[role])
        port = settings["api"]["BIND"].rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
            assert answer.status == 200


def interpolate(text: str, values: dict[str, str]) -> str:
    """What compose makes of `text`."""
    return VARIABLE.sub(lambda match: values.get(match[1]) or match[3], text)


def environment(
    role: str, values: dict[str, str], addresses: dict[str, str], tmp_path: Path
) -> dict[str, str]:
    """The environment that compose gives to `role`, with the addresses of this test."""
    directory = tmp_path / f"{role}.tmp"
    directory.mkdir()
    composed = {
        name: interpolate(value, values) for name, value in APP[role]["environment"].items()
    }
    for inside, outside in addresses.items():
        composed = {name: value.replace(inside, outside) for name, value in composed.items()}
    return {
        **image_settings(),
        **composed,
        "PATH": search_path(),
        "TMPDIR": str(directory),
        "BIND": f"127.0.0.1:{free_port()}",
        "WEB_CONCURRENCY": "1",
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(free_port()),
        "BEAT_SCHEDULE_FILE": str(directory / "schedule"),
        "WORKER_METRICS_ADDRESS": "127.0.0.1",
        "WORKER_METRICS_PORT": str(free_port()),
    }


def make_ops_role(postgres: PostgresServer, values: dict[str, str]) -> None:
    """Run the script that the PostgreSQL image would."""
    subprocess.run(
        [postgres.bin_dir / "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", postgres.url()],
        input=COMPOSE["configs"]["ops-role"]["content"],
        env={**os.environ, "OPS_DB_PASSWORD": values["OPS_DB_PASSWORD"]},
        text=True,
        check=True,
    )


@contextmanager
def composed_valkey(tmp_path: Path, values: dict[str, str]) -> Iterator[int]:
    """Run Valkey with the configuration of the compose file; yields its port."""
    port = free_port()
    config = tmp_path / "valkey.conf"
    content = interpolate(COMPOSE["configs"]["valkey"]["content"], values)
    config.write_text(f"{content}\nport {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    server = Child("valkey", [str(binary()), str(config)], log_dir=tmp_path, env={})
    try:
        yield port
    finally:
        server.stop()


def wait_until_healthy(role: str, child: Child, app: Path, settings: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while (done := entry_point("health", app=app, env=settings)).returncode != 0:
        assert child.exit_code() is None, child.tail()
        assert time.monotonic() < deadline, f"{role}: {done.stderr}\n{child.tail()}"
        time.sleep(0.2)
