"""`/tasks/{uuid}/time-entries`, and the clock of each user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import BAD_QUERIES, assert_problem, at_once, statuses, version
from tests.todo_app.lists.kit import share
from tests.todo_app.todos.shapes import add_list, add_task, path_of

SPENT = {"started_at": "2026-03-01T09:00:00Z", "ended_at": "2026-03-01T10:15:00Z"}


@pytest.fixture(scope="module")
def home(company: Company) -> str:
    uuid: str = add_list(company, "Home")["uuid"]
    return uuid


@pytest.fixture
def path(company: Company, home: str) -> str:
    """The entries of a fresh task."""
    return f"{path_of(add_task(company, home))}/time-entries"


def entries(person: Person, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = person.get(path).json["items"]
    return items


def tracked(company: Company, path: str) -> int:
    seconds: int = company.get(path.removesuffix("/time-entries")).json["tracked_seconds"]
    return seconds


def test_time_is_added_changed_and_deleted(company: Company, path: str) -> None:
    answer = company.post(path, {**SPENT, "note": "Reading"})
    assert (answer.status_code, version(answer)) == (201, 1)
    entry = answer.json
    assert (entry["seconds"], entry["note"], entry["user"]["uuid"]) == (
        4500,
        "Reading",
        company.uuid,
    )
    one = f"{path}/{entry['uuid']}"
    assert company.get(one).json == entry
    assert tracked(company, path) == 4500
    changed = company.patch(one, {"ended_at": "2026-03-01T09:00:01Z"})
    assert (changed.json["seconds"], changed.json["note"], version(changed)) == (1, "Reading", 2)
    assert_problem(company.patch(one, {"note": "Late"}, headers={"If-Match": '"1"'}), 412)
    assert tracked(company, path) == 1
    assert [item["uuid"] for item in company.get(f"{path}?search=READ").json["items"]] == [
        entry["uuid"]
    ]
    assert company.get(f"{path}?search=%25").json["total"] == 0
    assert company.delete(one).status_code == 204
    assert_problem(company.get(one), 404)
    assert (entries(company, path), tracked(company, path)) == ([], 0)


def test_the_clock_starts_and_stops(company: Company, home: str) -> None:
    person = company.add_person()
    one, other = (f"{path_of(add_task(company, home))}/time-entries" for _ in range(2))
    assert_problem(person.get("/time-entries/running"), 404)
    assert_problem(person.post(f"{one}/stop"), 409)
    first = person.post(f"{one}/start", {"note": "Thinking"})
    assert (first.status_code, first.json["ended_at"], first.json["seconds"]) == (200, None, None)
    assert person.post(f"{one}/start").json == first.json
    assert person.get("/time-entries/running").json == first.json
    assert_problem(company.get("/time-entries/running"), 404)
    second = person.post(f"{other}/start").json
    assert person.get("/time-entries/running").json == second
    stopped = entries(person, one)[0]
    assert stopped["ended_at"] is not None
    assert_problem(person.post(f"{one}/stop"), 409)
    ended = person.post(f"{other}/stop").json
    assert (ended["uuid"], ended["seconds"]) == (second["uuid"], 0)
    assert_problem(person.get("/time-entries/running"), 404)


@pytest.mark.parametrize("attempt", range(3))
def test_one_entry_of_a_user_runs(app: Flask, company: Company, home: str, attempt: int) -> None:
    person = company.add_person()
    paths = [f"{path_of(add_task(company, home))}/time-entries" for _ in range(3)]
    answers = at_once(
        app, *[(person, lambda own, path=path: own.post(f"{path}/start")) for path in paths * 2]
    )
    assert statuses(answers) == [200] * 6
    running = [
        entry for path in paths for entry in entries(person, path) if entry["ended_at"] is None
    ]
    assert [entry["uuid"] for entry in running] == [
        person.get("/time-entries/running").json["uuid"]
    ]


def test_stopped_at_once_it_stops_once(app: Flask, company: Company, path: str) -> None:
    person = company.add_person()
    person.post(f"{path}/start")
    answers = at_once(app, *[(person, lambda own: own.post(f"{path}/stop"))] * 4)
    assert statuses(answers) == [200, 409, 409, 409]


def test_each_changes_their_own_only(
    company: Company, people: dict[str, Person], path: str
) -> None:
    one = f"{path}/{people['user'].post(path, SPENT).json['uuid']}"
    assert_problem(company.patch(one, {"note": "Not mine"}), 403)
    assert_problem(company.delete(one), 403)
    assert people["read_only"].get(one).status_code == 200
    assert_problem(people["read_only"].post(f"{path}/start"), 403)


def test_a_running_entry_is_ended_by_stop_only(company: Company, path: str) -> None:
    running = company.post(f"{path}/start").json
    one = f"{path}/{running['uuid']}"
    assert_problem(company.patch(one, {"ended_at": datetime.now(UTC).isoformat()}), 409)
    earlier = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert company.patch(one, {"started_at": earlier}).status_code == 200
    company.post(f"{path}/stop")
    assert_problem(company.patch(one, {"ended_at": None}), 409)
    assert tracked(company, path) >= 3600


def test_private_lists_keep_their_time(company: Company, people: dict[str, Person]) -> None:
    secret = add_list(company, "Secret", visibility="private")
    path = f"{path_of(add_task(company, secret['uuid']))}/time-entries"
    entry = company.post(path, SPENT).json
    user = people["user"]
    for answer in (
        user.get(path),
        user.post(path, SPENT),
        user.post(f"{path}/start"),
        user.get(f"{path}/{entry['uuid']}"),
        user.delete(f"{path}/{entry['uuid']}"),
    ):
        assert_problem(answer, 404)
    share(company, secret, user, "read")
    assert user.get(f"{path}/{entry['uuid']}").json == entry
    assert_problem(user.post(f"{path}/start"), 403)


def test_what_runs_where_one_may_be_no_more_can_be_left(company: Company, home: str) -> None:
    person = company.add_person()
    secret = add_list(company, "Secret", visibility="private")
    share(company, secret, person, "write")
    hidden = f"{path_of(add_task(company, secret['uuid']))}/time-entries"
    assert person.post(f"{hidden}/start").status_code == 200
    company.delete(f"/lists/{secret['uuid']}/members/users/{person.uuid}")
    assert_problem(person.get("/time-entries/running"), 404)
    assert person.post(f"{path_of(add_task(company, home))}/time-entries/start").status_code == 200
    assert entries(company, hidden)[0]["ended_at"] is not None


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"started_at", "ended_at"}),
        ({**SPENT, "ended_at": "2026-03-01T08:59:59Z"}, {"ended_at"}),
        ({**SPENT, "ended_at": "2095-03-01T08:59:59Z"}, {"ended_at"}),
        ({**SPENT, "ended_at": None}, {"ended_at"}),
        ({**SPENT, "note": "x" * 1001}, {"note"}),
        ({**SPENT, "note": "\x00"}, {"note"}),
        ({**SPENT, "user_uuid": "x"}, {"user_uuid"}),
        ({**SPENT, "seconds": 5}, {"seconds"}),
        ({**SPENT, "started_at": "yesterday"}, {"started_at"}),
    ],
)
def test_bad_entries_are_named(
    company: Company, path: str, body: dict[str, Any], fields: set[str]
) -> None:
    sent = {name: value for name, value in body.items() if not (name == "ended_at" and not value)}
    problem = assert_problem(company.post(path, sent), 422)
    assert set(problem["errors"]["json"]) == fields
    assert entries(company, path) == []


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_page_parameters_are_named(company: Company, path: str, query: str) -> None:
    problem = assert_problem(company.get(f"{path}?{query}"), 422)
    assert set(problem["errors"]["query"]) == {query.partition("=")[0]}
