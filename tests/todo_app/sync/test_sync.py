"""`GET /sync`: nothing is missed, nothing is told to those who may not see it."""

from __future__ import annotations

import base64
import functools
import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, at_once, inside
from tests.todo_app.sync.kit import Replica
from todo_app.database import db
from todo_app.sync.tokens import KEPT_FOR, Token


def add_task(company: Company, todo_list: str, title: str) -> str:
    answer = company.post("/tasks/", {"title": title, "list_uuid": todo_list})
    assert answer.status_code == 201, answer.json
    return str(answer.json["uuid"])


@pytest.fixture
def home(acme: Company) -> str:
    return str(acme.post("/lists/", {"title": "Home"}).json["uuid"])


def test_a_first_read_gives_all_there_is_and_nothing_that_is_gone(acme: Company, home: str) -> None:
    for number in range(5):
        add_task(acme, home, f"Task {number}")
    acme.delete(f"/tasks/{add_task(acme, home, 'Gone')}")
    replica = Replica(acme, size=2)
    answers = replica.pull()
    assert replica.titles() == [f"Task {number}" for number in range(5)]
    assert replica.titles("list") == ["Home"]
    assert len(answers) > 3
    assert all(not answer["deleted"] for answer in answers)


def test_later_reads_give_what_has_changed_since(acme: Company, home: str) -> None:
    kept, changed, deleted = (add_task(acme, home, title) for title in ("A", "B", "C"))
    replica = Replica(acme)
    replica.pull()
    [nothing] = replica.pull()
    assert [nothing[name] for name in ("lists", "tasks", "deleted", "list_uuids")] == [
        [],
        [],
        [],
        None,
    ]
    acme.patch(f"/tasks/{changed}", {"title": "Other"})
    acme.delete(f"/tasks/{deleted}")
    [answer] = replica.pull()
    assert [task["uuid"] for task in answer["tasks"]] == [changed]
    assert answer["deleted"] == [{"kind": "task", "uuid": deleted}]
    assert set(replica.things["task"]) == {kept, changed}
    acme.post(f"/tasks/{deleted}/restore")
    replica.pull()
    assert replica.titles() == ["A", "C", "Other"]


def test_versions_are_those_that_bulk_operations_want(acme: Company, home: str) -> None:
    task = add_task(acme, home, "A")
    replica = Replica(acme)
    replica.pull()
    number = replica.things["task"][task]["version"]
    body = {"operations": [{"kind": "complete", "uuid": task, "version": number}]}
    assert acme.post("/tasks/bulk", body).status_code == 200
    assert acme.post("/tasks/bulk", body).status_code == 412


def test_a_transaction_that_ends_late_is_not_missed(app: Flask, acme: Company, home: str) -> None:
    """It began before what the reader has seen already."""
    task, other = add_task(acme, home, "A"), add_task(acme, home, "B")
    replica = Replica(acme)
    replica.pull()
    has_begun, may_end = threading.Event(), threading.Event()

    def write_late() -> None:
        with inside(app, acme.slug):
            db.session.execute(
                sa.text("UPDATE tasks SET title = 'Late' WHERE uuid = :uuid"), {"uuid": task}
            )
            db.session.execute(
                sa.text(
                    "UPDATE changes SET transaction = pg_current_xact_id()::text::bigint"
                    " WHERE uuid = :uuid"
                ),
                {"uuid": task},
            )
            has_begun.set()
            may_end.wait(20)

    thread = threading.Thread(target=write_late)
    thread.start()
    assert has_begun.wait(10)
    acme.patch(f"/tasks/{other}", {"title": "Early"})
    replica.pull()
    may_end.set()
    thread.join()
    replica.pull()
    assert replica.titles() == ["Early", "Late"]


def test_a_share_that_ends_takes_everything_back(acme: Company, home: str) -> None:
    person = acme.add_person()
    acme.patch(f"/lists/{home}", {"visibility": "private"})
    add_task(acme, home, "Secret")
    replica = Replica(person)
    [answer] = replica.pull()
    assert answer["list_uuids"] == answer["tasks"] == answer["deleted"] == []
    member = f"/lists/{home}/members/users/{person.uuid}"
    acme.call("PUT", member, json={"access": "read"})
    replica.pull()
    assert (replica.titles(), replica.titles("list")) == (["Secret"], ["Home"])
    acme.delete(member)
    replica.pull()
    assert (replica.titles(), replica.titles("list")) == ([], [])


