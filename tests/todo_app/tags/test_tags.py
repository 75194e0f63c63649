"""`/tags`: what each endpoint does, who may call it, and input that must not get in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import (
    BAD_QUERIES,
    BAD_TEXTS,
    LONE_SURROGATE,
    RAW_BODIES,
    assert_problem,
    assert_unreadable,
    at_once,
    inside,
    send_raw,
    statuses,
    version,
)
from tests.todo_app.lists.kit import mark_of
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from todo_app.database import db
from todo_app.todos.models import Tag, Task, TaskTag

SHOWN = {"uuid", "name", "color", "created_at", "updated_at"}
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/tags/", {"name": "New"}),
    ("PATCH", "/tags/{}", {"color": None}),
    ("DELETE", "/tags/{}", None),
    ("POST", "/tags/{}/merge", {"into_uuid": str(uuid.uuid4())}),
]
READS: list[tuple[str, str, Any]] = [("GET", "/tags/", None), ("GET", "/tags/{}", None)]


def add(person: Person, name: str | None = None, **more: Any) -> dict[str, Any]:
    answer = person.post("/tags/", {"name": name or uuid.uuid4().hex, **more})
    assert answer.status_code == 201, answer.text
    tag: dict[str, Any] = answer.json
    return tag


def path_to(tag: dict[str, Any]) -> str:
    return f"/tags/{tag['uuid']}"


def give(app: Flask, company: Company, task_uuid: str, *tags: dict[str, Any]) -> None:
    """Let a task have some tags."""
    with inside(app, company.slug):
        task_id = db.session.scalar(sa.select(Task.id).where(Task.uuid == task_uuid))
        for tag in tags:
            tag_id = db.session.scalar(sa.select(Tag.id).where(Tag.uuid == tag["uuid"]))
            db.session.add(TaskTag(task_id=task_id, tag_id=tag_id))


def tags_of(app: Flask, company: Company, task_uuid: str) -> list[str]:
    with inside(app, company.slug):
        found = (
            sa.select(Tag.name)
            .join(TaskTag, TaskTag.tag_id == Tag.id)
            .join(Task, Task.id == TaskTag.task_id)
            .where(Task.uuid == task_uuid)
            .order_by(Tag.name)
        )
        return list(db.session.scalars(found))


@pytest.fixture(scope="module")
def tag(company: Company) -> dict[str, Any]:
    """A tag that only refused requests are for."""
    return add(company)


def test_a_tag_is_made_shown_changed_and_deleted(app: Flask, company: Company) -> None:
    made = company.post("/tags/", {"name": " Urgent ", "color": "#FF0000"})
    assert (made.status_code, version(made)) == (201, 1)
    assert set(made.json) == SHOWN
    assert (made.json["name"], made.json["color"]) == ("Urgent", "#ff0000")
    path = path_to(made.json)
    assert company.get(path).json == made.json
    changed = company.patch(path, {"color": None})
    assert (changed.json["name"], changed.json["color"]) == ("Urgent", None)
    assert version(changed) == 2
    same = company.patch(path, {"name": "Urgent"})
    assert (same.json, version(same)) == (changed.json, 2)
    assert not mark_of(app, company, "tag", made.json["uuid"])[1]
    assert company.delete(path).status_code == 204
    assert_problem(company.get(path), 404)
    assert mark_of(app, company, "tag", made.json["uuid"])[1]


def test_a_page_of_tags(acme: Company) -> None:
    for name in ("Łódź", "Lublin", "Gdańsk"):
        add(acme, name)
    page = acme.get("/tags/?size=2").json
    assert [tag["name"] for tag in page["items"]] == ["Gdańsk", "Lublin"]
    assert (page["total"], page["pages"]) == (3, 2)
    assert [tag["name"] for tag in acme.get("/tags/?search=LODZ").json["items"]] == ["Łódź"]
    assert acme.get("/tags/?search=_").json["total"] == 0


def test_a_name_is_unique_in_any_case(company: Company) -> None:
    add(company, "Home")
    other = add(company)
    for answer in (
        company.post("/tags/", {"name": "HOME"}),
        company.patch(path_to(other), {"name": "home"}),
    ):
        assert assert_problem(answer, 409)["type"] == "urn:todo:problem:tag-exists"


def test_a_name_is_unique_when_two_come_at_once(app: Flask, company: Company) -> None:
    name = uuid.uuid4().hex
    answers = at_once(
        app,
        (company, lambda own: own.post("/tags/", {"name": name})),
        (company, lambda own: own.post("/tags/", {"name": name.upper()})),
    )
    assert statuses(answers) == [201, 409]


def test_tasks_lose_a_deleted_tag(app: Flask, company: Company) -> None:
    tag, kept = add(company), add(company, "Kept")
    task = add_task(company, add_list(company)["uuid"])
    give(app, company, task["uuid"], tag, kept)
    before = mark_of(app, company, "tag", tag["uuid"])
    assert company.delete(path_to(tag)).status_code == 204
    assert tags_of(app, company, task["uuid"]) == ["Kept"]
    assert version(company.get(path_of(task))) == 2
    assert mark_of(app, company, "task", task["uuid"])[0] > before[0]


def test_a_tag_becomes_another(app: Flask, company: Company) -> None:
    tag, into = add(company), add(company, "Into")
    home = add_list(company)["uuid"]
    tasks = [add_task(company, home, f"{number}")["uuid"] for number in range(3)]
    for task, tags in zip(tasks, ([tag], [tag, into], [into]), strict=True):
        give(app, company, task, *tags)
    path = f"{path_to(tag)}/merge"
    assert_problem(
        company.post(path, {"into_uuid": into["uuid"]}, headers={"If-Match": '"9"'}), 412
    )
    answer = company.post(path, {"into_uuid": into["uuid"]})
    assert (answer.status_code, answer.json) == (200, into)
    assert [tags_of(app, company, task) for task in tasks] == [["Into"]] * 3
    assert [version(company.get(f"/tasks/{task}")) for task in tasks] == [2, 2, 1]
    assert_problem(company.get(path_to(tag)), 404)


@pytest.mark.parametrize("attempt", range(3))
def test_two_tags_merged_into_each_other_at_once(
    app: Flask, company: Company, attempt: int
) -> None:
    first, second = add(company), add(company)
    task = add_task(company, add_list(company)["uuid"])["uuid"]
    give(app, company, task, first, second)
    answers = at_once(
        app,
        *[
            (
                company,
                lambda own, a=a, b=b: own.post(f"{path_to(a)}/merge", {"into_uuid": b["uuid"]}),
            )
            for a, b in ((first, second), (second, first))
        ],
    )
    assert statuses(answers) in ([200, 404], [200, 422])
    assert len(tags_of(app, company, task)) == 1


def test_tags_that_it_cannot_become(
    company: Company, stranger: Company, tag: dict[str, Any]
) -> None:
    for into in (tag["uuid"], str(uuid.uuid4()), add(stranger)["uuid"], "x", None, 1):
        answer = company.post(f"{path_to(tag)}/merge", {"into_uuid": into})
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"into_uuid"}
    assert_problem(company.post(f"{path_to(tag)}/merge", {}), 422)
    assert company.get(path_to(tag)).json == tag


def test_versions(app: Flask, company: Company) -> None:
    path = path_to(add(company))
    headers = {"If-Match": company.get(path).headers["ETag"]}
    answers = at_once(
        app,
        *[
            (company, lambda own, n=n: own.patch(path, {"color": f"#00000{n}"}, headers=headers))
            for n in range(3)
        ],
    )
    assert statuses(answers) == [200, 412, 412]
    assert_problem(company.delete(path, headers=headers), 412)


def test_a_key_repeats_the_first_answer(company: Company) -> None:
    body, headers = {"name": uuid.uuid4().hex}, {"Idempotency-Key": uuid.uuid4().hex}
    first, again = (company.post("/tags/", body, headers=headers) for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.json == again.json


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_read_only_may_not_write(
    people: dict[str, Person], tag: dict[str, Any], method: str, path: str, body: Any
) -> None:
    answer = people["read_only"].call(method, path.format(tag["uuid"]), json=body)
    assert "tasks:write" in assert_problem(answer, 403)["detail"]


@pytest.mark.parametrize(("method", "path", "body"), READS)
def test_everybody_may_read(
    people: dict[str, Person], tag: dict[str, Any], method: str, path: str, body: Any
) -> None:
    for person in people.values():
        assert person.call(method, path.format(tag["uuid"])).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), [*READS[1:], *WRITES[1:]])
def test_another_tenants_tag_is_404(
    company: Company, stranger: Company, tag: dict[str, Any], method: str, path: str, body: Any
) -> None:
    for target in (tag["uuid"], str(uuid.uuid4())):
        assert_problem(stranger.call(method, path.format(target), json=body), 404)
    assert company.get(path_to(tag)).json == tag


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "N" * 51}, "name"),
        ({"color": "red"}, "color"),
        ({"color": 1}, "color"),
        ({"color": "#12345g"}, "color"),
        ({"uuid": str(uuid.uuid4())}, "uuid"),
        ({"tasks": []}, "tasks"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_bad_input_is_named(
    company: Company, tag: dict[str, Any], method: str, values: dict[str, Any], field: str
) -> None:
    path, body = ("/tags/", {"name": "New"}) if method == "POST" else (path_to(tag), {})
    problem = assert_problem(company.call(method, path, json=body | values), 422)
    assert set(problem["errors"]["json"]) == {field}


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_name(company: Company, tag: dict[str, Any], text: Any) -> None:
    for answer in (
        company.post("/tags/", {"name": text}),
        company.patch(path_to(tag), {"name": text}),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"name"}


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_page_parameters(company: Company, query: str) -> None:
    assert_problem(company.get(f"/tags/?{query}"), 422)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company,
    tag: dict[str, Any],
    method: str,
    body: bytes,
    content_type: str,
    status: int,
) -> None:
    path = "/tags/" if method == "POST" else path_to(tag)
    assert_problem(send_raw(company, method, path, body, content_type), status)


def test_lone_surrogates_are_refused(company: Company, tag: dict[str, Any]) -> None:
    assert_unreadable(send_raw(company, "PATCH", path_to(tag), {"name": LONE_SURROGATE}))
