"""`/lists/{uuid}/fields`: what each endpoint does, and what tasks have in them."""

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
from todo_app.fields.service import MAX_FIELDS
from todo_app.todos.models import FIELD_KINDS, FieldValue, ListField, Task

SHOWN = {"uuid", "name", "kind", "options", "position", "created_at", "updated_at"}
PROBLEM = "urn:todo:problem:"


@pytest.fixture
def path(company: Company) -> str:
    """The address of the fields of a fresh list."""
    return f"{path_of(add_list(company))}/fields"


def add(company: Company, path: str, name: str = "Field", **more: Any) -> dict[str, Any]:
    answer = company.post(path, {"name": name, "kind": "text", **more})
    assert answer.status_code == 201, answer.text
    field: dict[str, Any] = answer.json
    return field


def names(company: Company, path: str) -> list[str]:
    return [field["name"] for field in company.get(f"{path}?size=100").json["items"]]


def give(app: Flask, company: Company, field: dict[str, Any], task_uuid: str, value: Any) -> None:
    """Let a task have a value in a field."""
    with inside(app, company.slug):
        field_id = db.session.scalar(sa.select(ListField.id).where(ListField.uuid == field["uuid"]))
        task_id = db.session.scalar(sa.select(Task.id).where(Task.uuid == task_uuid))
        db.session.add(FieldValue(field_id=field_id, task_id=task_id, value=value))


def test_a_field_is_made_shown_changed_and_deleted(app: Flask, company: Company) -> None:
    row = add_list(company)
    path = f"{path_of(row)}/fields"
    made = company.post(path, {"name": " Risk ", "kind": "choice", "options": [" low", "high"]})
    assert (made.status_code, version(made)) == (201, 1)
    assert set(made.json) == SHOWN
    assert (made.json["name"], made.json["options"]) == ("Risk", ["low", "high"])
    one = f"{path}/{made.json['uuid']}"
    assert company.get(one).json == made.json
    changed = company.patch(one, {"options": ["high", "low", "none"]})
    assert (changed.status_code, version(changed)) == (200, 2)
    assert changed.json["options"] == ["high", "low", "none"]
    assert company.patch(one, {"name": "Risk"}).json == changed.json
    assert company.delete(one).status_code == 204
    assert_problem(company.get(one), 404)
    assert told_of(app, company, row["uuid"])[1:] == [
        "field.added",
        "field.changed",
        "field.deleted",
    ]


@pytest.mark.parametrize("kind", FIELD_KINDS)
def test_every_kind(company: Company, path: str, kind: str) -> None:
    options = {"options": ["one"]} if kind == "choice" else {}
    field = add(company, path, kind=kind, **options)
    assert (field["kind"], field["options"]) == (kind, options.get("options", []))
    answer = company.patch(f"{path}/{field['uuid']}", {"kind": "text"})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"kind"}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("choice", None),
        ("choice", []),
        ("choice", ["a", "a"]),
        ("choice", ["a", " a "]),
        ("text", ["a"]),
        ("choice", ["a"] * 101),
        ("choice", "a"),
        ("choice", [""]),
        ("choice", [1]),
        ("choice", ["a\x00"]),
        ("choice", ["x" * 101]),
        ("choice", {"a": 1}),
        ("choice", [None]),
    ],
)
def test_options_that_cannot_be(company: Company, path: str, kind: str, options: Any) -> None:
    body = {"name": "Field", "kind": kind, "options": options}
    if options is None:
        del body["options"]
    answer = company.post(path, body)
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"options"}
    if options is not None and kind == "choice":
        one = f"{path}/{add(company, path, kind='choice', options=['a', 'b'])['uuid']}"
        answer = company.patch(one, {"options": options})
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"options"}


def test_an_option_in_use_stays(app: Flask, company: Company) -> None:
    row = add_list(company)
    path = f"{path_of(row)}/fields"
    options = ["it's", "low", "high"]
    field = add(company, path, "Risk", kind="choice", options=options)
    task = add_task(company, row["uuid"])
    give(app, company, field, task["uuid"], "it's")
    one = f"{path}/{field['uuid']}"
    problem = assert_problem(company.patch(one, {"options": ["low", "high"]}), 409)
    assert problem["type"] == PROBLEM + "option-in-use"
    assert "it's" in problem["detail"]
    assert company.get(one).json == field
    narrowed = company.patch(one, {"options": ["it's", "low"]})
    assert (narrowed.status_code, narrowed.json["options"]) == (200, ["it's", "low"])
    assert company.delete(one).status_code == 204
    assert version(company.get(path_of(task))) == 2
    mark_of(app, company, "task", task["uuid"])
    with inside(app, company.slug):
        found = sa.select(FieldValue).join(Task, Task.id == FieldValue.task_id)
        assert db.session.scalars(found.where(Task.uuid == task["uuid"])).all() == []


