"""A hundred clients at the same task: nothing is lost, and the stale ones are told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import at_once, inside, version
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from todo_app.activity.models import Activity
from todo_app.database import db
from todo_app.todos.models import Task

CLIENTS = 100


@pytest.fixture(scope="module")
def home(company: Company) -> str:
    uuid: str = add_list(company, "Home")["uuid"]
    return uuid


def until_it_takes(call: Any) -> Any:
    """Repeat what the server was too busy for, as clients do."""
    for _ in range(50):
        answer = call()
        if answer.status_code != 503:
            return answer
    raise AssertionError("the server was always too busy")


def test_of_a_hundred_stale_clients_one_is_right(app: Flask, company: Company, home: str) -> None:
    path = path_of(add_task(company, home))
    headers = {"If-Match": company.get(path).headers["ETag"]}
    answers = at_once(
        app,
        *[
            (
                company,
                lambda own, n=n: until_it_takes(
                    lambda: own.patch(path, {"title": f"{n}"}, headers=headers)
                ),
            )
            for n in range(CLIENTS)
        ],
    )
    codes = [answer.status_code for answer in answers]
    assert (codes.count(200), codes.count(412)) == (1, CLIENTS - 1)
    winner = answers[codes.index(200)].get_json()
    shown = company.get(path)
    assert (shown.json, version(shown)) == (winner, 2)


def test_a_hundred_writers_who_read_first_lose_no_update(
    app: Flask, company: Company, home: str
) -> None:
    path = path_of(add_task(company, home, estimate_seconds=0))

    def count_on(_: int) -> None:
        own = replace(company, client=app.test_client())
        while True:
            shown = until_it_takes(lambda: own.get(path))
            body = {"estimate_seconds": shown.json["estimate_seconds"] + 1}
            headers = {"If-Match": shown.headers["ETag"]}
            answer = until_it_takes(lambda: own.patch(path, body, headers=headers))  # noqa: B023
            if answer.status_code == 200:
                return
            assert answer.status_code == 412

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_on, range(CLIENTS)))
    shown = company.get(path)
    assert (shown.json["estimate_seconds"], version(shown)) == (CLIENTS, CLIENTS + 1)
    with inside(app, company.slug):
        key = sa.select(Task.id).where(Task.uuid == shown.json["uuid"]).scalar_subquery()
        told = db.session.scalars(
            sa.select(Activity.changes["estimate_seconds"])
            .where(Activity.task_id == key, Activity.action == "task.changed")
            .order_by(Activity.id)
        ).all()
    assert told == [[number, number + 1] for number in range(CLIENTS)]


def test_a_hundred_writers_of_one_list_all_get_in(app: Flask, company: Company) -> None:
    crowded = add_list(company, "Crowded", symbol="CROWD")["uuid"]
    body = {"list_uuid": crowded, "title": "One of many"}
    call = (company, lambda own: until_it_takes(lambda: own.post("/tasks/", body)))
    answers = at_once(app, *[call] * CLIENTS)
    assert {answer.status_code for answer in answers} == {201}
    numbers = {int(answer.get_json()["symbol"].rpartition("-")[2]) for answer in answers}
    assert numbers == set(range(1, CLIENTS + 1))
    assert company.get(f"/tasks/?list_uuid={crowded}").json["total"] == CLIENTS
