"""What had to wait for somebody else sees what they have left behind, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import Company, Person
from tests.todo_app.helpers import at_once, inside, statuses
from tests.todo_app.lists.kit import add_private, share
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from tests.todo_app.transfer.kit import send
from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.shares.service import put_user
from todo_app.tags.service import delete_tag
from todo_app.tenancy import CurrentUser
from todo_app.todos import service

IS_WAITED_FOR = sa.text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted"
    " AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
)


def after(
    app: Flask,
    company: Company,
    change: Callable[[CurrentUser], Any],
    person: Person,
    send: Callable[[Person], TestResponse],
) -> TestResponse:
    """What is answered to a person who waits for the end of a company's change."""
    answers: list[TestResponse] = []
    own = replace(person, client=app.test_client())
    thread = threading.Thread(target=lambda: answers.append(send(own)))
    with inside(app, company.slug):
        boss = db.session.scalars(sa.select(User).where(User.email == company.email)).one()
        names = (boss.first_name, boss.last_name, "en-US", "master_admin")
        change(CurrentUser(boss.id, boss.uuid, *names, [], 0, None, 0, 0, False))
        thread.start()
        ends = time.monotonic() + 20
        while not db.session.scalar(IS_WAITED_FOR):
            assert time.monotonic() < ends, "nobody waits"
            time.sleep(0.02)
    thread.join()
    return answers[0]


def test_a_new_task_is_last_though_many_came_just_before(app: Flask, acme: Company) -> None:
    home = add_list(acme)["uuid"]
    add_task(acme, home, "Old")

    def add_some(actor: CurrentUser) -> None:
        for number in (1, 2, 3):
            service.add(actor, {"list_uuid": uuid.UUID(home), "title": f"New {number}"})

    body = {"list_uuid": home, "title": "Last"}
    answer = after(app, acme, add_some, acme, lambda own: own.post("/tasks/", body))
    assert answer.status_code == 201
    items = acme.get(f"/tasks/?list_uuid={home}&field=position").json["items"]
    assert [item["title"] for item in items] == ["Old", "New 1", "New 2", "New 3", "Last"]


def test_who_may_only_read_by_now_adds_nothing(app: Flask, acme: Company) -> None:
    writer, hidden = acme.add_person(), add_private(acme)
    share(acme, hidden, writer, "write")

    def lower(actor: CurrentUser) -> None:
        put_user(actor, uuid.UUID(hidden["uuid"]), uuid.UUID(writer.uuid), "read")

    body = {"list_uuid": hidden["uuid"], "title": "Late"}
    answer = after(app, acme, lower, writer, lambda own: own.post("/tasks/", body))
    assert answer.status_code == 403


def test_a_tag_that_is_deleted_during_an_import_is_made_again(app: Flask, acme: Company) -> None:
    home = add_list(acme)["uuid"]
    tag = acme.post("/tags", {"name": "urgent"}).json["uuid"]
    rows = (["title", "tags"], ["A", "urgent"])
    answer = after(
        app,
        acme,
        lambda _: delete_tag(uuid.UUID(tag), None),
        acme,
        lambda own: send(own, "tasks", *rows, list_uuid=home),
    )
    assert answer.status_code == 201


def test_a_relation_is_taken_away_once_from_both_sides(app: Flask, acme: Company) -> None:
    home = add_list(acme)["uuid"]
    for _ in range(15):
        ends = [add_task(acme, home) for _ in range(2)]
        body = {"kind": "blocks", "other_uuid": ends[1]["uuid"]}
        made = acme.post(f"{path_of(ends[0])}/relations", body).json["uuid"]
        paths = [f"{path_of(task)}/relations/{made}" for task in ends]
        answers = at_once(app, *[(acme, lambda own, path=path: own.delete(path)) for path in paths])
        assert statuses(answers) == [204, 404]


@pytest.mark.parametrize("kind", ["create_section", "create"])
def test_pushes_into_the_same_lists_do_not_lock_each_other_out(
    app: Flask, acme: Company, kind: str
) -> None:
    lists = [add_list(acme, title)["uuid"] for title in "AB"]

    def push(order: list[str]) -> tuple[Person, Callable[[Person], TestResponse]]:
        wanted = [one for one in order for _ in range(10)]
        made = [{"kind": kind, "values": {"list_uuid": one, "title": "S"}} for one in wanted]
        return acme, lambda own: own.post("/sync", {"operations": made})

    for _ in range(5):
        assert statuses(at_once(app, push(lists), push(lists[::-1]))) == [200, 200]