def test_a_name_is_unique_in_its_list_in_any_case(app: Flask, company: Company, path: str) -> None:
    add(company, path, "Risk")
    other = add(company, path, "Other")
    for answer in (
        company.post(path, {"name": "RISK", "kind": "date"}),
        company.patch(f"{path}/{other['uuid']}", {"name": "rIsk"}),
    ):
        assert assert_problem(answer, 409)["type"] == PROBLEM + "field-exists"
    assert company.patch(f"{path}/{other['uuid']}", {"name": "OTHER"}).status_code == 200
    add(company, f"{path_of(add_list(company))}/fields", "Risk")
    answers = at_once(
        app,
        *[
            (company, lambda own, n=n: own.post(path, {"name": n, "kind": "text"}))
            for n in ("new", "New", "NEW")
        ],
    )
    assert statuses(answers) == [201, 409, 409]


def test_fields_are_in_the_order_in_which_people_put_them(company: Company, path: str) -> None:
    rows = {letter: add(company, path, letter) for letter in "ABC"}
    one = f"{path}/{rows['C']['uuid']}/move"
    assert company.post(one, {"before_uuid": rows["A"]["uuid"]}).status_code == 200
    assert names(company, path) == list("CAB")
    assert company.get(f"{path}?search=b").json["total"] == 1
    answer = company.post(one, {"after_uuid": str(uuid.uuid4())})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"after_uuid"}


def test_fields_with_one_position_are_moved_apart(app: Flask, company: Company, path: str) -> None:
    rows = {letter: add(company, path, letter) for letter in "ABC"}
    with inside(app, company.slug):
        keys = [row["uuid"] for row in rows.values()]
        at_first = sa.update(ListField).where(ListField.uuid.in_(keys)).values(position="a0")
        db.session.execute(at_first)
    one = f"{path}/{rows['C']['uuid']}/move"
    assert company.post(one, {"after_uuid": rows["A"]["uuid"]}).status_code == 200
    assert names(company, path) == list("ACB")


def test_there_are_only_so_many(app: Flask, company: Company, path: str) -> None:
    first = add(company, path)
    with inside(app, company.slug):
        list_id = (
            sa.select(ListField.list_id).where(ListField.uuid == first["uuid"]).scalar_subquery()
        )
        numbers = sa.func.generate_series(2, MAX_FIELDS).column_valued("number")
        name = sa.func.concat("More ", numbers)
        more = sa.select(list_id, name, sa.literal("text"))
        db.session.execute(
            sa.insert(ListField).from_select(["list_id", "name", "kind"], more, False)
        )
    answer = company.post(path, {"name": "One more", "kind": "text"})
    assert assert_problem(answer, 409)["type"] == PROBLEM + "too-many-fields"


def test_a_field_of_another_list_is_404(company: Company, path: str) -> None:
    foreign = add(company, f"{path_of(add_list(company))}/fields")
    one = f"{path}/{foreign['uuid']}"
    for method, address, body in (
        ("GET", one, None),
        ("PATCH", one, {"name": "A"}),
        ("POST", f"{one}/move", {}),
        ("DELETE", one, None),
    ):
        assert_problem(company.call(method, address, json=body), 404)


def test_versions(company: Company, path: str) -> None:
    one = f"{path}/{add(company, path)['uuid']}"
    stale = {"If-Match": '"9"'}
    for method, address, body in (
        ("PATCH", one, {"name": "A"}),
        ("POST", f"{one}/move", {}),
        ("DELETE", one, None),
    ):
        assert_problem(company.call(method, address, json=body, headers=stale), 412)
    assert company.patch(one, {"name": "A"}, headers={"If-Match": '"1"'}).status_code == 200


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_texts_that_cannot_be_a_name(company: Company, path: str, text: Any) -> None:
    one = f"{path}/{add(company, path)['uuid']}"
    for answer in (
        company.post(path, {"name": text, "kind": "text"}),
        company.patch(one, {"name": text}),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"name"}


@pytest.mark.parametrize("kind", ["", "TEXT", "json", None, 1, ["text"]])
def test_kinds_that_are_none(company: Company, path: str, kind: Any) -> None:
    answer = company.post(path, {"name": "Field", "kind": kind})
    assert set(assert_problem(answer, 422)["errors"]["json"]) == {"kind"}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(("body", "content_type", "status"), RAW_BODIES)
def test_bodies_that_cannot_be_read(
    company: Company, path: str, method: str, body: bytes, content_type: str, status: int
) -> None:
    address = path if method == "POST" else f"{path}/{add(company, path)['uuid']}"
    assert_problem(send_raw(company, method, address, body, content_type), status)


def test_lone_surrogates_are_refused(company: Company, path: str) -> None:
    body = {"name": LONE_SURROGATE, "kind": "text"}
    assert_unreadable(send_raw(company, "POST", path, body))
