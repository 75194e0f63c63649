"""Tasks from and to CSV: all or none, with a report by line."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once, inside, statuses
from tests.todo_app.lists.kit import add_private, share
from tests.todo_app.people import person_who_may
from tests.todo_app.todos.shapes import add_list, add_task
from tests.todo_app.transfer.kit import a_file, exported, problems, send, taken, tasks_of
from todo_app.activity.models import Activity, Change
from todo_app.database import db
from todo_app.todos.models import Tag, Task, TaskTag
from todo_app.transfer import task_import, task_lines


def test_all_columns_come_in(acme: Company) -> None:
    home = add_list(acme, "Home", symbol="HO")
    acme.post(f"/lists/{home['uuid']}/sections", {"title": "Kitchen"})
    person = acme.add_person()
    number = taken(
        acme,
        "tasks",
        task_import.COLUMNS,
        (
            *("a", "", "home", "kitchen", "Cook", "*Soup*", "in_progress", "3"),
            *("2026-03-01T09:00:00+01:00", "2026-03-02T10:00:00Z", "Europe/Warsaw"),
            *("FREQ=WEEKLY", "completion", "3600", "", f"{person.email},{acme.uuid}"),
            'Urgent,"soup, hot"',
        ),
        ("b", "a", "Home", "", "Wash", *[""] * 12),
        (
            *("c", "", home["uuid"], "", "Buy", "", "done", "", "", "2026-03-05", "Asia/Tokyo"),
            *("", "", "", "2026-03-04T00:00:00Z", "", "urgent"),
        ),
    )
    assert number == 3
    tasks = tasks_of(acme)
    cook, wash, buy = tasks["Cook"], tasks["Wash"], tasks["Buy"]
    told = ("symbol", "description", "status", "priority", "estimate_seconds", "recurs_from")
    assert [cook[name] for name in told] == ["HO-1", "*Soup*", "in_progress", 3, 3600, "completion"]
    assert (cook["start_at"], cook["due_at"]) == (
        "2026-03-01T08:00:00+00:00",
        "2026-03-02T10:00:00+00:00",
    )
    assert cook["recurrence"] == "FREQ=WEEKLY"
    assert [tag["name"] for tag in cook["tags"]] == ["soup, hot", "Urgent"]
    assert {who["uuid"] for who in cook["assignees"]} == {person.uuid, acme.uuid}
    assert wash["parent_uuid"] == cook["uuid"]
    assert (wash["symbol"], wash["status"], wash["is_all_day"]) == ("HO-2", "new", False)
    assert (buy["is_all_day"], buy["due_at"]) == (True, "2026-03-04T15:00:00+00:00")
    assert buy["completed_at"] == "2026-03-04T00:00:00+00:00"
    assert buy["tags"] == [cook["tags"][1]]
    assert cook["position"] < wash["position"] < buy["position"]
    later = add_task(acme, home["uuid"], "Later")
    assert (later["symbol"], later["position"] > buy["position"]) == ("HO-4", True)


def test_what_was_exported_comes_back(acme: Company, globex: Company) -> None:
    first = add_list(acme, "One")
    for company in (acme, globex):
        section = {"title": "Part, two"}
        home = add_list(company, "Home")
        company.post(f"/lists/{home['uuid']}/sections", section)
    home_uuid = acme.get("/lists/?search=Home").json["items"][0]["uuid"]
    section = acme.get(f"/lists/{home_uuid}/sections").json["items"][0]["uuid"]
    tags = [acme.post("/tags/", {"name": name}).json["uuid"] for name in ("a,b", '"q"', "=1+1")]
    child = add_task(acme, home_uuid, "Child", description="a\nb;\"c\", 'd'")
    parent = add_task(acme, home_uuid, "=HYPERLINK(1)", section_uuid=section, tag_uuids=tags)
    acme.patch(f"/tasks/{child['uuid']}", {"parent_uuid": parent["uuid"]})
    days = {"start_at": "2026-02-27T23:00:00Z", "due_at": "2026-02-28T23:00:00Z"}
    add_task(acme, home_uuid, "Day", is_all_day=True, timezone="Europe/Warsaw", **days)
    series = {"recurrence": "FREQ=DAILY", "due_at": "2026-03-01T10:00:00Z"}
    done = add_task(acme, home_uuid, "Series", **series)
    acme.post(f"/tasks/{done['uuid']}/complete")
    add_task(acme, first["uuid"], "Elsewhere")
    found = {"filter": "list = home"}
    text = acme.get("/tasks/export", query_string=found).text
    assert "'=HYPERLINK" in text
    answer = globex.call("POST", "/tasks/import", data=text.encode(), content_type="text/csv")
    assert answer.status_code == 201, answer.text
    again, before = exported(globex, "tasks"), exported(acme, "tasks", **found)
    assert len(again) == len(before) == 5
    ids = {old["id"]: new["id"] for old, new in zip(before, again, strict=True)}
    for old in before:
        old["id"], old["parent"] = ids[old["id"]], ids.get(old["parent"], "")
    assert again == before


def test_a_header_and_a_list_of_the_request_are_enough(acme: Company) -> None:
    home = add_list(acme)
    rows = (("title",), ("Milk",), ("Bread",))
    assert taken(acme, "tasks", *rows, list_uuid=home["uuid"]) == 2
    assert problems(send(acme, "tasks", *rows))["2"] == {"list": [task_lines.NO_LIST]}


def test_each_task_is_in_the_timeline_and_marked(app: Flask, acme: Company) -> None:
    home = add_list(acme)
    rows = (("title", "tags"), ("Milk", "new tag"), ("Bread", ""))
    taken(acme, "tasks", *rows, list_uuid=home["uuid"])
    tasks = tasks_of(acme)
    with inside(app, acme.slug):
        entries = db.session.execute(
            sa.select(Task.title, Activity.action, Activity.changes).join(
                Task, Task.id == Activity.task_id
            )
        ).all()
        marks = set(db.session.execute(sa.select(Change.kind, Change.uuid)).all())
        tag = db.session.scalars(sa.select(Tag.uuid)).one()
    told = {title: (action, changes) for title, action, changes in entries}
    assert told["Bread"] == ("task.added", {"title": [None, "Bread"], "status": [None, "new"]})
    assert told["Milk"][1]["tags"] == [[], [str(tag)]]
    wanted = {("task", uuid.UUID(task["uuid"])) for task in tasks.values()}
    assert wanted | {("tag", tag)} <= marks


def test_nothing_is_imported_where_one_line_is_wrong(acme: Company) -> None:
    home = add_list(acme, "Home")
    add_list(acme, "Twice")
    add_list(acme, "twice")
    folder = add_list(acme, "Folder", kind="folder")
    old = add_list(acme, "Old")
    acme.post(f"/lists/{old['uuid']}/archive")
    elsewhere = add_task(acme, home["uuid"], "There")
    add_list(acme, "Other")
    header = ("id", "parent", "list", "title", "status", "priority", "start", "due", "recurrence")
    header += ("completed", "assignees", "tags", "section", "estimate_seconds", "timezone")

    def line(**cells: str) -> tuple[str, ...]:
        return tuple({"list": "Home", "title": "T", **cells}.get(name, "") for name in header)

    wrong: list[tuple[dict[str, str], str]] = [
        ({"title": ""}, "title"),
        ({"title": "x" * 256}, "title"),
        ({"list": "Nowhere"}, "list"),
        ({"list": "Twice"}, "list"),
        ({"list": "Folder"}, "list"),
        ({"list": folder["uuid"]}, "list"),
        ({"list": "Old"}, "list"),
        ({"list": str(uuid.uuid4())}, "list"),
        ({"status": "perhaps"}, "status"),
        ({"priority": "6"}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"due": "tomorrow"}, "due"),
        ({"due": "2026-02-30"}, "due"),
        ({"due": "0001-01-01"}, "due"),
        ({"due": "2026-03-01T10:00:00"}, "due"),
        ({"start": "2026-03-02", "due": "2026-03-01"}, "start"),
        ({"start": "2026-03-02", "due": "2026-03-03T00:00:00Z"}, "start"),
        ({"recurrence": "FREQ=DAILY"}, "recurrence"),
        ({"recurrence": "FREQ=HOURLY", "due": "2026-03-01"}, "recurrence"),
        ({"recurrence": "nonsense", "due": "2026-03-01"}, "recurrence"),
        ({"recurrence": "FREQ=DAILY", "due": "2026-03-01", "status": "done"}, "recurrence"),
        ({"completed": "2026-03-01T10:00:00Z"}, "completed"),
        ({"assignees": "nobody@example.com"}, "assignees"),
        ({"assignees": str(uuid.uuid4())}, "assignees"),
        ({"tags": "x" * 51}, "tags"),
        ({"tags": '"broken'}, "tags"),
        ({"tags": ",".join(map(str, range(51)))}, "tags"),
        ({"section": "Nowhere"}, "section"),
        ({"estimate_seconds": "-1"}, "estimate_seconds"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"parent": "nothing"}, "parent"),
        ({"parent": elsewhere["uuid"], "list": "Other"}, "parent"),
        ({"id": "1"}, ""),
        ({"id": "1"}, "id"),
        ({"id": "2", "parent": "3"}, "parent"),
        ({"id": "3", "parent": "2"}, "parent"),
        ({"id": "4", "parent": "4"}, "parent"),
        ({"parent": "1", "list": "Other"}, "parent"),
    ]
    found = problems(send(acme, "tasks", header, *(line(**cells) for cells, _ in wrong)))
    told = {number: sorted(columns) for number, columns in found.items()}
    assert told == {str(number): [column] for number, (_, column) in enumerate(wrong, 2) if column}
    assert [*tasks_of(acme)] == ["There"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"title\r\n", 422),
        (b"nonsense\r\nA\r\n", 422),
        (b"list\r\nA\r\n", 422),
        (b"title,title\r\nA,B\r\n", 422),
        (b'title\r\n"A\r\n', 422),
        (b"title\r\n\xff\r\n", 422),
        (b"title\r\nA\x00B\r\n", 422),
        (b"title\r\n" + b"A\r\n" * 10_001, 413),
        (b"title\r\n" + b"A" * task_import.MAX_BYTES, 413),
    ],
    ids=[
        "empty",
        "header",
        "column",
        "no title",
        "twice",
        "quotes",
        "utf-8",
        "null",
        "many",
        "big",
    ],
)
def test_files_that_are_none(acme: Company, body: bytes, status: int) -> None:
    answer = acme.call("POST", "/tasks/import", data=body, content_type="text/csv")
    assert_problem(answer, status)


def test_other_media_types_are_refused(acme: Company) -> None:
    assert_problem(acme.post("/tasks/import", {"title": "A"}), 415)


def test_a_dry_run_changes_nothing(app: Flask, acme: Company) -> None:
    home = add_list(acme)
    rows = (("title", "tags"), ("Milk", "new"))
    answer = send(acme, "tasks", *rows, list_uuid=home["uuid"], dry_run="true")
    assert (answer.status_code, answer.json) == (200, {"imported": 0, "lines": 1})
    assert tasks_of(acme) == {}
    with inside(app, acme.slug):
        assert db.session.scalars(sa.select(Tag.id)).all() == []


def test_lists_that_one_may_not_write_in(acme: Company, globex: Company) -> None:
    person = acme.add_person()
    secret, shown = add_private(acme, "Secret"), add_private(acme, "Shown")
    task = add_task(acme, secret["uuid"])
    share(acme, shown, person, "read")
    header = ("title", "list", "parent")
    rows = [("A", "Secret", ""), ("A", secret["uuid"], ""), ("A", "Shown", "")]
    found = problems(send(person, "tasks", header, *rows))
    unseen, unwritten = "There is no such list.", "You may not write in this list."
    assert [found[number]["list"][0] for number in "234"] == [unseen, unseen, unwritten]
    own = add_list(person, "Own")
    found = problems(send(person, "tasks", header, ("A", own["uuid"], task["uuid"])))
    assert list(found["2"]) == ["parent"]
    found = problems(send(globex, "tasks", header, ("A", own["uuid"], "")))
    assert found["2"] == {"list": [unseen]}
    reader = acme.add_person("read_only")
    assert_problem(send(reader, "tasks", header, ("A", own["uuid"], "")), 403)
    assert [row["title"] for row in exported(person, "tasks")] == []
    assert [row["title"] for row in exported(acme, "tasks")] == ["Buy milk"]


def test_assignees_see_the_list(acme: Company) -> None:
    person, stranger = acme.add_person(), acme.add_person()
    secret = add_private(acme)
    share(acme, secret, person, "read")
    rows = [("A", person.email.upper()), ("B", stranger.email)]
    found = problems(send(acme, "tasks", ("title", "assignees"), *rows, list_uuid=secret["uuid"]))
    assert list(found) == ["3"]
    assert taken(acme, "tasks", ("title", "assignees"), rows[0], list_uuid=secret["uuid"]) == 1


def test_addresses_are_for_those_who_may_read_users(acme: Company) -> None:
    home = add_list(acme)
    add_task(acme, home["uuid"], assignee_uuids=[acme.uuid])
    narrow = person_who_may(acme, "tasks:read")
    assert exported(acme, "tasks")[0]["assignees"] == acme.email
    assert exported(narrow, "tasks")[0]["assignees"] == acme.uuid


def test_equal_names_are_exported_as_ids(acme: Company) -> None:
    first, second = add_list(acme, "Same"), add_list(acme, "same")
    for home in (first, second):
        add_task(acme, home["uuid"])
    lists = [row["list"] for row in exported(acme, "tasks")]
    assert lists == [first["uuid"], second["uuid"]]


def test_imports_at_one_instant_give_each_number_once(app: Flask, acme: Company) -> None:
    one, two = add_list(acme, "One", symbol="ONE"), add_list(acme, "Two", symbol="TWO")
    names = ("One", "Two")
    files: list[Any] = []
    for turn in range(4):
        rows = [
            (f"T{turn}", names[(n + turn) % 2], f"tag {n * (turn % 2 or -1)}") for n in range(30)
        ]
        files.append(a_file(("title", "list", "tags"), *rows))

    def sender(body: bytes) -> Any:
        return lambda who: who.call("POST", "/tasks/import", data=body, content_type="text/csv")

    answers = at_once(app, *((acme, sender(body)) for body in files))
    assert statuses(answers) == [201] * 4
    with inside(app, acme.slug):
        for uuid_ in (one["uuid"], two["uuid"]):
            numbers = sa.select(Task.number).where(
                Task.list_id
                == sa.select(sa.text("id"))
                .select_from(sa.text("lists"))
                .where(sa.text("uuid = :uuid"))
                .scalar_subquery()
            )
            found = db.session.scalars(numbers, {"uuid": uuid_}).all()
            assert sorted(found) == list(range(1, 61))
        assert db.session.scalar(sa.select(sa.func.count()).select_from(TaskTag)) == 120


def test_a_large_file_takes_few_statements(app: Flask, acme: Company) -> None:
    home = add_list(acme)
    counted: list[int] = []
    for number in (1, 300):
        statements: list[str] = []

        def count(_c: Any, _u: Any, statement: str, *_: Any, to: list[str] = statements) -> None:
            to.append(statement)

        sa.event.listen(sa.engine.Engine, "before_cursor_execute", count)
        try:
            rows = [(str(n), "", f"Task {n}", f"tag {n % 7}", acme.email) for n in range(number)]
            rows[-1] = (rows[-1][0], rows[0][0] if number > 1 else "", *rows[-1][2:])
            header = ("id", "parent", "title", "tags", "assignees")
            taken(acme, "tasks", header, *rows, list_uuid=home["uuid"])
        finally:
            sa.event.remove(sa.engine.Engine, "before_cursor_execute", count)
        counted.append(len(statements))
    assert counted[1] <= counted[0] + 2


def come_back(company: Company) -> int:
    """How what is exported comes back in."""
    file = company.get("/tasks/export").data
    answer = company.call("POST", "/tasks/import", data=file, content_type="text/csv")
    return int(answer.status_code)


def test_what_is_put_off_beyond_its_rule_comes_back_in_without_it(acme: Company) -> None:
    home = add_list(acme)["uuid"]
    rule = {"recurrence": "FREQ=DAILY;UNTIL=20900105T000000Z"}
    task = add_task(acme, home, due_at="2090-01-02T09:00:00Z", **rule)
    put_off = acme.patch(f"/tasks/{task['uuid']}", {"due_at": "2090-01-08T09:00:00Z"})
    assert put_off.status_code == 200
    assert come_back(acme) == 201
    rules = [one["recurrence"] for one in acme.get("/tasks/").json["items"]]
    assert sorted(rules, key=bool) == [None, rule["recurrence"]]


@pytest.mark.parametrize("name", ["a\nb", "a\rb"])
def test_a_tag_of_two_lines_comes_back_in(acme: Company, name: str) -> None:
    tag = acme.post("/tags", {"name": name}).json["uuid"]
    add_task(acme, add_list(acme)["uuid"], tag_uuids=[tag])
    assert come_back(acme) == 201
    tags = [[one["uuid"] for one in task["tags"]] for task in acme.get("/tasks/").json["items"]]
    assert tags == [[tag], [tag]]
