"""What others may not see, or may see no more, reaches them on no other way either."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import inside
from tests.todo_app.lists.kit import add_private, share
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from tests.todo_app.webhooks.kit import add_webhook, messages_of
from todo_app.database import db, transaction
from todo_app.notifications import service as notifications
from todo_app.outbox import MAIL, OutboxMessage
from todo_app.reminders import sending as reminders
from todo_app.tenancy import operations


def mails_to(app: Flask, person: Person) -> str:
    """The texts of all mails to a person."""
    with app.app_context(), operations(), transaction():
        found = sa.select(OutboxMessage.payload["text"].astext).where(
            OutboxMessage.kind == MAIL, OutboxMessage.payload["to"].astext == person.email
        )
        return "\n".join(db.session.scalars(found))


def test_a_deleted_comment_is_in_no_timeline_and_no_mail(app: Flask, acme: Company) -> None:
    reader = acme.add_person()
    task = add_task(acme, add_list(acme, "Office")["uuid"])
    body = {"task_uuid": task["uuid"], "text": "The code is 1234"}
    comment = acme.post("/comments/", body).json["uuid"]
    changed = acme.patch(f"/comments/{comment}", {"text": "The code is 5678"})
    assert changed.status_code == 200
    assert acme.post("/comments/", {**body, "text": "Another one"}).status_code == 201
    assert acme.delete(f"/comments/{comment}").status_code == 204
    with inside(app, acme.slug):
        notifications.tell()
    assert "Another one" in mails_to(app, reader)
    assert "The code" not in mails_to(app, reader)
    timeline = reader.get(f"{path_of(task)}/activity")
    assert "Another one" in timeline.text
    assert "The code" not in timeline.text
    deleted = next(i for i in timeline.json["items"] if i["action"] == "comment.deleted")
    assert deleted["changes"] == {"comment_uuid": [comment, None]}


def test_what_a_task_was_in_a_private_list_stays_there(app: Flask, acme: Company) -> None:
    reader = acme.add_person()
    office, hidden = add_list(acme, "Office"), add_private(acme)
    task = add_task(acme, hidden["uuid"], title="Fire Grace", description="Salary 9999")
    add_webhook(acme)
    body = {"list_uuid": office["uuid"], "title": "Talk", "description": None, "status": "done"}
    assert acme.patch(path_of(task), body).status_code == 200
    told = str([message.payload for message in messages_of(app, acme)])
    told += reader.get(f"{path_of(task)}/activity").text
    assert "Talk" in told
    assert "Fire Grace" not in told
    assert "9999" not in told


def test_the_times_of_a_private_list_stay_there(acme: Company) -> None:
    reader = acme.add_person()
    office, hidden = add_list(acme, "Office"), add_private(acme)
    task = add_task(acme, hidden["uuid"])
    for status in ("in_progress", "paused", "in_progress"):
        assert acme.patch(path_of(task), {"status": status}).status_code == 200
    assert acme.post(f"{path_of(task)}/move", {"list_uuid": office["uuid"]}).status_code == 200
    assert "paused" in acme.get(f"{path_of(task)}/times").text
    times = reader.get(f"{path_of(task)}/times")
    assert times.status_code == 200
    assert "paused" not in times.text


def test_nobody_without_the_permission_is_reminded(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    task = add_task(acme, add_list(acme, "Office")["uuid"], title="Secret")
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert person.post("/reminders/", {"task_uuid": task["uuid"], "at": at}).status_code == 201
    role = acme.post("/permissions/", {"title": "Blind", "permissions": ["users:read"]}).json
    answer = acme.patch(f"/users/{person.uuid}", {"role_uuid": role["uuid"]})
    assert answer.status_code == 200, answer.text
    with inside(app, acme.slug):
        db.session.execute(sa.text("UPDATE reminders SET next_at = now()"))
        assert reminders.remind() == 1
    assert "Secret" not in mails_to(app, person)


WRITES: dict[str, Callable[[Person, dict[str, Any], str], Any]] = {
    "delete": lambda who, task, _: who.delete(path_of(task)),
    "change": lambda who, task, _: who.patch(path_of(task), {"title": "Mine"}),
    "comment": lambda who, task, _: who.post(
        "/comments/", {"task_uuid": task["uuid"], "text": "Mine"}
    ),
    "delete the comment": lambda who, _, comment: who.delete(f"/comments/{comment}"),
    "spend time": lambda who, task, _: who.post(f"{path_of(task)}/time-entries/start", {}),
    "bulk": lambda who, task, _: who.post(
        "/tasks/bulk", {"atomic": True, "operations": [{"kind": "delete", "uuid": task["uuid"]}]}
    ),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_waits_for_the_end_of_its_share_is_refused(
    app: Flask, acme: Company, write: str
) -> None:
    writer = acme.add_person()
    hidden = add_private(acme)
    share(acme, hidden, writer, "write")
    task = add_task(acme, hidden["uuid"])
    said = {"task_uuid": task["uuid"], "text": "Yes"}
    comment = writer.post("/comments/", said).json["uuid"]
    answers: list[Any] = []

    def work() -> None:
        answers.append(WRITES[write](replace(writer, client=app.test_client()), task, comment))

    thread = threading.Thread(target=work)
    with inside(app, acme.slug):
        # What `DELETE /lists/{uuid}/members/users/{uuid}` does, which ends when the write waits.
        db.session.execute(
            sa.text("SELECT FROM lists WHERE uuid = :uuid FOR UPDATE"), {"uuid": hidden["uuid"]}
        )
        db.session.execute(sa.text("DELETE FROM list_members"))
        thread.start()
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            waiting = sa.text(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND pid IN (SELECT pid FROM pg_locks WHERE granted"
                " AND relation = 'lists'::regclass)"
            )
            if db.session.scalar(waiting):
                break
            time.sleep(0.02)
    thread.join()
    # The task that a comment names is a value of its body.
    assert answers[0].status_code == (422 if write == "comment" else 404), answers[0].text
    about = {"task_uuid": task["uuid"]}
    comments = acme.get("/comments/", query_string=about).json["items"]
    assert [one["text"] for one in comments] == ["Yes"]
    assert acme.get(path_of(task)).json["title"] == task["title"]
