"""Statuses: where a task may go from each, and how long it had them."""

from __future__ import annotations

import uuid
from itertools import pairwise

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once, inside
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from todo_app.activity.models import Activity
from todo_app.database import db
from todo_app.todos.models import Task
from todo_app.todos.workflow import STATUSES, TRANSITIONS


@pytest.fixture(scope="module")
def home(company: Company) -> str:
    uuid: str = add_list(company, "Home")["uuid"]
    return uuid


@pytest.mark.parametrize("old", STATUSES)
def test_only_allowed_changes_are_made(company: Company, home: str, old: str) -> None:
    for new in STATUSES:
        task = add_task(company, home, status=old)
        answer = company.patch(path_of(task), {"status": new, "title": "Changed"})
        if new == old or new in TRANSITIONS[old]:
            assert (answer.status_code, answer.json["status"]) == (200, new)
            assert (answer.json["completed_at"] is not None) == (new == "done")
        else:
            problem = assert_problem(answer, 409)
            assert problem["type"] == "urn:todo:problem:status-transition"
            assert company.get(path_of(task)).json == task


def test_what_may_not_be_completed(company: Company, home: str) -> None:
    task = add_task(company, home, status="rejected")
    assert_problem(company.post(f"{path_of(task)}/complete"), 409)
    assert company.post(f"{path_of(task)}/reopen").json["status"] == "rejected"


def test_the_times_in_each_status(company: Company, home: str) -> None:
    task = add_task(company, home)
    way = ["new", "in_progress", "paused", "in_progress", "done"]
    for status in way[1:]:
        company.patch(path_of(task), {"status": status, "priority": 3})
    times = company.get(f"{path_of(task)}/times").json
    assert [entry["status"] for entry in times["entries"]] == way
    moments = [entry["at"] for entry in times["entries"]]
    assert all(one <= other for one, other in pairwise(moments))
    assert moments[0] == task["created_at"]
    assert set(times["seconds"]) == set(way)
    assert all(seconds >= 0 for seconds in times["seconds"].values())


def test_a_task_without_a_timeline_has_its_status_since_it_was_made(
    app: Flask, company: Company, home: str
) -> None:
    task = add_task(company, home, status="paused")
    with inside(app, company.slug):
        key = sa.select(Task.id).where(Task.uuid == uuid.UUID(task["uuid"]))
        db.session.execute(sa.delete(Activity).where(Activity.task_id.in_(key)))
    times = company.get(f"{path_of(task)}/times").json
    assert times["entries"] == [{"status": "paused", "at": task["created_at"]}]
    company.patch(path_of(task), {"status": "assigned"})
    times = company.get(f"{path_of(task)}/times").json
    assert [entry["status"] for entry in times["entries"]] == ["paused", "assigned"]


def test_times_of_what_cannot_be_seen(company: Company, stranger: Company, home: str) -> None:
    task = add_task(company, home)
    assert_problem(stranger.get(f"{path_of(task)}/times"), 404)
    company.delete(path_of(task))
    assert_problem(company.get(f"{path_of(task)}/times"), 404)


def test_one_of_two_changes_that_exclude_each_other_is_made(
    app: Flask, company: Company, home: str
) -> None:
    task = add_task(company, home)
    answers = at_once(
        app,
        (company, lambda own: own.patch(path_of(task), {"status": "rejected"})),
        (company, lambda own: own.patch(path_of(task), {"status": "done"})),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    way = [e["status"] for e in company.get(f"{path_of(task)}/times").json["entries"]]
    assert way == ["new", company.get(path_of(task)).json["status"]]
