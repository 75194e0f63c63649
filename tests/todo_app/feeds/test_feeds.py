"""Calendars: what they show, to whom, and until when."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import Company, sign_in
from tests.todo_app.feeds.kit import add_feed, components, fetch, path_of, titles
from tests.todo_app.helpers import assert_problem, at_once, inside, send_raw, statuses
from tests.todo_app.lists.kit import add_folder, add_private, share
from tests.todo_app.people import add_role, entries_of, make_stale, robot_of
from tests.todo_app.todos.shapes import add_list, add_task
from todo_app.auth import digest
from todo_app.database import db, transaction
from todo_app.feeds import entries, service
from todo_app.feeds.models import Feed
from todo_app.tenancy import operations
from todo_app.tenants import service as tenants
from todo_app.todos.models import Task

DUE = "2026-03-02T08:00:00+00:00"


def test_a_calendar_of_a_list_has_its_tasks_as_to_dos(acme: Company, client: FlaskClient) -> None:
    row = add_list(acme, "Groceries")
    tag = acme.post("/tags/", {"name": "urgent"}).json
    task = add_task(
        acme,
        row["uuid"],
        "Buy milk; 2 litres",
        description="Not *skimmed*",
        priority=5,
        due_at=DUE,
        tag_uuids=[tag["uuid"]],
    )
    add_task(acme, add_list(acme, "Other")["uuid"], "Elsewhere")
    (todo,) = components(client, add_feed(acme, row["uuid"]))
    assert todo.name == "VTODO"
    assert todo["uid"] == task["uuid"]
    assert todo["summary"] == "Buy milk; 2 litres"
    assert todo["description"] == "Not *skimmed*"
    assert todo["priority"] == 1
    assert todo["status"] == "NEEDS-ACTION"
    assert todo["due"].dt == datetime.fromisoformat(DUE)
    assert [str(name) for name in todo["categories"].cats] == ["urgent"]


def test_the_same_calendar_has_tasks_with_a_date_as_events(
    acme: Company, client: FlaskClient
) -> None:
    row = add_list(acme)
    add_task(acme, row["uuid"], "Some day")
    day = {"is_all_day": True, "timezone": "Europe/Warsaw"}
    add_task(acme, row["uuid"], "Party", due_at="2026-03-01T23:00:00Z", **day)
    (event,) = components(client, add_feed(acme, row["uuid"]), "events_url")
    assert event.name == "VEVENT"
    assert event["summary"] == "Party"
    assert event["dtstart"].dt == date(2026, 3, 2)


def test_a_series_is_one_on_the_clocks_of_its_place(acme: Company, client: FlaskClient) -> None:
    row = add_list(acme)
    series = {"recurrence": "FREQ=WEEKLY;BYDAY=MO", "timezone": "Europe/Warsaw", "due_at": DUE}
    add_task(acme, row["uuid"], "Weekly", **series)
    later = {**series, "recurs_from": "completion"}
    add_task(acme, row["uuid"], "A week after it is done", **later)
    weekly, after = components(client, add_feed(acme, row["uuid"]))
    assert weekly["rrule"]["FREQ"] == ["WEEKLY"]
    assert weekly["due"].params["TZID"] == "Europe/Warsaw"
    assert weekly["due"].dt == datetime.fromisoformat(DUE)
    assert "rrule" not in after


def test_ones_own_calendar_has_what_one_has_to_do(acme: Company, client: FlaskClient) -> None:
    someone = acme.add_person()
    row = add_list(acme)
    add_task(acme, row["uuid"], "Hers", assignee_uuids=[someone.uuid])
    add_task(acme, row["uuid"], "Both", assignee_uuids=[someone.uuid, acme.uuid])
    add_task(acme, row["uuid"], "Nobody's, made by the boss")
    add_task(someone, row["uuid"], "Nobody's, made by her")
    add_task(someone, row["uuid"], "The boss's, made by her", assignee_uuids=[acme.uuid])
    assert sorted(titles(client, add_feed(someone))) == ["Both", "Hers", "Nobody's, made by her"]


def test_what_was_done_stays_for_a_month(app: Flask, acme: Company, client: FlaskClient) -> None:
    row = add_list(acme)
    for title in ("Done", "Done long ago", "Rejected"):
        status = "rejected" if title == "Rejected" else "done"
        add_task(acme, row["uuid"], title, status=status)
    add_task(acme, row["uuid"], "Open")
    with inside(app, acme.slug):
        long_ago = sa.func.now() - entries.CLOSED_SHOWN_FOR - timedelta(hours=1)
        old = sa.update(Task).where(Task.title == "Done long ago")
        db.session.execute(old.values(completed_at=long_ago))
    feed = add_feed(acme, row["uuid"])
    assert titles(client, feed) == ["Open", "Done", "Rejected"]
    assert [str(todo["status"]) for todo in components(client, feed)] == [
        "NEEDS-ACTION",
        "COMPLETED",
        "CANCELLED",
    ]


def test_what_is_in_the_trash_or_an_archived_list_is_not_shown(
    acme: Company, client: FlaskClient
) -> None:
    kept, archived = add_list(acme), add_list(acme, "Archived")
    add_task(acme, kept["uuid"], "Kept")
    gone = add_task(acme, kept["uuid"], "Gone")
    add_task(acme, archived["uuid"], "Archived")
    acme.delete(f"/tasks/{gone['uuid']}")
    assert acme.post(f"/lists/{archived['uuid']}/archive").status_code == 200
    assert titles(client, add_feed(acme)) == ["Kept"]


def test_a_calendar_has_a_largest_size(
    app: Flask, acme: Company, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = add_list(acme)
    add_task(acme, row["uuid"], "Done", status="done")
    add_task(acme, row["uuid"], "No date")
    add_task(acme, row["uuid"], "Last", due_at="2026-03-03T08:00:00Z")
    long = "x" * (entries.MOST_CHARACTERS + 1)
    add_task(acme, row["uuid"], "First", due_at=DUE, description=long)
    monkeypatch.setattr(entries, "MOST_TASKS", 3)
    first, *others = components(client, add_feed(acme, row["uuid"]))
    assert [str(todo["summary"]) for todo in (first, *others)] == ["First", "Last", "No date"]
    assert len(first["description"]) == entries.MOST_CHARACTERS


def test_an_etag_saves_the_transfer_until_something_is_shown_differently(
    acme: Company, client: FlaskClient
) -> None:
    row = add_list(acme)
    tag = acme.post("/tags/", {"name": "urgent"}).json
    task = add_task(acme, row["uuid"], tag_uuids=[tag["uuid"]])
    feed = add_feed(acme, row["uuid"])
    answer = fetch(client, feed)
    assert answer.headers.getlist("Cache-Control") == ["private, no-cache"]
    etags = [answer.headers["ETag"]]
    changes = [
        (f"/tasks/{task['uuid']}", {"title": "Buy oat milk"}),
        (f"/lists/{row['uuid']}", {"title": "Food"}),
        (f"/tags/{tag['uuid']}", {"name": "at once"}),
    ]
    for path, change in changes:
        same = fetch(client, feed, **{"If-None-Match": etags[-1]})
        assert (same.status_code, same.data) == (304, b"")
        assert same.headers["ETag"] == etags[-1]
        assert acme.patch(path, change).status_code == 200
        other = fetch(client, feed, **{"If-None-Match": etags[-1]})
        assert other.status_code == 200
        etags.append(other.headers["ETag"])
    assert len(set(etags)) == len(etags)
    assert client.get(path_of(feed, "events_url")).headers["ETag"] not in etags


def test_an_address_works_by_itself_and_for_nothing_else(
    app: Flask, acme: Company, client: FlaskClient
) -> None:
    feed = add_feed(acme, add_list(acme)["uuid"])
    secret = path_of(feed).removeprefix("/feeds/").removesuffix(".ics")
    assert client.head(path_of(feed)).status_code == 200
    assert_problem(client.get("/tasks/", headers={"Authorization": f"Bearer {secret}"}), 401)
    assert_problem(client.post(path_of(feed)), 405)
    with inside(app, acme.slug):
        (stored,) = db.session.scalars(sa.select(Feed.digest))
    assert stored == digest(secret.partition(".")[2])
    shown = acme.get("/feeds/").text
    assert secret not in shown
    assert secret.partition(".")[2] not in shown


def test_the_list_of_calendars_tells_which_are_read(
    app: Flask, acme: Company, client: FlaskClient
) -> None:
    row = add_list(acme, "Groceries")
    unread, read = add_feed(acme), add_feed(acme, row["uuid"])
    fetch(client, read)
    first, second = acme.get("/feeds/").json["items"]
    assert (first["uuid"], second["uuid"]) == (read["uuid"], unread["uuid"])
    assert first["list"] == {"uuid": row["uuid"], "title": "Groceries"}
    assert (second["list"], second["last_used_at"]) == (None, None)
    fetch(client, read)
    assert acme.get("/feeds/").json["items"][0] == first, "the last use is noted once an hour"


def test_a_revoked_calendar_is_gone(app: Flask, acme: Company, client: FlaskClient) -> None:
    feed, other = add_feed(acme), add_feed(acme)
    assert acme.delete(f"/feeds/{feed['uuid']}").status_code == 204
    assert_problem(fetch(client, feed), 404)
    assert_problem(acme.delete(f"/feeds/{feed['uuid']}"), 404)
    assert fetch(client, other).status_code == 200
    actions = [action for action, _ in entries_of(app, acme, feed["uuid"])]
    assert actions == ["feed.made", "feed.revoked"]


def test_nobody_revokes_or_sees_calendars_of_others(
    acme: Company, globex: Company, client: FlaskClient
) -> None:
    someone = acme.add_person()
    feed = add_feed(someone)
    for other in (acme, globex):
        assert_problem(other.delete(f"/feeds/{feed['uuid']}"), 404)
        assert other.get("/feeds/").json["items"] == []
    assert fetch(client, feed).status_code == 200


WRONG = [
    "t_acme_1.cal_" + "x" * 43,
    "{schema}.cal_" + "x" * 43,
    "{schema}.api_" + "x" * 43,
    "{schema}." + "x" * 43,
    "cal_" + "x" * 43,
    "' OR 1=1 --",
    "..%2f..%2fetc%2fpasswd",
    "é" * 60,
    "x" * 5_000,
]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_address_is_404(acme: Company, client: FlaskClient, wrong: str) -> None:
    wrong = wrong.format(schema=acme.schema_name)
    problem = assert_problem(client.get(f"/feeds/{wrong}.ics"), 404)
    assert problem["type"] == "urn:todo:problem:not-found"


def test_a_token_is_no_address(acme: Company, client: FlaskClient) -> None:
    assert_problem(client.get(f"/feeds/{acme.token}.ics"), 404)
    assert_problem(client.get(f"/feeds/{robot_of(acme).token}.ics"), 404)


@pytest.mark.parametrize("query", ["?kind=", "?kind=TODOS", "?kind=%00", "?page=1", "?kind=a&b=c"])
def test_what_cannot_be_asked_for(acme: Company, client: FlaskClient, query: str) -> None:
    answer = client.get(path_of(add_feed(acme)) + query)
    assert_problem(answer, 400 if "%00" in query else 422)


def test_a_list_that_one_does_not_see_any_more_is_404(acme: Company, client: FlaskClient) -> None:
    someone = acme.add_person()
    row = add_private(acme)
    share(acme, row, someone, "read")
    add_task(acme, row["uuid"], "Secret", assignee_uuids=[someone.uuid])
    of_list, own = add_feed(someone, row["uuid"]), add_feed(someone)
    assert titles(client, of_list) == titles(client, own) == ["Secret"]
    member = f"/lists/{row['uuid']}/members/users/{someone.uuid}"
    assert acme.delete(member).status_code == 204
    assert_problem(fetch(client, of_list), 404)
    assert titles(client, own) == []
    shown = someone.get("/feeds/").json["items"][1]["list"]
    assert shown == {"uuid": row["uuid"], "title": None}


def test_a_list_in_the_trash_comes_back_with_its_calendar(
    acme: Company, client: FlaskClient
) -> None:
    row = add_list(acme)
    feed = add_feed(acme, row["uuid"])
    assert acme.delete(f"/lists/{row['uuid']}").status_code == 204
    assert_problem(fetch(client, feed), 404)
    assert acme.post(f"/lists/{row['uuid']}/restore").status_code == 200
    assert fetch(client, feed).status_code == 200


@pytest.mark.parametrize("leaves", ["deactivated", "deleted"])
def test_whoever_leaves_loses_calendars_for_good(
    acme: Company, client: FlaskClient, leaves: str
) -> None:
    someone = acme.add_person()
    feed = add_feed(someone)
    path = f"/users/{someone.uuid}"
    answer = acme.delete(path) if leaves == "deleted" else acme.patch(path, {"is_active": False})
    assert answer.status_code in (200, 204)
    assert_problem(fetch(client, feed), 404)
    assert acme.post(f"{path}/reactivate").status_code == 200
    assert_problem(fetch(client, feed), 404)


def test_whoever_may_not_read_tasks_any_more_has_no_calendar(
    acme: Company, client: FlaskClient
) -> None:
    someone = acme.add_person()
    feed = add_feed(someone)
    blind = add_role(acme, "users:read")["uuid"]
    assert acme.patch(f"/users/{someone.uuid}", {"role_uuid": blind}).status_code == 200
    assert_problem(fetch(client, feed), 404)
    reader = acme.role_uuid("read_only")
    assert acme.patch(f"/users/{someone.uuid}", {"role_uuid": reader}).status_code == 200
    assert fetch(client, feed).status_code == 200


def test_who_lacks_the_second_factor_that_is_asked_for_has_no_calendar(
    app: Flask, acme: Company, client: FlaskClient
) -> None:
    feed = add_feed(acme)
    with inside(app, acme.slug):
        db.session.execute(sa.text("UPDATE company_settings SET require_two_factor = true"))
    assert_problem(fetch(client, feed), 404)


def test_who_cannot_make_a_calendar(acme: Company, globex: Company) -> None:
    someone = acme.add_person()
    hidden, foreign = add_private(acme), add_list(globex)
    for list_uuid in (hidden["uuid"], foreign["uuid"], str(uuid.uuid4())):
        problem = assert_problem(someone.post("/feeds/", {"list_uuid": list_uuid}), 422)
        assert problem["errors"] == {"json": {"list_uuid": ["There is no such list."]}}
    assert_problem(someone.post("/feeds/", {"list_uuid": add_folder(acme)["uuid"]}), 409)
    assert_problem(robot_of(acme).post("/feeds/", {}), 403)
    blind = add_role(acme, "users:read")["uuid"]
    acme.patch(f"/users/{someone.uuid}", {"role_uuid": blind})
    someone = sign_in(acme.client, acme.slug, someone.email)
    assert_problem(someone.post("/feeds/", {}), 403)


BAD_BODIES: list[Any] = [
    {"list_uuid": "x"},
    {"list_uuid": 1},
    {"list_uuid": []},
    {"kind": "events"},
    [],
    None,
]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_bodies_that_make_no_calendar(acme: Company, body: Any) -> None:
    assert_problem(send_raw(acme, "POST", "/feeds/", body), 422)


def test_there_are_only_so_many_calendars_also_at_one_instant(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_FEEDS", 2)
    calls = [(acme, lambda person: person.post("/feeds/", {}))] * 4
    assert statuses(at_once(app, *calls)) == [201, 201, 409, 409]
    assert len(acme.get("/feeds/").json["items"]) == 2


def test_a_calendar_is_read_at_one_instant_by_many(app: Flask, acme: Company) -> None:
    feed = add_feed(acme, add_list(acme)["uuid"])
    calls = [(acme, lambda person: fetch(person.client, feed))] * 8
    answers = at_once(app, *calls)
    assert statuses(answers) == [200] * 8
    assert len({answer.headers["ETag"] for answer in answers}) == 1


def test_making_one_needs_no_fresh_password_but_a_session(app: Flask, acme: Company) -> None:
    make_stale(app, acme)
    assert add_feed(acme)["url"].endswith(".ics")


def test_a_suspended_company_has_no_calendars(app: Flask, acme: Company) -> None:
    feed = add_feed(acme)
    with app.app_context(), operations(), transaction():
        tenants.change(acme.slug, {"state": "suspended"})
    assert_problem(fetch(acme.client, feed), 403)


def test_times_are_told_in_utc(acme: Company) -> None:
    made = datetime.fromisoformat(add_feed(acme)["created_at"])
    assert datetime.now(UTC) - made < timedelta(minutes=1)
