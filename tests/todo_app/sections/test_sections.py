"""`/lists/{uuid}/sections`: what each endpoint does, and input that must not get in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import (
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
from tests.todo_app.lists.kit import mark_of, told_of
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from todo_app.database import db
from todo_app.sections.service import MAX_SECTIONS
from todo_app.todos.models import Section, Task

SHOWN = {"uuid", "title", "position", "created_at", "updated_at"}


@pytest.fixture
def path(company: Company) -> str:
    """The address of the sections of a fresh list."""
    return f"{path_of(add_list(company))}/sections"


def add(company: Company, path: str, title: str = "Section") -> dict[str, Any]:
    answer = company.post(path, {"title": title})
    assert answer.status_code == 201, answer.text
    section: dict[str, Any] = answer.json
    return section


def titles(company: Company, path: str) -> list[str]:
    return [section["title"] for section in company.get(f"{path}?size=100").json["items"]]


def test_a_section_is_made_shown_changed_and_deleted(app: Flask, company: Company) -> None:
    row = add_list(company)
    path = f"{path_of(row)}/sections"
    made = company.post(path, {"title": " This week "})
    assert (made.status_code, version(made)) == (201, 1)
    assert set(made.json) == SHOWN
    assert made.json["title"] == "This week"
    one = f"{path}/{made.json['uuid']}"
    assert company.get(one).json == made.json
    changed = company.patch(one, {"title": "Next week"})
    assert (changed.json["title"], version(changed)) == ("Next week", 2)
    same = company.patch(one, {"title": "Next week"})
    assert (same.json, version(same)) == (changed.json, 2)
    assert company.delete(one).status_code == 204
    assert_problem(company.get(one), 404)
    assert told_of(app, company, row["uuid"])[1:] == [
        "section.added",
        "section.changed",
        "section.deleted",
    ]
    assert mark_of(app, company, "section", made.json["uuid"])[1]


def test_sections_are_in_the_order_in_which_people_put_them(company: Company, path: str) -> None:
    rows = {letter: add(company, path, letter) for letter in "ABC"}
    assert titles(company, path) == list("ABC")
    one = f"{path}/{rows['C']['uuid']}/move"
    answer = company.post(one, {"before_uuid": rows["A"]["uuid"]})
    assert (answer.status_code, version(answer)) == (200, 2)
    assert titles(company, path) == list("CAB")
    company.post(one, {"after_uuid": rows["A"]["uuid"]})
    assert titles(company, path) == list("ACB")
    company.post(one, {})
    assert titles(company, path) == list("ABC")
    assert_problem(company.post(one, {}, headers={"If-Match": '"1"'}), 412)
    elsewhere = add(company, f"{path_of(add_list(company))}/sections")
    for neighbour in (elsewhere["uuid"], str(uuid.uuid4()), rows["C"]["uuid"]):
        answer = company.post(one, {"after_uuid": neighbour})
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"after_uuid"}


def test_sections_with_one_position_are_moved_apart(
    app: Flask, company: Company, path: str
) -> None:
    rows = {letter: add(company, path, letter) for letter in "ABC"}
    with inside(app, company.slug):
        keys = [row["uuid"] for row in rows.values()]
        db.session.execute(sa.update(Section).where(Section.uuid.in_(keys)).values(position="a0"))
    one = f"{path}/{rows['C']['uuid']}/move"
    assert company.post(one, {"after_uuid": rows["A"]["uuid"]}).status_code == 200
    assert titles(company, path) == list("ACB")


def test_tasks_of_a_deleted_section_stay(app: Flask, company: Company) -> None:
    row = add_list(company)
    section = add(company, f"{path_of(row)}/sections")
    task = add_task(company, row["uuid"])
    with inside(app, company.slug):
        key = sa.select(Section.id).where(Section.uuid == section["uuid"]).scalar_subquery()
        db.session.execute(sa.update(Task).where(Task.uuid == task["uuid"]).values(section_id=key))
    company.delete(f"{path_of(row)}/sections/{section['uuid']}")
    kept = company.get(path_of(task))
    assert (kept.status_code, version(kept)) == (200, 2)
    mark_of(app, company, "task", task["uuid"])


def test_search_and_order(company: Company, path: str) -> None:
    for title in ("Łódź", "Lublin"):
        add(company, path, title)
    assert [s["title"] for s in company.get(f"{path}?search=lodz").json["items"]] == ["Łódź"]
    assert company.get(f"{path}?search=l&size=1").json["total"] == 2
    assert company.get(f"{path}?field=title").json["items"][0]["title"] == "Lublin"


def test_sections_made_at_once_have_an_order(app: Flask, company: Company, path: str) -> None:
    answers = at_once(app, *[(company, lambda own: own.post(path, {"title": "New"}))] * 4)
    assert statuses(answers) == [201] * 4
    assert len({answer.get_json()["position"] for answer in answers}) == 4


def test_there_are_only_so_many(app: Flask, company: Company) -> None:
    row = add_list(company)
    path = f"{path_of(row)}/sections"
    first = add(company, path)
    with inside(app, company.slug):
        list_id = sa.select(Section.list_id).where(Section.uuid == first["uuid"]).scalar_subquery()
        more = sa.select(list_id, sa.literal("More")).select_from(
            sa.func.generate_series(2, MAX_SECTIONS)
        )
        db.session.execute(sa.insert(Section).from_select(["list_id", "title"], more, False))
    answer = company.post(path, {"title": "One more"})
    assert assert_problem(answer, 409)["type"] == "urn:todo:problem:too-many-sections"


def test_a_section_of_another_list_is_404(company: Company, path: str) -> None:
    foreign = add(company, f"{path_of(add_list(company))}/sections")
    one = f"{path}/{foreign['uuid']}"
    for method, address, body in (
        ("GET", one, None),
        ("PATCH", one, {"title": "A"}),
        ("POST", f"{one}/move", {}),
        ("DELETE", one, None),
    ):
        assert_problem(company.call(method, address, json=body), 404)


def test_versions(app: Flask, company: Company, path: str) -> None:
    one = f"{path}/{add(company, path)['uuid']}"
    headers = {"If-Match": company.get(one).headers["ETag"]}
    answers = at_once(
        app,
        *[
            (company, lambda own, n=n: own.patch(one, {"title": str(n)}, headers=headers))
            for n in range(3)
        ],
    )
    assert statuses(answers) == [200, 412, 412]
    assert_problem(company.delete(one, headers=headers), 412)


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_title(company: Company, path: str, text: Any) -> None:
    one = f"{path}/{add(company, path)['uuid']}"
    for answer in (company.post(path, {"title": text}), company.patch(one, {"title": text})):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"title"}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, path: str, method: str, body: bytes, content_type: str, status: int
) -> None:
    address = path if method == "POST" else f"{path}/{add(company, path)['uuid']}"
    assert_problem(send_raw(company, method, address, body, content_type), status)


def test_lone_surrogates_are_refused(company: Company, path: str) -> None:
    assert_unreadable(send_raw(company, "POST", path, {"title": LONE_SURROGATE}))
