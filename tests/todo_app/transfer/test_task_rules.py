"""Imports of tasks at their limits: large, hostile and simultaneous ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, inside
from tests.todo_app.lists.kit import add_private, share
from tests.todo_app.todos.shapes import add_list, add_task
from tests.todo_app.transfer.kit import a_file, exported, problems, send, taken, tasks_of
from todo_app.database import db
from todo_app.transfer import task_import

TABLES = ("tasks", "tags", "task_tags", "task_assignees", "activity", "changes")


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    statements: list[str] = []

    def count(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", count)


def rows_of(app: Flask, company: Company) -> dict[str, Any]:
    """How many rows there are in each table, and the last numbers of lists."""
    with inside(app, company.slug):
        found: dict[str, Any] = {
            table: db.session.scalar(sa.text(f"SELECT count(*) FROM {table}")) for table in TABLES
        }
        found["numbers"] = db.session.scalars(
            sa.text("SELECT last_number FROM lists ORDER BY id")
        ).all()
    return found


@pytest.mark.parametrize("is_dry", [True, False])
def test_nothing_at_all_is_written(app: Flask, acme: Company, is_dry: bool) -> None:
    home = add_list(acme)
    before = rows_of(app, acme)
    header = ("title", "tags", "assignees", "priority")
    rows = [(f"Task {n}", "new tag", acme.email, "3") for n in range(5)]
    if is_dry:
        answer = send(acme, "tasks", header, *rows, list_uuid=home["uuid"], dry_run="true")
        assert (answer.status_code, answer.json) == (200, {"imported": 0, "lines": 5})
    else:
        wrong = ("Last", "new tag", acme.email, "9")
        answer = send(acme, "tasks", header, *rows, wrong, list_uuid=home["uuid"])
        assert list(problems(answer)) == ["7"]
    assert rows_of(app, acme) == before


def test_a_dry_run_finds_what_an_import_finds(acme: Company) -> None:
    home = add_list(acme)
    header = ("id", "parent", "title", "assignees", "section")
    rows = [("1", "2", "A", "", ""), ("2", "1", "B", "x@y.z", ""), ("", "", "C", "", "None")]
    dry, real = (
        problems(send(acme, "tasks", header, *rows, list_uuid=home["uuid"], dry_run=flag))
        for flag in ("true", "false")
    )
    assert dry == real
    assert sorted(real) == ["2", "3", "4"]


def test_many_lists_take_as_few_statements_as_one(app: Flask, acme: Company) -> None:
    person = acme.add_person()
    lists = []
    for number in range(12):
        lists.append(add_private(acme, f"Private {number}"))
        share(acme, lists[-1], person, "read")
    header = ("list", "title", "tags", "assignees")
    numbers = []
    for some in (lists[:1], lists):
        rows = [
            (row["title"], f"{turn} {row['title']}", f"tag {turn} {len(some)}", person.email)
            for turn in range(3)
            for row in some
        ]
        with counted() as statements:
            taken(acme, "tasks", header, *rows)
        numbers.append(len(statements))
    assert numbers[1] <= numbers[0]
    with inside(app, acme.slug):
        found = db.session.execute(
            sa.text(
                "SELECT l.title, array_agg(t.number ORDER BY t.position, t.id)"
                " FROM tasks AS t JOIN lists AS l ON l.id = t.list_id GROUP BY l.title"
            )
        )
        assert dict(found.all()) == {
            "Private 0": [1, 2, 3, 4, 5, 6],
            **{f"Private {number}": [1, 2, 3] for number in range(1, 12)},
        }


def test_who_sees_one_private_list_is_not_put_into_another(acme: Company) -> None:
    person = acme.add_person()
    seen, unseen = add_private(acme, "Seen"), add_private(acme, "Unseen")
    share(acme, seen, person, "read")
    group = acme.post("/groups/", {"name": "Few"}).json["uuid"]
    acme.call("PUT", f"/groups/{group}/members/{person.uuid}")
    third = add_private(acme, "By group")
    path = f"/lists/{third['uuid']}/members/groups/{group}"
    assert acme.call("PUT", path, json={"access": "read"}).status_code == 200
    rows = [
        (row["title"], "T", who.email) for who in (person, acme) for row in (seen, unseen, third)
    ]
    found = problems(send(acme, "tasks", ("list", "title", "assignees"), *rows))
    assert found == {"3": {"assignees": found["3"]["assignees"]}}


@pytest.mark.parametrize("is_chunked", [False, True])
def test_200_mb_are_refused_without_being_read(acme: Company, is_chunked: bool) -> None:
    class Endless:
        taken = 0

        def read(self, size: int = -1) -> bytes:
            size = 1_000_000 if size < 0 else size
            Endless.taken += size
            return b"a" * size if Endless.taken < 200_000_000 else b""

        def readinto(self, buffer: Any) -> int:
            data = self.read(len(buffer))
            buffer[: len(data)] = data
            return len(data)

    environ: dict[str, Any] = {"wsgi.input": Endless()}
    environ |= {"wsgi.input_terminated": True} if is_chunked else {"CONTENT_LENGTH": "200000000"}
    answer = acme.call("POST", "/tasks/import", content_type="text/csv", environ_overrides=environ)
    assert_problem(answer, 413)
    assert Endless.taken <= (task_import.MAX_BYTES + 1_000_000 if is_chunked else 0)


@pytest.mark.parametrize(
    ("body", "line", "problem"),
    [
        ("title\r\nMilk\r\nŁódź\r\n".encode("cp1250"), "3", "Is not UTF-8."),
        ("title\r\nMilk\r\n".encode("utf-16"), "1", "Is not UTF-8."),
        ("title\r\nMilk\r\n".encode("utf-16-le"), "1", "Has a null byte."),
        (b"title\r\nMilk\r\nA\x00B\r\n", "3", "Has a null byte."),
        (b"title\r\nMilk\r\n\xed\xa0\x80\r\n", "3", "Is not UTF-8."),
        (b'title\r\nMilk\r\n"A', "3", "Cannot be read: its quotes are broken"),
        (b"title\r\n" + b"A" * 200_000, "2", "Cannot be read: its quotes are broken, or a cell"),
    ],
    ids=["cp1250", "utf-16", "utf-16-le", "null", "surrogate", "quotes", "long cell"],
)
def test_the_line_that_cannot_be_read_is_told(
    acme: Company, body: bytes, line: str, problem: str
) -> None:
    answer = acme.call("POST", "/tasks/import", data=body, content_type="text/csv")
    found = problems(answer)
    assert list(found) == [line]
    assert found[line]["line"][0].startswith(problem)


def test_a_file_that_takes_minutes_to_check_is_refused_at_once(acme: Company) -> None:
    home = add_list(acme)
    never = ("A", "2026-12-31", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "")
    links = ("A", "", "", "[" * 19_990 + "[a]: b")
    header = ("title", "due", "recurrence", "description")
    for row, column, number in ((never, "recurrence", 1_002), (links, "description", 27)):
        started = time.monotonic()
        answer = send(acme, "tasks", header, *[row] * (number + 50), list_uuid=home["uuid"])
        assert time.monotonic() - started < 10
        assert list(problems(answer)) == [str(number)]
        assert list(problems(answer)[str(number)]) == [column]


def test_a_line_that_stands_there_twice_is_two_tasks(acme: Company) -> None:
    home = add_list(acme, symbol="HO")
    assert taken(acme, "tasks", ("title",), ("Milk",), ("Milk",), list_uuid=home["uuid"]) == 2
    assert [row["title"] for row in exported(acme, "tasks")] == ["Milk", "Milk"]
    items = acme.get("/tasks/").json["items"]
    assert sorted(task["symbol"] for task in items) == ["HO-1", "HO-2"]


@pytest.mark.parametrize(
    "title",
    ["=1+1", "+48 600", "-1", "@A1", "'=1", "''=1", "'90s", "\uff1d1", "=cmd|' /C calc'!A0"],
)
def test_no_cell_is_a_formula_and_each_comes_back(acme: Company, title: str) -> None:
    home = add_list(acme)
    tag = acme.post("/tags/", {"name": title[:50]}).json["uuid"]
    add_task(acme, home["uuid"], title, description=f"{title}\n{title}", tag_uuids=[tag])
    text = acme.get("/tasks/export").text
    [first] = exported(acme, "tasks")
    assert not any(cell.startswith(tuple("=+-@\t\r\uff1d")) for cell in first.values())
    answer = acme.call("POST", "/tasks/import", data=text.encode(), content_type="text/csv")
    assert answer.status_code == 201, answer.text
    items = acme.get("/tasks/").json["items"]
    assert {task["title"] for task in items} == {title}
    assert len({task["description"] for task in items}) == 1
    assert [[each["uuid"] for each in task["tags"]] for task in items] == [[tag], [tag]]


def test_a_parent_may_be_spelled_in_several_ways(acme: Company) -> None:
    home = add_list(acme)
    parent = add_task(acme, home["uuid"], "Parent")["uuid"]
    rows = [("A", parent), ("B", parent.upper()), ("C", parent)]
    taken(acme, "tasks", ("title", "parent"), *rows, list_uuid=home["uuid"])
    tasks = tasks_of(acme)
    assert {tasks[name]["parent_uuid"] for name in "ABC"} == {parent}


def test_no_parent_is_in_the_trash_or_out_of_sight(acme: Company) -> None:
    person = acme.add_person()
    home = add_list(person)
    gone = add_task(person, home["uuid"])["uuid"]
    person.delete(f"/tasks/{gone}")
    hidden = add_task(acme, add_private(acme)["uuid"])["uuid"]
    rows = [("A", gone), ("B", hidden)]
    found = problems(send(person, "tasks", ("title", "parent"), *rows, list_uuid=home["uuid"]))
    assert [list(found[line]) for line in ("2", "3")] == [["parent"], ["parent"]]
    assert found["2"] == found["3"]


def test_ten_thousand_lines_inside_each_other(acme: Company) -> None:
    home = add_list(acme)
    lines = task_import.MAX_LINES
    rows = [(str(n), str(n + 1) if n + 1 < lines else "", f"Task {n}") for n in range(lines)]
    header = ("id", "parent", "title")
    assert taken(acme, "tasks", header, *rows, list_uuid=home["uuid"]) == lines
    rows[-1] = (rows[-1][0], "0", rows[-1][2])
    answer = send(acme, "tasks", header, *rows, list_uuid=home["uuid"])
    assert len(problems(answer)) == 100
    assert answer.json["errors"]["counts"] == {"lines": lines, "bad_lines": lines}


def test_many_new_tags_are_made_at_once(app: Flask, acme: Company) -> None:
    home = add_list(acme)
    acme.post("/tags/", {"name": "Tag 1"})
    rows = [(f"Task {n}", f"tag {n},TAG {n},tag {n + 1},Tag {n % 7}") for n in range(300)]
    with counted() as statements:
        taken(acme, "tasks", ("title", "tags"), *rows, list_uuid=home["uuid"])
    assert max(map(len, statements)) < 5_000
    with inside(app, acme.slug):
        tags = "SELECT count(*), count(DISTINCT lower(name)) FROM tags"
        number, names = db.session.execute(sa.text(tags)).one()
        marks = db.session.scalar(sa.text("SELECT count(*) FROM changes WHERE kind = 'tag'"))
    assert number == names == marks == 301


def test_an_import_that_waits_for_the_end_of_its_share_is_refused(
    app: Flask, acme: Company
) -> None:
    writer = acme.add_person()
    hidden = add_private(acme)
    share(acme, hidden, writer, "write")
    answers: list[Any] = []

    def work() -> None:
        own = replace(writer, client=app.test_client())
        body = a_file(("title",), ("Milk",))
        query = {"list_uuid": hidden["uuid"]}
        answers.append(
            own.call(
                "POST", "/tasks/import", data=body, content_type="text/csv", query_string=query
            )
        )

    thread = threading.Thread(target=work)
    with inside(app, acme.slug):
        # What `DELETE /lists/{uuid}/members/users/{uuid}` does, which ends when the import waits.
        db.session.execute(
            sa.text("SELECT FROM lists WHERE uuid = :uuid FOR UPDATE"), {"uuid": hidden["uuid"]}
        )
        db.session.execute(sa.text("DELETE FROM list_members"))
        thread.start()
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            waiting = sa.text(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND pid IN (SELECT pid FROM pg_locks WHERE granted"
                " AND relation = 'lists'::regclass)"
            )
            if db.session.scalar(waiting):
                break
            time.sleep(0.02)
    thread.join()
    assert problems(answers[0])["2"] == {"list": ["There is no such list."]}
    assert tasks_of(acme) == {}
