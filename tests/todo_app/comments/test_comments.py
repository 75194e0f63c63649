"""`/comments`."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once, statuses
from tests.todo_app.sync.kit import Replica


@pytest.fixture
def home(acme: Company) -> str:
    return str(acme.post("/lists/", {"title": "Home"}).json["uuid"])


@pytest.fixture
def task(acme: Company, home: str) -> str:
    return str(acme.post("/tasks/", {"title": "Buy milk", "list_uuid": home}).json["uuid"])


def say(person: Any, task: str, text: str = "Which *shop*?") -> str:
    answer = person.post("/comments/", {"task_uuid": task, "text": text})
    assert answer.status_code == 201, answer.json
    return str(answer.json["uuid"])


def comments(person: Any, **query: str) -> list[dict[str, Any]]:
    answer = person.get("/comments/", query_string=query)
    assert answer.status_code == 200, answer.json
    items: list[dict[str, Any]] = answer.json["items"]
    return items


def test_a_comment_is_shown_with_its_author_and_as_html(acme: Company, task: str) -> None:
    person = acme.add_person()
    shown = acme.get(f"/comments/{say(person, task)}").json
    assert shown["text_html"] == "<p>Which <em>shop</em>?</p>\n"
    assert (shown["task_uuid"], shown["author"]["uuid"]) == (task, person.uuid)
    assert comments(acme, task_uuid=task) == [shown]
    assert comments(acme, author_uuid=acme.uuid) == []
    assert comments(acme, search="SHOP") == [shown]
    entry = acme.get("/activity/", query_string={"task_uuid": task}).json["items"][0]
    assert entry["action"] == "comment.added"


def test_only_its_author_changes_it(app: Flask, acme: Company, task: str) -> None:
    person = acme.add_person()
    comment = f"/comments/{say(person, task)}"
    assert_problem(acme.patch(comment, {"text": "Mine"}), 403)
    assert person.patch(comment, {"text": "This one?"}).json["text"] == "This one?"
    assert person.patch(comment, {}).json["text"] == "This one?"
    tag = person.get(comment).headers["ETag"]
    answers = at_once(
        app,
        *[
            (person, lambda me, n=n: me.patch(comment, {"text": n}, headers={"If-Match": tag}))
            for n in "ABC"
        ],
    )
    assert statuses(answers) == [200, 412, 412]


def test_what_is_deleted_keeps_its_place_and_nothing_else(acme: Company, task: str) -> None:
    person = acme.add_person()
    first, second = say(acme, task, f"Ask @{person.email}"), say(acme, task, "Second")
    replica = Replica(person)
    replica.pull()
    assert set(replica.things["comment"]) == {first, second}
    assert acme.delete(f"/comments/{first}").status_code == 204
    shown = comments(person, task_uuid=task)
    assert [one["uuid"] for one in shown] == [first, second]
    gone = shown[0]
    assert (gone["text"], gone["text_html"], gone["mentions"]) == (None, None, [])
    assert gone["deleted_at"]
    assert comments(person, search="Ask") == []
    assert_problem(acme.patch(f"/comments/{first}", {"text": "Again"}), 404)
    assert_problem(acme.delete(f"/comments/{first}"), 404)
    replica.pull()
    assert set(replica.things["comment"]) == {second}


def test_an_admin_of_the_list_deletes_what_others_have_said(
    acme: Company, home: str, task: str
) -> None:
    writer = acme.add_person()
    acme.patch(f"/lists/{home}", {"visibility": "private"})
    member = f"/lists/{home}/members/users/{writer.uuid}"
    acme.call("PUT", member, json={"access": "write"})
    theirs, mine = say(writer, task), say(acme, task)
    assert_problem(writer.delete(f"/comments/{mine}"), 403)
    assert acme.delete(f"/comments/{theirs}").status_code == 204


def test_mentions_are_of_people_who_can_see_the_list(
    acme: Company, globex: Company, home: str, task: str
) -> None:
    one, other = acme.add_person(), acme.add_person()
    text = f"@{one.email}, @{other.email.upper()}. Not @{globex.email}, a{one.email} or @nobody"
    comment = say(acme, task, text)
    named = acme.get(f"/comments/{comment}").json["mentions"]
    assert {person["uuid"] for person in named} == {one.uuid, other.uuid}
    assert [found["uuid"] for found in comments(one, mentions_me="true")] == [comment]
    acme.patch(f"/comments/{comment}", {"text": f"Only @{one.email}"})
    assert comments(other, mentions_me="true") == []
    acme.patch(f"/lists/{home}", {"visibility": "private"})
    secret = say(acme, task, f"@{one.email}")
    assert acme.get(f"/comments/{secret}").json["mentions"] == []


def test_a_storm_of_mentions_is_refused(acme: Company, task: str) -> None:
    body = {"task_uuid": task, "text": " ".join(f"@a{n}@example.com" for n in range(21))}
    problem = assert_problem(acme.post("/comments/", body), 422)
    assert "20" in problem["errors"]["json"]["text"][0]
    comment = say(acme, task)
    assert_problem(acme.patch(f"/comments/{comment}", {"text": body["text"]}), 422)
    assert comments(acme, task_uuid=task)[0]["text"] == "Which *shop*?"


def test_what_others_may_not_see_is_not_there(
    acme: Company, globex: Company, home: str, task: str
) -> None:
    comment = say(acme, task)
    person = acme.add_person()
    acme.patch(f"/lists/{home}", {"visibility": "private"})
    for somebody in (person, globex):
        assert comments(somebody) == []
        assert comments(somebody, task_uuid=task) == []
        assert_problem(somebody.get(f"/comments/{comment}"), 404)
        assert_problem(somebody.patch(f"/comments/{comment}", {"text": "A"}), 404)
        assert_problem(somebody.delete(f"/comments/{comment}"), 404)
        assert_problem(somebody.post("/comments/", {"task_uuid": task, "text": "A"}), 422)
    acme.call("PUT", f"/lists/{home}/members/users/{person.uuid}", json={"access": "read"})
    assert len(comments(person)) == 1
    assert_problem(person.post("/comments/", {"task_uuid": task, "text": "A"}), 403)
    acme.delete(f"/tasks/{task}")
    assert_problem(acme.get(f"/comments/{comment}"), 404)
    acme.post(f"/tasks/{task}/restore")
    assert acme.get(f"/comments/{comment}").status_code == 200


def test_nothing_is_said_in_an_archived_list(acme: Company, home: str, task: str) -> None:
    comment = say(acme, task)
    acme.post(f"/lists/{home}/archive")
    for answer in (
        acme.post("/comments/", {"task_uuid": task, "text": "A"}),
        acme.patch(f"/comments/{comment}", {"text": "A"}),
        acme.delete(f"/comments/{comment}"),
    ):
        assert_problem(answer, 409)


@pytest.mark.parametrize("text", ["", " ", None, 1, "A" * 20_001, "\x00"])
def test_bad_texts_are_422(acme: Company, task: str, text: object) -> None:
    assert_problem(acme.post("/comments/", {"task_uuid": task, "text": text}), 422)
    assert comments(acme) == []


@pytest.mark.parametrize(
    "body",
    [
        {"text": "A"},
        {"text": "A", "task_uuid": "x"},
        {"text": "A", "task_uuid": str(uuid.UUID(int=7))},
        {"text": "A", "author": "x"},
    ],
)
def test_bad_bodies_are_422(acme: Company, body: dict[str, Any]) -> None:
    assert_problem(acme.post("/comments/", body), 422)


def test_markup_is_made_harmless(acme: Company, task: str) -> None:
    comment = say(acme, task, "<script>alert(1)</script> [x](javascript:alert(1))")
    html = acme.get(f"/comments/{comment}").json["text_html"]
    assert "<script" not in html
    assert "javascript:" not in html.replace("[x](javascript:alert(1))", "")
