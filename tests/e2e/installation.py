"""A running `flask up` in a clone of its own, as a newcomer starts it."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from ops.local.files import free_port
from tests.factories import PASSWORD, TOKEN, registration, wait_until

ROOT = Path(__file__).resolve().parents[2]


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


@contextmanager
def running(directory: Path) -> Iterator[Installation]:
    """Start it, and see that nothing of it is left in the end."""
    root = directory / "todo"
    ignored = shutil.ignore_patterns("var", ".*", "*.pyc.*", "tests", "bench")
    shutil.copytree(ROOT, root, ignore=ignored)
    kept = ("PATH", "HOME", "VIRTUAL_ENV")
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
    """Register a company and confirm its first user's address; gives the headers of that user."""
    address = f"boss@{name.lower()}.example.com"
    answer = installation.call("POST", "/auth/register", registration(name, address))
    assert answer.status == 201, answer.body
    slug = answer.body["tenant"]["slug"]
    wait_until(lambda: _mails_to(installation, address), 60)
    text = _mails_to(installation, address)[-1].get_content()
    body = {"token": TOKEN.findall(text)[0], "password": PASSWORD}
    session = installation.call("POST", "/auth/first_run", body)
    assert session.status == 200, session.body
    return {"tenant": slug, "Authorization": f"Bearer {session.body['token']}"}


def _mails_to(installation: Installation, address: str) -> list[EmailMessage]:
    """Mails to an address, which are files where no server is set; the newest last."""
    files = sorted((installation.root / "var/mail").glob("*.eml"))
    mails = [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files
    ]
    return [mail for mail in mails if mail["To"] == address]
