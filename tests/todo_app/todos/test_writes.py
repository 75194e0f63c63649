"""Safe writes of lists and tasks: versions, retries, and input that must not get in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import (
    BAD_TEXTS,
    LONE_SURROGATE,
    RAW_BODIES,
    assert_problem,
    assert_unreadable,
    at_once,
    send_raw,
    statuses,
    version,
)
from tests.todo_app.todos.shapes import add_list, add_task, path_of

KINDS = ["lists", "tasks"]


@pytest.fixture(scope="module")
def home(company: Company) -> str:
    """The list that new tasks go into."""
    uuid: str = add_list(company, "Home")["uuid"]
    return uuid


@pytest.fixture(scope="module")
def victims(company: Company, home: str) -> dict[str, dict[str, Any]]:
    """A list and a task that only refused requests are for."""
    return {"lists": add_list(company, "Victim"), "tasks": add_task(company, home, "Victim")}


@pytest.fixture(params=KINDS)
def path(request: pytest.FixtureRequest, company: Company, home: str) -> str:
    """The address of a fresh list, and then of a fresh task."""
    return path_of(add_list(company) if request.param == "lists" else add_task(company, home))


def whole(kind: str, home: str, **values: Any) -> dict[str, Any]:
    """The body of POST."""
    body = {"title": "New"} if kind == "lists" else {"title": "New", "list_uuid": home}
    return body | values


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_if_match_lets_only_the_current_version_change(company: Company, path: str) -> None:
    old = company.get(path).headers["ETag"]
    assert company.patch(path, {"title": "1"}, headers={"If-Match": old}).status_code == 200
    current = company.get(path).headers["ETag"]
    assert current != old
    for stale in (old, '"999"', '"x"', "W/" + current, '"' + "9" * 50 + '"'):
        headers = {"If-Match": stale}
        assert_problem(company.patch(path, {"title": "2"}, headers=headers), 412)
        assert_problem(company.delete(path, headers=headers), 412)
    assert company.get(path).json["title"] == "1"
    assert company.patch(path, {"title": "3"}, headers={"If-Match": current}).status_code == 200
    last = company.get(path).headers["ETag"]
    assert company.delete(path, headers={"If-Match": last}).status_code == 204


@pytest.mark.parametrize("action", ["complete", "reopen"])
def test_if_match_holds_for_completing_too(company: Company, home: str, action: str) -> None:
    task = add_task(company, home, status="new" if action == "complete" else "done")
    path = f"{path_of(task)}/{action}"
    assert_problem(company.post(path, headers={"If-Match": '"9"'}), 412)
    assert company.get(path_of(task)).json == task
    assert company.post(path, headers={"If-Match": '"1"'}).status_code == 200


def test_of_changes_from_one_version_one_is_made(app: Flask, company: Company, path: str) -> None:
    headers = {"If-Match": company.get(path).headers["ETag"]}
    answers = at_once(
        app,
        *[
            (company, lambda own, n=n: own.patch(path, {"title": f"{n}"}, headers=headers))
            for n in range(4)
        ],
    )
    assert statuses(answers) == [200, 412, 412, 412]


def test_changes_without_if_match_lose_nothing_at_once(
    app: Flask, company: Company, home: str
) -> None:
    path = path_of(add_task(company, home))
    changes = [{"title": "T"}, {"description": "D"}, {"priority": 4}, {"status": "done"}]
    answers = at_once(
        app, *[(company, lambda own, change=change: own.patch(path, change)) for change in changes]
    )
    assert statuses(answers) == [200] * 4
    task = company.get(path)
    assert version(task) == 5
    values = [task.json[field] for field in ("title", "description", "priority", "status")]
    assert values == ["T", "D", 4, "done"]


def test_completing_at_once_happens_once(app: Flask, company: Company, home: str) -> None:
    path = path_of(add_task(company, home))
    answers = at_once(app, *[(company, lambda own: own.post(f"{path}/complete"))] * 4)
    assert statuses(answers) == [200] * 4
    assert {version(answer) for answer in answers} == {2}
    assert len({answer.get_json()["completed_at"] for answer in answers}) == 1


@pytest.mark.parametrize("attempt", range(3))
def test_a_task_never_lands_in_a_list_that_is_being_deleted(
    app: Flask, company: Company, home: str, attempt: int
) -> None:
    doomed = add_list(company, "Doomed")
    moving = add_task(company, home, "Moving")
    inside = add_task(company, doomed["uuid"], "Inside")
    new = {"title": "Late", "list_uuid": doomed["uuid"]}
    move = {"list_uuid": doomed["uuid"]}
    deleted, added, moved, touched = at_once(
        app,
        (company, lambda own: own.delete(path_of(doomed))),
        (company, lambda own: own.post("/tasks/", new)),
        (company, lambda own: own.patch(path_of(moving), move)),
        (company, lambda own: own.patch(path_of(inside), move | {"title": "Touched"})),
    )
    assert deleted.status_code == 204
    for answer, success in ((added, 201), (moved, 200)):
        if answer.status_code != success:
            problem = assert_problem(answer, 422)
            assert problem["errors"] == {"json": {"list_uuid": ["There is no such list."]}}
    assert touched.status_code in (200, 404, 422)
    assert company.get(f"/tasks/?list_uuid={doomed['uuid']}").json["total"] == 0
    was_moved_before = moved.status_code == 200
    assert company.get(path_of(moving)).status_code == (404 if was_moved_before else 200)


def test_if_none_match_saves_the_body(company: Company, path: str) -> None:
    etag = company.get(path).headers["ETag"]
    answer = company.get(path, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    company.patch(path, {"title": "Newer"})
    assert company.get(path, headers={"If-None-Match": etag}).status_code == 200


def test_if_none_match_never_hides_a_new_name_of_the_list(company: Company) -> None:
    todo_list = add_list(company, "Before")
    path = path_of(add_task(company, todo_list["uuid"]))
    etag = company.get(path).headers["ETag"]
    company.patch(path_of(todo_list), {"title": "After"})
    answer = company.get(path, headers={"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer.json["list"]["title"] == "After"


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_repeats_the_first_answer(company: Company, home: str, kind: str) -> None:
    body, headers = whole(kind, home), keyed(uuid.uuid4().hex)
    first = company.post(f"/{kind}/", body, headers=headers)
    company.patch(path_of(first.json), {"title": "Changed meanwhile"})
    again = company.post(f"/{kind}/", body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json == first.json
    assert again.headers["ETag"] == first.headers["ETag"]
    for other in (whole(kind, home, title="Other"), {}):
        answer = company.post(f"/{kind}/", other, headers=headers)
        reused = "urn:todo:problem:idempotency-key-reused"
        assert assert_problem(answer, 409)["type"] == reused


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_used_twice_at_once_makes_one_row(
    app: Flask, company: Company, home: str, kind: str
) -> None:
    title, headers = uuid.uuid4().hex, keyed(uuid.uuid4().hex)
    body = whole(kind, home, title=title)
    call = (company, lambda own: own.post(f"/{kind}/", body, headers=headers))
    answers = at_once(app, *[call] * 4)
    assert statuses(answers) == [201] * 4
    assert len({answer.get_json()["uuid"] for answer in answers}) == 1
    assert company.get(f"/{kind}/?search={title}").json["total"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_with_two_bodies_at_once_makes_one_row(
    app: Flask, company: Company, home: str, kind: str
) -> None:
    title, headers = uuid.uuid4().hex, keyed(uuid.uuid4().hex)
    answers = at_once(
        app,
        *[
            (
                company,
                lambda own, n=n: own.post(
                    f"/{kind}/", whole(kind, home, title=f"{title} {n}"), headers=headers
                ),
            )
            for n in range(3)
        ],
    )
    assert statuses(answers) == [201, 409, 409]
    assert company.get(f"/{kind}/?search={title}").json["total"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_leaves_the_key_free(company: Company, home: str, kind: str) -> None:
    headers = keyed(uuid.uuid4().hex)
    assert_problem(company.post(f"/{kind}/", {"title": ""}, headers=headers), 422)
    if kind == "tasks":
        unknown = whole(kind, str(uuid.uuid4()))
        assert_problem(company.post("/tasks/", unknown, headers=headers), 422)
    assert company.post(f"/{kind}/", whole(kind, home), headers=headers).status_code == 201


def test_a_key_works_for_completing_too(company: Company, home: str) -> None:
    path, headers = path_of(add_task(company, home)), keyed(uuid.uuid4().hex)
    first = company.post(f"{path}/complete", headers=headers)
    company.post(f"{path}/reopen")
    assert company.post(f"{path}/complete", headers=headers).json == first.json
    assert company.get(path).json["status"] == "new"


LIST_INPUT: list[tuple[dict[str, Any], str]] = [
    ({"uuid": "7c1f6c1e-6f0f-4a3e-9a51-3f0e9f2b8a10"}, "uuid"),
    ({"id": 1}, "id"),
    ({"version": 1}, "version"),
    ({"created_by": None}, "created_by"),
    ({"color": "red"}, "color"),
    ({"color": "#12345"}, "color"),
    ({"color": "#1234567"}, "color"),
    ({"color": "#12345g"}, "color"),
    ({"color": 0}, "color"),
    ({"color": "#" + "\uff11" * 6}, "color"),
    ({"description": "d" * 20_001}, "description"),
    ({"description": 1}, "description"),
    ({"description": "\x00"}, "description"),
    ({"a\x00b": 1}, "a\x00b"),
]
TASK_INPUT: list[tuple[dict[str, Any], str]] = [
    ({"uuid": "7c1f6c1e-6f0f-4a3e-9a51-3f0e9f2b8a10"}, "uuid"),
    ({"list": "x"}, "list"),
    ({"list_id": 1}, "list_id"),
    ({"completed_at": "2026-01-01T00:00:00Z"}, "completed_at"),
    ({"list_uuid": None}, "list_uuid"),
    ({"list_uuid": "x"}, "list_uuid"),
    ({"list_uuid": 1}, "list_uuid"),
    ({"list_uuid": ["x"]}, "list_uuid"),
    ({"assignee_uuid": None}, "assignee_uuid"),
    ({"assignee_uuids": [""]}, "assignee_uuids"),
    ({"assignee_uuids": {}}, "assignee_uuids"),
    ({"assignee_uuids": None}, "assignee_uuids"),
    ({"assignee_uuids": ["d6f1a0a4-92a3-4b7e-a2a6-6d0c5f0b3e21"] * 51}, "assignee_uuids"),
    ({"tag_uuids": "x"}, "tag_uuids"),
    ({"tag_uuids": [str(uuid.uuid4())]}, "tag_uuids"),
    ({"section_uuid": str(uuid.uuid4())}, "section_uuid"),
    ({"parent_uuid": str(uuid.uuid4())}, "parent_uuid"),
    ({"parent_uuid": 1}, "parent_uuid"),
    ({"start_at": "2026-01-01"}, "start_at"),
    ({"start_at": "2026-01-02T00:00:00Z", "due_at": "2026-01-01T00:00:00Z"}, "due_at"),
    ({"is_all_day": "true"}, "is_all_day"),
    ({"is_all_day": None}, "is_all_day"),
    ({"timezone": "Mars/Olympus"}, "timezone"),
    ({"timezone": "../../etc/passwd"}, "timezone"),
    ({"estimate_seconds": -1}, "estimate_seconds"),
    ({"estimate_seconds": 10**10}, "estimate_seconds"),
    ({"estimate_seconds": "1h"}, "estimate_seconds"),
    ({"recurrence": "FREQ=DAILY"}, "recurrence"),
    ({"recurrence": ""}, "recurrence"),
    ({"recurs_from": "birth"}, "recurs_from"),
    ({"fields": []}, "fields"),
    ({"fields": {"Risk": "low"}}, "fields"),
    ({"number": 1}, "number"),
    ({"position": "a0"}, "position"),
    ({"description_html": "<script>"}, "description_html"),
    ({"status": "paused!"}, "status"),
    ({"status": "DONE"}, "status"),
    ({"status": None}, "status"),
    ({"status": 1}, "status"),
    ({"status": ["done"]}, "status"),
    ({"priority": -1}, "priority"),
    ({"priority": 6}, "priority"),
    ({"priority": 10**40}, "priority"),
    ({"priority": 1.5}, "priority"),
    ({"priority": "1"}, "priority"),
    ({"priority": True}, "priority"),
    ({"priority": None}, "priority"),
    ({"description": "d" * 20_001}, "description"),
    ({"description": "\x00"}, "description"),
    ({"tags": []}, "tags"),
]


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        *[("lists", values, field) for values, field in LIST_INPUT],
        *[("tasks", values, field) for values, field in TASK_INPUT],
    ],
)
def test_bad_input_is_named(
    company: Company,
    home: str,
    victims: dict[str, dict[str, Any]],
    kind: str,
    values: dict[str, Any],
    field: str,
) -> None:
    path = path_of(victims[kind])
    before = company.get(path).json
    for answer in (
        send_raw(company, "POST", f"/{kind}/", whole(kind, home) | values),
        send_raw(company, "PATCH", path, values),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {field}
    assert company.get(path).json == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_title(
    company: Company, home: str, victims: dict[str, dict[str, Any]], kind: str, text: Any
) -> None:
    for answer in (
        company.post(f"/{kind}/", whole(kind, home, title=text)),
        company.patch(path_of(victims[kind]), {"title": text}),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"title"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "field", ["title", "description", "color", "status", "due_at", "list_uuid"]
)
def test_lone_surrogates_are_refused(
    company: Company, victims: dict[str, dict[str, Any]], kind: str, field: str
) -> None:
    path = path_of(victims[kind])
    assert_unreadable(send_raw(company, "PATCH", path, {field: LONE_SURROGATE}))
    assert_unreadable(send_raw(company, "PATCH", path, {LONE_SURROGATE: field}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company,
    victims: dict[str, dict[str, Any]],
    kind: str,
    method: str,
    body: bytes,
    content_type: str,
    status: int,
) -> None:
    path = f"/{kind}/" if method == "POST" else path_of(victims[kind])
    assert_problem(send_raw(company, method, path, body, content_type), status)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_new_row_needs(company: Company, kind: str) -> None:
    problem = assert_problem(company.post(f"/{kind}/", {}), 422)
    needed = {"lists": {"title"}, "tasks": {"title", "list_uuid"}}
    assert set(problem["errors"]["json"]) == needed[kind]