def test_a_task_that_moves_into_a_private_list_is_gone_for_others(acme: Company, home: str) -> None:
    person = acme.add_person()
    secret = acme.post("/lists/", {"title": "Mine", "visibility": "private"}).json["uuid"]
    task = add_task(acme, home, "A")
    entry = {"started_at": "2026-03-01T09:30:00Z", "ended_at": "2026-03-01T10:30:00Z"}
    assert acme.post(f"/tasks/{task}/time-entries", entry).status_code == 201
    theirs, mine = Replica(person), Replica(acme)
    theirs.pull()
    mine.pull()
    acme.patch(f"/tasks/{task}", {"list_uuid": secret})
    [answer] = theirs.pull()
    assert answer["deleted"] == [{"kind": "task", "uuid": task}]
    mine.pull()
    assert mine.titles() == ["A"]
    assert len(mine.things["time_entry"]) == 1
    # Nothing tells others of what happens there from now on.
    acme.patch(f"/tasks/{task}", {"title": "B"})
    [answer] = theirs.pull()
    assert answer["tasks"] == answer["deleted"] == []


def test_nothing_of_another_company_is_told(acme: Company, globex: Company, home: str) -> None:
    add_task(acme, home, "A")
    replica = Replica(globex)
    replica.pull()
    assert not any(replica.things.values())
    mine = Replica(acme)
    mine.pull()
    answer = globex.get("/sync", query_string={"since": mine.token})
    assert assert_problem(answer, 410)["type"] == "urn:todo:problem:sync-token-expired"


def test_a_token_that_is_too_old_is_refused(acme: Company) -> None:
    token = Token.parse(acme.get("/sync").json["token"])
    long_ago = datetime.now(UTC) - KEPT_FOR - timedelta(minutes=1)
    old = str(token._replace(made_at=int(long_ago.timestamp())))
    assert_problem(acme.get("/sync", query_string={"since": old}), 410)


def packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "ÄÖ",
        "=" * 9,
        packed("no token"),
        packed("1|2|3|4|task|not-a-uuid|0"),
        packed(f"1|2|3|{2**63}|task|{'0' * 32}|0"),
        packed(f"1|-2|3|4|task|{'0' * 32}|0"),
        packed(f"1|2|3|4|ta\x00sk|{'0' * 32}|0"),
        packed(f"1|2|3|{'9' * 400}|task|{'0' * 32}|0"),
        "A" * 501,
    ],
)
def test_what_is_no_token_is_422(acme: Company, token: str) -> None:
    assert_problem(acme.get("/sync", query_string={"since": token}), 422)


@pytest.mark.parametrize("query", [{"size": 0}, {"size": 501}, {"size": "x"}, {"other": 1}])
def test_bad_parameters_are_422(acme: Company, query: dict[str, object]) -> None:
    assert_problem(acme.get("/sync", query_string=query), 422)


def test_nothing_new_costs_one_probe_of_an_index(app: Flask, acme: Company, home: str) -> None:
    add_task(acme, home, "A")
    replica = Replica(acme)
    replica.pull()
    seen: list[str] = []

    def note(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    with app.app_context():
        engine = db.engines[None]
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        replica.pull()
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert len([sql for sql in seen if "changes" in sql]) == 1
    # The other one lets the request in.
    assert len(seen) == 2
    with inside(app, acme.slug):
        db.session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        plan = db.session.scalars(
            sa.text(
                "EXPLAIN SELECT * FROM changes WHERE (transaction, kind, uuid, list_id)"
                " > (1, '', gen_random_uuid(), 0)"
                " ORDER BY transaction, kind, uuid, list_id LIMIT 200"
            )
        ).all()
    assert any("Index" in line and "ix_changes_transaction" in line for line in plan)


def test_a_reader_among_writers_misses_nothing(app: Flask, acme: Company, home: str) -> None:
    """Many write at the same time, and the transactions end in any order."""
    tasks = [add_task(acme, home, f"Task {number}") for number in range(6)]
    replica = Replica(acme, size=3)

    def write(me: Person, task: str) -> TestResponse:
        for number in range(5):
            me.post("/tasks/", {"title": f"New {task} {number}", "list_uuid": home})
            me.patch(f"/tasks/{task}", {"priority": number})
        return me.delete(f"/tasks/{task}") if tasks.index(task) % 2 else me.get("/sync")

    def read(me: Person) -> TestResponse:
        replica.person = me
        for _ in range(12):
            replica.pull()
        return me.get("/sync")

    writers = [(acme, functools.partial(write, task=task)) for task in tasks]
    answers = at_once(app, *writers, (acme, read))
    assert {answer.status_code for answer in answers} == {200, 204}
    replica.person = acme
    replica.pull()
    fresh = Replica(acme)
    fresh.pull()
    assert replica.things == fresh.things
    assert len(replica.things["task"]) == 6 * 5 + 3
