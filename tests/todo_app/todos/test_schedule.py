"""Days, time zones, and tasks that come again."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from tests.factories import Company
from tests.todo_app.helpers import assert_problem, at_once, statuses, version
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from tests.todo_app.transfer.kit import taken

FAR = "2090-01-02T09:00:00+00:00"
"""A Monday that is not past."""


@pytest.fixture
def home(company: Company) -> str:
    """A list of its own for each test."""
    uuid: str = add_list(company, "Home")["uuid"]
    return uuid


def tasks_of(company: Company, home: str, **query: Any) -> list[dict[str, Any]]:
    """Those of a list, in its order."""
    query = {"list_uuid": home, "field": "position", "size": 100, **query}
    items: list[dict[str, Any]] = company.get("/tasks/", query_string=query).json["items"]
    return items


def complete(company: Company, task: dict[str, Any]) -> Any:
    answer = company.post(f"{path_of(task)}/complete")
    assert answer.status_code == 200, answer.text
    return answer


def open_ones(company: Company, home: str) -> list[dict[str, Any]]:
    return tasks_of(company, home, is_open="true")


def test_all_day_is_kept_as_the_first_moments_of_days(company: Company, home: str) -> None:
    task = add_task(
        company,
        home,
        is_all_day=True,
        timezone="Europe/Warsaw",
        start_at="2026-03-28T22:30:00Z",
        due_at="2026-03-29T20:00:00Z",
    )
    assert task["start_at"] == "2026-03-27T23:00:00+00:00"
    assert task["due_at"] == "2026-03-28T23:00:00+00:00"
    moved = company.patch(path_of(task), {"timezone": "America/New_York"}).json
    assert moved["due_at"] == "2026-03-28T04:00:00+00:00"
    timed = company.patch(path_of(task), {"is_all_day": False, "due_at": FAR}).json
    assert (timed["due_at"], timed["is_all_day"]) == (FAR, False)


def test_where_midnight_is_skipped_a_day_begins_later(company: Company, home: str) -> None:
    task = add_task(
        company,
        home,
        is_all_day=True,
        timezone="America/Sao_Paulo",
        due_at="2018-11-04T15:00:00Z",
    )
    assert task["due_at"] == "2018-11-04T03:00:00+00:00"


def test_the_callers_time_zone_counts_where_none_is_sent(company: Company, home: str) -> None:
    person = company.add_person()
    person.patch("/users/me", {"timezone": "Asia/Tokyo"})
    body = {"list_uuid": home, "title": "Day", "due_at": "2026-05-01T18:00:00Z"}
    task = person.post("/tasks/", {**body, "is_all_day": True}).json
    assert (task["timezone"], task["due_at"]) == ("Asia/Tokyo", "2026-05-01T15:00:00+00:00")
    assert person.post("/tasks/", body).json["timezone"] is None


def test_a_start_after_the_due_date_is_refused(company: Company, home: str) -> None:
    task = add_task(company, home, start_at="2026-05-01T00:00:00Z", due_at="2026-05-02T00:00:00Z")
    late, early = {"start_at": "2026-05-03T00:00:00Z"}, {"due_at": "2026-04-01T00:00:00Z"}
    for change in (late, early):
        problem = assert_problem(company.patch(path_of(task), change), 422)
        assert set(problem["errors"]["json"]) == set(change)
    assert company.patch(path_of(task), {**early, "start_at": None}).status_code == 200


def test_the_next_task_follows_a_completed_one(company: Company, home: str) -> None:
    tag = company.post("/tags", {"name": f"weekly {home}"}).json["uuid"]
    company.post(f"/lists/{home}/fields", {"name": "Cost", "kind": "number"})
    before = add_task(company, home, "Before")
    task = add_task(
        company,
        home,
        "Weekly",
        description="Same",
        priority=4,
        start_at="2090-01-02T08:00:00Z",
        due_at=FAR,
        recurrence="RRULE:FREQ=WEEKLY;BYDAY=MO,TH;COUNT=3",
        timezone="Europe/Warsaw",
        estimate_seconds=60,
        assignee_uuids=[company.uuid],
        tag_uuids=[tag],
        fields={"Cost": 5},
    )
    after = add_task(company, home, "After")
    assert (task["recurrence"], task["recurs_from"]) == (
        "FREQ=WEEKLY;COUNT=3;BYDAY=MO,TH",
        "due",
    )
    done = complete(company, task).json
    assert (done["status"], done["recurrence"]) == ("done", None)
    in_order = [one["uuid"] for one in tasks_of(company, home)]
    assert in_order[:2] == [before["uuid"], task["uuid"]]
    assert in_order[3] == after["uuid"]
    following = company.get(f"/tasks/{in_order[2]}").json
    own = {"uuid", "due_at", "start_at", "recurrence", "created_at", "updated_at"}
    assert {name for name in task if following[name] != task[name]} == own
    assert following["due_at"] == "2090-01-05T09:00:00+00:00"
    assert following["start_at"] == "2090-01-05T08:00:00+00:00"
    assert following["recurrence"] == "FREQ=WEEKLY;COUNT=2;BYDAY=MO,TH"
    complete(company, following)
    last = open_ones(company, home)[1]
    assert (last["due_at"], last["recurrence"]) == (
        "2090-01-09T09:00:00+00:00",
        "FREQ=WEEKLY;COUNT=1;BYDAY=MO,TH",
    )
    complete(company, last)
    assert [one["title"] for one in open_ones(company, home)] == ["Before", "After"]


def test_completing_again_makes_nothing_more(company: Company, home: str) -> None:
    task = add_task(company, home, due_at=FAR, recurrence="FREQ=DAILY")
    for _ in range(2):
        complete(company, task)
        company.post(f"{path_of(task)}/reopen")
    assert len(tasks_of(company, home)) == 2


@pytest.mark.parametrize("attempt", range(3))
def test_completed_at_one_instant_a_task_is_followed_once(
    app: Flask, company: Company, home: str, attempt: int
) -> None:
    path = path_of(add_task(company, home, due_at=FAR, recurrence="FREQ=DAILY"))
    ways = [lambda own: own.post(f"{path}/complete")] * 3
    ways += [lambda own: own.patch(path, {"status": "done"})] * 2
    answers = at_once(app, *[(company, way) for way in ways])
    assert statuses(answers) == [200] * 5
    assert len(tasks_of(company, home)) == 2


def test_nine_oclock_is_nine_oclock_in_summer(company: Company, home: str) -> None:
    task = add_task(
        company,
        home,
        due_at="2090-03-24T08:00:00Z",
        timezone="Europe/Warsaw",
        recurrence="FREQ=WEEKLY",
    )
    complete(company, task)
    assert open_ones(company, home)[0]["due_at"] == "2090-03-31T07:00:00+00:00"


def test_a_jump_of_the_clock_moves_one_task_only(company: Company, home: str) -> None:
    task = add_task(
        company,
        home,
        due_at="2090-03-25T01:30:00Z",
        timezone="Europe/Warsaw",
        recurrence="FREQ=DAILY",
    )
    seen = []
    for _ in range(2):
        complete(company, task)
        task = open_ones(company, home)[0]
        seen.append(task["due_at"])
    assert seen == ["2090-03-26T01:30:00+00:00", "2090-03-27T00:30:00+00:00"]


def test_what_is_put_off_by_hand_does_not_move_the_series(company: Company, home: str) -> None:
    task = add_task(company, home, due_at=FAR, recurrence="FREQ=WEEKLY")
    company.patch(path_of(task), {"due_at": "2090-01-04T15:00:00Z"})
    complete(company, task)
    following = open_ones(company, home)[0]
    assert following["due_at"] == "2090-01-09T09:00:00+00:00"
    company.patch(path_of(following), {"due_at": "2090-01-08T09:00:00Z"})
    complete(company, following)
    assert open_ones(company, home)[0]["due_at"] == "2090-01-16T09:00:00+00:00"


def test_from_completion_counts_from_the_day_it_was_done(company: Company, home: str) -> None:
    task = add_task(
        company,
        home,
        due_at="2020-01-01T09:00:00Z",
        recurrence="FREQ=DAILY;INTERVAL=3",
        recurs_from="completion",
    )
    done = complete(company, task).json
    day = datetime.fromisoformat(done["completed_at"]).date() + timedelta(days=3)
    due = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    assert open_ones(company, home)[0]["due_at"] == due.isoformat()


def test_missed_ones_are_left_out(company: Company, home: str) -> None:
    task = add_task(company, home, due_at="2020-01-01T09:00:00Z", recurrence="FREQ=DAILY")
    complete(company, task)
    due = datetime.fromisoformat(open_ones(company, home)[0]["due_at"])
    assert timedelta(0) < due - datetime.now(UTC) <= timedelta(days=1)


def test_open_subtasks_go_on_and_done_ones_are_copied(company: Company, home: str) -> None:
    top = add_task(company, home, "Top", due_at=FAR, recurrence="FREQ=WEEKLY")
    begun = add_task(company, home, "Begun", parent_uuid=top["uuid"], status="in_progress")
    inner = add_task(company, home, "Inner", parent_uuid=begun["uuid"], status="done")
    done = add_task(
        company, home, "Done", parent_uuid=top["uuid"], status="done", due_at=FAR, priority=2
    )
    deep = add_task(company, home, "Deep", parent_uuid=done["uuid"])
    refused = add_task(company, home, "Refused", parent_uuid=top["uuid"], status="rejected")
    complete(company, top)
    shown = {task["uuid"]: task for task in tasks_of(company, home)}
    new_top = next(task for task in shown.values() if task["recurrence"])
    inside_new = [t for t in shown.values() if t["parent_uuid"] == new_top["uuid"]]
    assert sorted(task["title"] for task in inside_new) == ["Begun", "Done"]
    assert {task["status"] for task in inside_new} == {"new"}
    copy = next(task for task in inside_new if task["title"] == "Done")
    assert (copy["due_at"], copy["priority"]) == ("2090-01-09T09:00:00+00:00", 2)
    assert shown[begun["uuid"]]["parent_uuid"] == new_top["uuid"]
    assert shown[inner["uuid"]]["status"] == "new"
    assert shown[deep["uuid"]]["parent_uuid"] == copy["uuid"]
    assert shown[done["uuid"]]["status"] == "done"
    assert shown[done["uuid"]]["parent_uuid"] == top["uuid"]
    assert shown[refused["uuid"]]["parent_uuid"] == top["uuid"]


def test_a_series_inside_a_series_goes_its_own_way(company: Company, home: str) -> None:
    top = add_task(company, home, "Top", due_at=FAR, recurrence="FREQ=WEEKLY")
    child = add_task(
        company, home, "Child", parent_uuid=top["uuid"], due_at=FAR, recurrence="FREQ=DAILY"
    )
    complete(company, child)
    complete(company, top)
    left = open_ones(company, home)
    assert sorted(task["title"] for task in left) == ["Child", "Top"]
    daily = next(task for task in left if task["title"] == "Child")
    assert daily["due_at"] == "2090-01-03T09:00:00+00:00"
    assert daily["parent_uuid"] == next(t["uuid"] for t in left if t["title"] == "Top")


def test_skipping_puts_the_same_task_off(company: Company, home: str) -> None:
    task = add_task(
        company,
        home,
        due_at=FAR,
        start_at="2090-01-01T09:00:00Z",
        recurrence="FREQ=WEEKLY;COUNT=2",
        status="paused",
    )
    child = add_task(company, home, parent_uuid=task["uuid"], status="done", due_at=FAR)
    answer = company.post(f"{path_of(task)}/skip", headers={"If-Match": '"1"'})
    assert (answer.status_code, version(answer)) == (200, 2)
    assert (answer.json["due_at"], answer.json["status"]) == ("2090-01-09T09:00:00+00:00", "new")
    assert answer.json["start_at"] == "2090-01-08T09:00:00+00:00"
    assert answer.json["recurrence"] == "FREQ=WEEKLY;COUNT=1"
    shown = company.get(path_of(child)).json
    assert (shown["status"], shown["due_at"]) == ("new", "2090-01-09T09:00:00+00:00")
    problem = assert_problem(company.post(f"{path_of(task)}/skip"), 409)
    assert problem["type"] == "urn:todo:problem:series-ended"
    ended = company.patch(path_of(task), {"recurrence": None}).json
    assert (ended["recurrence"], ended["recurs_from"]) == (None, None)
    problem = assert_problem(company.post(f"{path_of(task)}/skip"), 409)
    assert problem["type"] == "urn:todo:problem:not-recurring"
    assert len(tasks_of(company, home)) == 2


@pytest.mark.parametrize("attempt", range(2))
def test_skipping_at_once_skips_as_often(
    app: Flask, company: Company, home: str, attempt: int
) -> None:
    task = add_task(company, home, due_at=FAR, recurrence="FREQ=DAILY")
    answers = at_once(app, *[(company, lambda own: own.post(f"{path_of(task)}/skip"))] * 5)
    assert statuses(answers) == [200] * 5
    assert company.get(path_of(task)).json["due_at"] == "2090-01-07T09:00:00+00:00"


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;COUNT=1000000000",
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=1",
        "FREQ=DAILY;BYSECOND=" + ",".join(map(str, range(60))),
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;INTERVAL=1000;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;COUNT=2;UNTIL=20300101T000000Z",
        "FREQ=DAILY;UNTIL=20300101",
        "FREQ=DAILY;" * 40,
        "FREQ=DAILY\nRRULE:FREQ=DAILY",
        "DAILY",
        "x" * 501,
    ],
)
def test_bombs_and_nonsense_are_refused_at_once(company: Company, home: str, rule: str) -> None:
    body = {"list_uuid": home, "title": "Bomb", "due_at": FAR, "recurrence": rule}
    task = add_task(company, home, due_at=FAR)
    began = time.monotonic()
    for answer in (
        company.post("/tasks/", body),
        company.patch(path_of(task), {"recurrence": rule}),
    ):
        assert set(assert_problem(answer, 422)["errors"]["json"]) == {"recurrence"}
    assert time.monotonic() - began < 3
    assert len(tasks_of(company, home)) == 1


def test_a_task_that_recurs_keeps_a_due_date(company: Company, home: str) -> None:
    task = add_task(company, home, due_at=FAR, recurrence="FREQ=DAILY;BYHOUR=9,18")
    never = assert_problem(company.patch(path_of(task), {"due_at": None}), 422)
    assert set(never["errors"]["json"]) == {"due_at"}
    hours = assert_problem(company.patch(path_of(task), {"is_all_day": True}), 422)
    assert set(hours["errors"]["json"]) == {"recurrence"}
    both = company.patch(path_of(task), {"due_at": None, "recurrence": None})
    assert both.status_code == 200


def test_an_all_day_series_is_of_days(company: Company, home: str) -> None:
    task = add_task(
        company,
        home,
        is_all_day=True,
        timezone="Pacific/Auckland",
        due_at="2090-04-01T03:00:00Z",
        recurrence="FREQ=DAILY;UNTIL=20900403",
    )
    days = []
    for _ in range(2):
        complete(company, task)
        task = open_ones(company, home)[0]
        days.append(task["due_at"])
    assert days == ["2090-04-01T11:00:00+00:00", "2090-04-02T12:00:00+00:00"]
    complete(company, task)
    assert open_ones(company, home) == []


def test_what_is_sent_unchanged_does_not_begin_a_series_anew(company: Company, home: str) -> None:
    task = add_task(company, home, due_at=FAR, recurrence="FREQ=WEEKLY", timezone="UTC")
    put_off = company.patch(path_of(task), {"due_at": "2090-01-04T15:00:00Z"}).json
    same = {name: put_off[name] for name in ("title", "is_all_day", "timezone")}
    assert company.patch(path_of(task), same).status_code == 200
    complete(company, task)
    [left] = open_ones(company, home)
    assert left["due_at"] == "2090-01-09T09:00:00+00:00"


def test_skipping_never_brings_a_task_forward(company: Company, home: str) -> None:
    late = add_task(company, home, due_at=FAR, recurrence="FREQ=WEEKLY")
    company.patch(path_of(late), {"due_at": "2090-01-12T09:00:00Z"})
    rule = {"recurrence": "FREQ=DAILY;INTERVAL=3", "recurs_from": "completion"}
    after = add_task(company, home, due_at=FAR, **rule)
    skipped = [company.post(f"{path_of(task)}/skip").json["due_at"] for task in (late, after)]
    assert skipped == ["2090-01-16T09:00:00+00:00", "2090-01-05T09:00:00+00:00"]


def test_done_tasks_deep_inside_each_other_are_copied(company: Company, home: str) -> None:
    rows = [["id", "parent", "title", "status", "due", "recurrence"]]
    rows += [["0", "", "Top", "new", "2090-01-02", "FREQ=DAILY"]]
    rows += [[str(n), str(n - 1), f"Level {n}", "done", "", ""] for n in range(1, 1200)]
    taken(company, "tasks", *rows, list_uuid=home)
    [top] = open_ones(company, home)
    complete(company, top)
    assert company.get("/tasks/", query_string={"list_uuid": home}).json["total"] == 2400
