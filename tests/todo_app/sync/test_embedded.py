"""What a thing shows of another changes with that: its readers hear of both."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import Company
from tests.todo_app.sync.kit import Replica
from tests.todo_app.todos.shapes import add_list, add_task


def assert_equals_a_full_read(replica: Replica) -> None:
    replica.pull()
    fresh = Replica(replica.person)
    fresh.pull()
    assert replica.things == fresh.things


@pytest.fixture
def home(acme: Company) -> str:
    return str(add_list(acme, "Home")["uuid"])


@pytest.fixture
def task(acme: Company, home: str) -> str:
    return str(add_task(acme, home, "Parent", assignee_uuids=[acme.uuid])["uuid"])


CHANGES: dict[str, list[tuple[str, str, Any]]] = {
    "title of the list": [("PATCH", "/lists/{home}", {"title": "Other"})],
    "symbol of the list": [("PATCH", "/lists/{home}", {"symbol": "OPS"})],
    "subtask": [
        ("POST", "/tasks/", {"title": "A", "list_uuid": "{home}", "parent_uuid": "{task}"})
    ],
    "subtask is done": [("POST", "/tasks/{child}/complete", None)],
    "subtask is changed to done": [("PATCH", "/tasks/{child}", {"status": "done"})],
    "subtask goes to another parent": [("PATCH", "/tasks/{child}", {"parent_uuid": "{other}"})],
    "subtask goes to another list": [("PATCH", "/tasks/{child}", {"list_uuid": "{away}"})],
    "subtask goes": [("DELETE", "/tasks/{child}", None)],
    "subtask comes back": [
        ("DELETE", "/tasks/{child}", None),
        ("POST", "/tasks/{child}/restore", None),
    ],
    "tag": [("PATCH", "/tags/{tag}", {"name": "Other"})],
    "tag goes": [("DELETE", "/tags/{tag}", None)],
    "section goes": [("DELETE", "/lists/{home}/sections/{section}", None)],
    "field": [("PATCH", "/lists/{home}/fields/{field}", {"name": "Danger"})],
    "field goes": [("DELETE", "/lists/{home}/fields/{field}", None)],
    "time": [
        ("POST", "/tasks/{task}/time-entries/start", {}),
        ("POST", "/tasks/{task}/time-entries/stop", {}),
    ],
    "list around becomes visible": [("PATCH", "/lists/{around}", {"visibility": "company"})],
    "list around becomes a secret": [
        ("PATCH", "/lists/{around}", {"visibility": "company"}),
        ("PATCH", "/lists/{around}", {"visibility": "private"}),
    ],
    "list around goes": [("DELETE", "/lists/{around}", None)],
    "list goes and comes": [
        ("DELETE", "/lists/{home}", None),
        ("POST", "/lists/{home}/restore", None),
    ],
    "reminder": [("POST", "/reminders/", {"task_uuid": "{task}", "seconds_before": 60})],
    "reminder follows": [
        ("POST", "/reminders/", {"task_uuid": "{task}", "seconds_before": 60}),
        ("PATCH", "/tasks/{task}", {"due_at": "2100-03-01T09:00:00+00:00"}),
        ("PATCH", "/tasks/{task}", {"due_at": None}),
    ],
    "reminder goes to the next of a series": [
        ("POST", "/reminders/", {"task_uuid": "{task}", "seconds_before": 60}),
        (
            "PATCH",
            "/tasks/{task}",
            {"due_at": "2100-03-01T09:00:00+00:00", "recurrence": "FREQ=DAILY"},
        ),
        ("POST", "/tasks/{task}/complete", None),
    ],
    "list is archived": [("POST", "/lists/{home}/archive", None)],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_shows_what_a_full_read_shows(
    acme: Company, home: str, task: str, change: str
) -> None:
    around = add_list(acme, "Around", visibility="private", kind="folder")["uuid"]
    tag = acme.post("/tags/", {"name": "tag"}).json["uuid"]
    ids = {
        "home": home,
        "task": task,
        "around": around,
        "inside": add_list(acme, "Inside", parent_uuid=around)["uuid"],
        "away": add_list(acme, "Away")["uuid"],
        "other": add_task(acme, home, "Other")["uuid"],
        "child": add_task(acme, home, "Child", parent_uuid=task)["uuid"],
        "tag": tag,
        "section": acme.post(f"/lists/{home}/sections", {"title": "Today"}).json["uuid"],
        "field": acme.post(f"/lists/{home}/fields", {"name": "Risk", "kind": "text"}).json["uuid"],
    }
    body = {"tag_uuids": [tag], "section_uuid": ids["section"], "fields": {"Risk": "low"}}
    assert acme.patch(f"/tasks/{task}", body).status_code == 200
    replicas = [Replica(acme), Replica(acme.add_person())]
    for replica in replicas:
        replica.pull()
    for method, path, values in CHANGES[change]:
        named = {
            name: value.format(**ids) if isinstance(value, str) else value
            for name, value in (values or {}).items()
        }
        answer = acme.call(method, path.format(**ids), json=named if values is not None else None)
        assert answer.status_code < 300, answer.text
        for replica in replicas:
            assert_equals_a_full_read(replica)
