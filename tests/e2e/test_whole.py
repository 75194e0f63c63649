"""The whole installation as a newcomer starts it: real processes, real requests, real mail."""

from __future__ import annotations

import base64
import email
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.local.files import free_port
from tests.factories import PASSWORD, new_user, registration, wait_until

ROOT = Path(__file__).resolve().parents[2]
NEXT_REVISION = '''
"""A column that nobody needs."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("proof", sa.Text))


def downgrade() -> None:
    op.drop_column("tasks", "proof")
'''

pytestmark = pytest.mark.e2e


@dataclass
class Answer:
    status: int
    body: Any


@dataclass
class Installation:
    """A running `flask up` in a clone of its own."""

    root: Path
    port: int
    flower_port: int
    environment: dict[str, str]

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        return request(f"http://127.0.0.1:{self.port}{path}", method, body, headers)

    def flower(self, path: str) -> Any:
        secrets = json.loads((self.root / "var/secrets.json").read_text())
        login = base64.b64encode(f"admin:{secrets['flower']}".encode()).decode()
        url = f"http://127.0.0.1:{self.flower_port}{path}"
        return request(url, "GET", None, {"Authorization": f"Basic {login}"}).body

    def flask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
        )


def request(url: str, method: str, body: Any, headers: dict[str, str]) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers = {**headers, "Content-Type": "application/json"}
    message = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(message, timeout=30) as response:
            text, status = response.read(), response.status
    except urllib.error.HTTPError as error:
        with error:
            text, status = error.read(), error.code
    return Answer(status, json.loads(text) if text else None)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    root = tmp_path_factory.mktemp("clone") / "todo"
    ignored = shutil.ignore_patterns("var", ".*", "__pycache__", "tests", "bench")
    shutil.copytree(ROOT, root, ignore=ignored)
    kept = ("PATH", "HOME", "VIRTUAL_ENV", "COVERAGE_PROCESS_START", "COVERAGE_FILE")
    port, flower_port = free_port(), free_port()
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"PORT": str(port), "FLOWER_PORT": str(flower_port)}
    with (root / "up.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "up"],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(
                lambda: (
                    "Ctrl-C stops everything" in (root / "up.log").read_text()
                    or process.poll() is not None
                ),
                120,
            )
            assert process.poll() is None, (root / "up.log").read_text()
            yield Installation(root, port, flower_port, environment)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    assert process.returncode == 0
    leftovers = [pid for pid in _process_ids() if _runs_in(pid, root)]
    assert leftovers == []


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _runs_in(pid: int, root: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").resolve().is_relative_to(root)
    except OSError:
        return False


def register(installation: Installation, name: str) -> dict[str, str]:
    """Register a company and sign its first user in; gives the headers of that user."""
    address = f"boss@{name.lower()}.example.com"
    answer = installation.call("POST", "/auth/register", registration(name, address))
    assert answer.status == 201, answer.body
    slug = answer.body["tenant"]["slug"]
    login = installation.call(
        "POST", "/auth/login", {"email": address, "password": PASSWORD}, tenant=slug
    )
    return {"tenant": slug, "Authorization": f"Bearer {login.body['token']}"}


def test_two_companies_work_and_are_upgraded(installation: Installation) -> None:
    initech, hooli = register(installation, "Initech"), register(installation, "Hooli")

    roles = installation.call("GET", "/users/roles", **initech).body["items"]
    user_role = next(role["uuid"] for role in roles if role["name"] == "user")
    peter = new_user("peter@initech.example.com", user_role)
    assert installation.call("POST", "/users/", peter, **initech).status == 201

    todo_list = installation.call("POST", "/lists/", {"title": "TPS"}, **initech).body["uuid"]
    task = installation.call(
        "POST", "/tasks/", {"title": "Cover sheet", "list_uuid": todo_list}, **initech
    ).body["uuid"]
    assert installation.call("POST", f"/tasks/{task}/complete", **initech).status == 200

    emails = {user["email"] for user in installation.call("GET", "/users/", **hooli).body["items"]}
    assert emails == {"boss@hooli.example.com"}
    assert installation.call("GET", f"/tasks/{task}", **hooli).status == 404
    assert installation.call("GET", "/tasks/", **hooli).body["total"] == 0
    assert installation.call("GET", f"/tasks/{task}", **initech).body["status"] == "done"

    mail_dir = installation.root / "var/mail"
    wait_until(
        lambda: {"boss@initech.example.com", "boss@hooli.example.com"} <= recipients(mail_dir), 30
    )

    (head,) = sorted(
        path.name[:4] for path in (ROOT / "migrations/tenant/versions").glob("[0-9]*.py")
    )[-1:]
    revision = installation.root / "migrations/tenant/versions/9999_proof.py"
    revision.write_text(NEXT_REVISION.format(head=head))
    upgraded = installation.flask("tenants", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    assert "(upgrade to 9999): 4 tenants in 2 waves of 1, 3." in upgraded.stdout
    assert "(upgrade to 9999) succeeded." in upgraded.stdout
    assert "Nobody has to move" in installation.flask("tenants", "upgrade").stdout
    listed = json.loads(installation.flask("tenants", "list", "--json").stdout)
    assert {row["revision"] for row in listed} == {"9999"}

    for slug in (initech["tenant"], hooli["tenant"]):
        wait_until(lambda slug=slug: slug in shown_by_flower(installation), 30)

    assert installation.call("GET", f"/tasks/{task}", **initech).status == 200
    assert installation.call("POST", "/auth/logout", **initech).status == 204
    assert installation.call("GET", "/users/", **initech).status == 401
    assert installation.call("GET", "/users/", **hooli).status == 200


def recipients(mail_dir: Path) -> set[str]:
    """Who got a mail."""
    return {email.message_from_bytes(path.read_bytes())["To"] for path in mail_dir.glob("*.eml")}


def shown_by_flower(installation: Installation) -> str:
    """The results of the tasks that upgraded the tenants, as Flower's API shows them."""
    tasks = installation.flower("/api/tasks?taskname=ops.upgrades.tasks.work&state=SUCCESS")
    return "\n".join(task["result"] for task in tasks.values())
