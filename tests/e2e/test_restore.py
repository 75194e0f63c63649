"""One customer gets its data back, while another one goes on working."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime

import pytest

from tests.e2e.installation import Installation, register

pytestmark = pytest.mark.e2e


class Writer(threading.Thread):
    """Somebody who adds one task after the other until told to stop."""

    def __init__(self, installation: Installation, headers: dict[str, str], todo_list: str) -> None:
        super().__init__(daemon=True)
        self._installation = installation
        self._headers = headers
        self._list = todo_list
        self._ended = threading.Event()
        self.written: set[str] = set()
        self.refused: list[object] = []

    def run(self) -> None:
        """Write."""
        number = 0
        while not self._ended.is_set():
            number += 1
            task = {"title": f"Meanwhile {number}", "list_uuid": self._list}
            answer = self._installation.call("POST", "/tasks/", task, **self._headers)
            if answer.status == 201:
                self.written.add(answer.body["uuid"])
            else:
                self.refused.append(answer)

    def stop(self) -> None:
        """End, and wait for it."""
        self._ended.set()
        self.join(30)


def new_list(installation: Installation, headers: dict[str, str], tasks: int) -> str:
    todo_list = installation.call("POST", "/lists/", {"title": "All"}, **headers).body["uuid"]
    for number in range(tasks):
        task = {"title": f"Task {number}", "list_uuid": todo_list}
        assert installation.call("POST", "/tasks/", task, **headers).status == 201
    return str(todo_list)


def tasks_of(installation: Installation, headers: dict[str, str]) -> dict[str, str]:
    """Title by UUID."""
    found: dict[str, str] = {}
    page = pages = 1
    while page <= pages:
        path = f"/tasks/?size=100&page={page}"
        body = installation.call("GET", path, **headers).body
        found |= {task["uuid"]: task["title"] for task in body["items"]}
        page, pages = page + 1, body["pages"]
    return found


def test_deleted_tasks_come_back_and_nobody_else_notices(installation: Installation) -> None:
    initech, hooli = register(installation, "Initech"), register(installation, "Hooli")
    new_list(installation, initech, 20)
    other_list = new_list(installation, hooli, 1)
    before = tasks_of(installation, initech)

    created = installation.flask("backups", "create", "--all")
    assert created.returncode == 0, created.stderr
    listed = json.loads(installation.flask("backups", "list", "--json").stdout)
    assert (listed[0]["state"], listed[0]["archives"]) == ("complete", 4)

    for uuid in list(before)[::2]:
        assert installation.call("DELETE", f"/tasks/{uuid}", **initech).status == 204
    assert len(tasks_of(installation, initech)) == 10

    tenant = ["--tenant", initech["tenant"]]
    would = installation.flask("backups", "restore", *tenant, "--dry-run", "--json")
    (preview,) = json.loads(would.stdout)
    (tasks,) = (row for row in preview["tables"] if row["table"] == "tasks")
    # The trash counts: what is in it can still be brought back.
    assert (tasks["archived"], tasks["live"]) == (20, 20)
    assert len(tasks_of(installation, initech)) == 10

    writer = Writer(installation, hooli, other_list)
    writer.start()
    today = datetime.now(UTC).date().isoformat()
    restored = installation.flask("backups", "restore", *tenant, "--date", today)
    writer.stop()
    assert restored.returncode == 0, restored.stderr
    assert tasks_of(installation, initech) == before
    assert writer.refused == []
    assert writer.written
    assert writer.written < set(tasks_of(installation, hooli))

    undone = installation.flask("backups", "undo", initech["tenant"])
    assert undone.returncode == 0, undone.stderr
    assert len(tasks_of(installation, initech)) == 10

    drilled = installation.flask("backups", "drill", *tenant)
    assert drilled.returncode == 0, drilled.stderr
    listed = json.loads(installation.flask("backups", "list", "--json").stdout)
    assert listed[0]["last_proven_restore"] is not None
