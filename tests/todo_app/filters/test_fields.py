"""`GET /tasks/?filter=`: every field of tasks, and the fields that lists have of their own."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.factories import Company, Person, register
from tests.todo_app.helpers import assert_problem
from tests.todo_app.lists.kit import add_private, share
from tests.todo_app.todos.shapes import add_list, add_task


def titles(person: Person, text: str) -> list[str]:
    answer = person.get("/tasks/", query_string={"filter": text, "field": "title", "size": "100"})
    assert answer.status_code == 200, answer.json
    assert answer.json["total"] == len(answer.json["items"])
    return [task["title"] for task in answer.json["items"]]


def problem(person: Person, text: str) -> str:
    body = assert_problem(person.get("/tasks/", query_string={"filter": text}), 422)
    assert body["type"] == "urn:todo:problem:bad-filter"
    sentence: str = body["errors"]["query"]["filter"][0]
    return sentence


def add_field(person: Person, home: dict[str, Any], name: str, kind: str, *options: str) -> None:
    body: dict[str, Any] = {"name": name, "kind": kind}
    if options:
        body["options"] = options
    answer = person.post(f"/lists/{home['uuid']}/fields", body)
    assert answer.status_code == 201, answer.json


@pytest.fixture(scope="module")
def filled(app: Flask) -> Company:
    """A company with a task of each sort."""
    company = register(app.test_client(), "Fields")
    home = add_list(company, "Home", symbol="HO")
    uuid = home["uuid"]
    urgent, soft = (company.post("/tags/", {"name": n}).json["uuid"] for n in ("Urgent", "so ft"))
    section = company.post(f"/lists/{uuid}/sections", {"title": "Part One"}).json["uuid"]
    add_task(company, uuid, "Tagged", tag_uuids=[urgent, soft], section_uuid=section)
    add_task(company, uuid, "Half", tag_uuids=[urgent], estimate_seconds=5400)
    parent = add_task(company, uuid, "Parent", assignee_uuids=[company.uuid])
    add_task(company, uuid, "Child", parent_uuid=parent["uuid"], status="done")
    days = {"start_at": "2026-03-01T00:00:00Z", "due_at": "2026-03-08T00:00:00Z"}
    add_task(company, uuid, "Series", recurrence="FREQ=DAILY", **days)
    times = {"started_at": "2026-03-01T10:00:00Z", "ended_at": "2026-03-01T12:00:00Z"}
    assert company.post(f"/tasks/{parent['uuid']}/time-entries", times).status_code == 201
    return company


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tag = urgent", ["Half", "Tagged"]),
        ('tag = URGENT and tag = "so ft"', ["Tagged"]),
        ('tag in (urgent, "so ft", nothing)', ["Half", "Tagged"]),
        ("tag != urgent", ["Child", "Parent", "Series"]),
        ('tag = urgent and not tag = "so ft"', ["Half"]),
        ("tag is empty", ["Child", "Parent", "Series"]),
        ("tag is not empty", ["Half", "Tagged"]),
        ("tag = nothing", []),
        ("section = 'part one'", ["Tagged"]),
        ("section is not empty", ["Tagged"]),
        ("assignee = me", ["Parent"]),
        ("assignee is empty and is_open = true", ["Half", "Series", "Tagged"]),
        ("is_open = false", ["Child"]),
        ("is_subtask = true", ["Child"]),
        ("is_subtask = false and tag is empty", ["Parent", "Series"]),
        ("parent = ho-3", ["Child"]),
        ("parent in (HO-3, HO-9)", ["Child"]),
        ("parent != HO-3", ["Half", "Parent", "Series", "Tagged"]),
        ("task in (HO-1, ho-2)", ["Half", "Tagged"]),
        ("task = HO-999999999999999999", []),
        ("estimate = 1h30m", ["Half"]),
        ("estimate > 1h", ["Half"]),
        ("estimate is empty and is_recurring = true", ["Series"]),
        ("tracked >= 2h", ["Parent"]),
        ("tracked = 120m", ["Parent"]),
        ("tracked = 0s and is_subtask = true", ["Child"]),
        ("start >= 2026-03-01 and start < 2026-03-02", ["Series"]),
        ("start is empty and tag = urgent", ["Half", "Tagged"]),
        ("status = DONE", ["Child"]),
    ],
)
def test_a_field_finds_what_it_says(filled: Company, text: str, found: list[str]) -> None:
    assert titles(filled, text) == found


def test_ids_do_as_well_as_names(filled: Company) -> None:
    tags = {tag["name"]: tag["uuid"] for tag in filled.get("/tags/").json["items"]}
    task = filled.get("/tasks/?search=parent").json["items"][0]
    assert titles(filled, f"tag = {tags['Urgent']}") == ["Half", "Tagged"]
    assert titles(filled, f"parent = {task['uuid']}") == ["Child"]
    assert titles(filled, f"assignee = {filled.uuid}") == ["Parent"]
    assert titles(filled, f'assignee = "{filled.email}"') == ["Parent"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tag > a", "Column 5: found `>`, but of `tag` only "),
        ("tag = 3", "Column 7: found `3`, expected the name or id of a tag "),
        ("parent = milk", "Column 10: found `milk`, expected the id of a task or its symbol"),
        ("estimate > 3", "Column 12: found `3`, expected a duration "),
        ("estimate > 1mo", "Column 12: found `1mo`, expected a duration "),
        ("is_subtask = yes", "Column 14: found `yes`, expected `true` or `false`."),
        ("is_open", "Column 8: found the end of the filter, expected an operator"),
        ("field.Nothing = 1", "Column 1: found `Nothing`, expected the name of a field of your"),
    ],
)
def test_what_cannot_be_asked_is_told(filled: Company, text: str, sentence: str) -> None:
    assert problem(filled, text).startswith(sentence)


@pytest.fixture(scope="module")
def with_own(app: Flask) -> Company:
    """A company whose lists have fields of their own."""
    company = register(app.test_client(), "Own fields")
    home, work = add_list(company, "Home"), add_list(company, "Work")
    add_field(company, home, "Cost", "number")
    add_field(company, home, "Deadline", "date")
    add_field(company, home, "Risk level", "choice", "low", "high")
    add_field(company, home, "Billed", "boolean")
    add_field(company, home, "Note", "text")
    add_field(company, work, "cost", "text")
    cheap = {"Cost": 2.5, "Deadline": "2026-03-01", "Risk level": "low", "Billed": True}
    add_task(company, home["uuid"], "Cheap", fields={**cheap, "Note": "Łódź 2026-99-99"})
    add_task(company, home["uuid"], "Dear", fields={"Cost": 1000, "Risk level": "high"})
    add_task(company, home["uuid"], "Free", fields={"Billed": False, "Deadline": "2026-03-02"})
    add_task(company, work["uuid"], "Words", fields={"cost": "a lot"})
    return company


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("field.Cost > 100", ["Dear"]),
        ("field.cost <= 2.5", ["Cheap"]),
        ("field.COST = 1000", ["Dear"]),
        ("field.cost ~ LOT", ["Words"]),
        ("field.cost = 'a lot'", ["Words"]),
        ("field.cost is empty", ["Free"]),
        ("field.cost is not empty", ["Cheap", "Dear", "Words"]),
        ("not field.cost > 100", ["Cheap", "Free", "Words"]),
        ("field.cost != 1000", ["Cheap", "Free", "Words"]),
        ("field.cost in (2.5, 1000)", ["Cheap", "Dear"]),
        ("field.'Risk level' = high", ["Dear"]),
        ('field."risk level" in (low, high)', ["Cheap", "Dear"]),
        ("field.Billed = true", ["Cheap"]),
        ("field.Billed = false", ["Free"]),
        ("field.Deadline = 2026-03-01", ["Cheap"]),
        ("field.Deadline > 2026-03-01", ["Free"]),
        ("field.Deadline < now", ["Cheap", "Free"]),
        ("field.Deadline >= today", []),
        ("field.Note ~ lodz", ["Cheap"]),
        ('field.Note = "x\' OR 1=1 --"', []),
    ],
)
def test_a_field_of_a_list_finds_what_it_says(
    with_own: Company, text: str, found: list[str]
) -> None:
    assert titles(with_own, text) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("field.Deadline > 3", "Column 18: found `3`, expected a day "),
        ("field.Billed > true", "Column 14: found `>`, but of `Billed` only "),
        ("field.Billed = perhaps", "Column 16: found `perhaps`, expected `true` or `false`."),
        ("field.Deadline ~ x", "Column 16: found `~`, but of `Deadline` only "),
        ("field.cost = true1 and field.cost = 2026-03-01", "Column 37: found `2026-03-01`"),
    ],
)
def test_values_are_of_the_kind_of_the_field(with_own: Company, text: str, sentence: str) -> None:
    assert problem(with_own, text).startswith(sentence)


def test_fields_of_private_lists_are_not_there_for_others(acme: Company, globex: Company) -> None:
    secret = add_private(acme)
    add_field(acme, secret, "Codename", "text")
    add_task(acme, secret["uuid"], "Hidden", fields={"Codename": "x"})
    home = add_list(acme)
    add_field(acme, home, "Size", "number")
    add_field(acme, secret, "Size", "text")
    add_task(acme, home["uuid"], "Seen", fields={"Size": 1})
    person = acme.add_person()
    assert titles(acme, "field.Codename = x") == ["Hidden"]
    for somebody in (person, globex):
        assert "expected the name of a field" in problem(somebody, "field.Codename = x")
    assert titles(person, "field.Size is not empty") == ["Seen"]
    assert "expected a number" in problem(person, "field.Size = x")
    assert titles(person, 'title = "Hidden" or parent is empty') == ["Seen"]
    share(acme, secret, person, "read")
    assert titles(person, "field.Codename = x") == ["Hidden"]
    acme.delete(f"/lists/{secret['uuid']}")
    assert "expected the name of a field" in problem(acme, "field.Codename = x")
