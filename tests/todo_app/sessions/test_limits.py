"""Limits of requests: by address, and by tenant."""

from __future__ import annotations

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem
from tests.todo_app.sessions.kit import log_in
from todo_app import create_app, limits
from todo_app.config import Settings
from todo_app.counters import Change, Counters
from todo_app.limits import TenantLimit, TooManyRequestsError


def limited(app: Flask, person: Person) -> Person:
    """The same person, at an application with limits."""
    return Person(app.test_client(), person.slug, person.token, person.uuid, person.email)


def test_all_people_of_a_tenant_share_its_limit(
    settings: Settings, acme: Company, globex: Company
) -> None:
    # A year, so that no period ends while this runs.
    app = create_app(dataclasses.replace(settings, tenant_rate_limit="5 per year"))
    people = [limited(app, person) for person in (acme, acme.add_person())]
    for number in range(5):
        assert people[number % 2].get("/lists/").status_code == 200
    for person in people:
        answer = person.get("/lists/")
        assert assert_problem(answer, 429)["type"] == "urn:todo:problem:too-many-requests"
        assert answer.headers["RateLimit-Limit"] == "5"
        assert answer.headers["RateLimit-Remaining"] == "0"
        assert int(answer.headers["RateLimit-Reset"]) == int(answer.headers["Retry-After"]) > 0
    assert limited(app, globex).get("/lists/").status_code == 200


def test_strangers_use_up_nothing_of_a_tenant(settings: Settings, acme: Company) -> None:
    app = create_app(dataclasses.replace(settings, tenant_rate_limit="3 per year"))
    client = app.test_client()
    for _ in range(5):
        assert_problem(client.get("/lists/", headers={"tenant": acme.slug}), 401)
        body = {"email": "nobody@example.com", "password": "x"}
        client.post("/auth/login", json=body, headers={"tenant": acme.slug})
    assert limited(app, acme).get("/lists/").status_code == 200


def test_two_processes_share_a_limit(settings: Settings) -> None:
    tenant = f"shared-{time.time_ns()}"
    processes = [TenantLimit("1000 per year", Counters(settings.redis_url)) for _ in range(2)]
    served = 0
    for number in range(1200):
        try:
            processes[number % 2].count(tenant)
            served += 1
        except TooManyRequestsError:
            pass
    assert served == 1000


def test_threads_together_get_no_more(settings: Settings) -> None:
    tenant = f"threads-{time.time_ns()}"
    limit = TenantLimit("1000 per year", Counters(settings.redis_url))

    def use(_: int) -> int:
        try:
            limit.count(tenant)
        except TooManyRequestsError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        served = sum(pool.map(use, range(2000)))
    assert served == 1000


def test_a_request_hardly_ever_asks_redis(settings: Settings) -> None:
    counters = Counters(settings.redis_url)
    asked = []
    change = counters.change
    counters.change = lambda *a, **k: asked.append(1) or change(*a, **k)  # type: ignore
    limit = TenantLimit("10000 per year", counters)
    tenant = f"few-{time.time_ns()}"
    for _ in range(1000):
        limit.count(tenant)
    assert len(asked) == 10


def test_a_new_period_begins_anew(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000_020.0
    monkeypatch.setattr(limits.time, "time", lambda: now)
    limit = TenantLimit("2 per minute", Counters(""))
    for _ in range(2):
        limit.count("acme")
    with pytest.raises(TooManyRequestsError) as caught:
        limit.count("acme")
    assert 0 < int(caught.value.headers["Retry-After"]) <= 60
    now += 60
    limit.count("acme")


def test_an_empty_setting_switches_the_limit_off(app: Flask, acme: Company) -> None:
    for _ in range(10):
        assert "RateLimit-Limit" not in acme.get("/lists/").headers


def test_an_address_is_told_its_limit_in_seconds(settings: Settings, acme: Company) -> None:
    app = create_app(dataclasses.replace(settings, auth_rate_limit="3 per hour"))
    person = limited(app, acme)
    address = f"10.{time.time_ns() % 250}.{time.time_ns() // 250 % 250}.7"
    for left in (2, 1, 0):
        answer = log_in(person, address=address)
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Limit"] == "3"
        assert answer.headers["RateLimit-Remaining"] == str(left)
        assert 3500 < int(answer.headers["RateLimit-Reset"]) <= 3601
        assert "Retry-After" not in answer.headers
    answer = log_in(person, address=address)
    assert_problem(answer, 429)
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert 3500 < int(answer.headers["Retry-After"]) <= 3601
    assert "RateLimit-Limit" not in person.get("/lists/").headers


def test_while_redis_is_away_counters_count_in_memory() -> None:
    counters = Counters("redis://127.0.0.1:1/0")
    assert counters.change(Change("a", 1, 60)) == [1]
    began = time.monotonic()
    assert counters.change(Change("a", 1, 60), Change("b", 3, 60)) == [2, 3]
    assert 0 < counters.seconds_left("a") <= 60
    assert counters.change(Change("a", 1, 60), drop=("b",)) == [3]
    assert counters.change(Change("b", 1, 60)) == [1]
    # It is not asked again for each count.
    assert time.monotonic() - began < 0.5


def test_log_in_goes_on_while_redis_is_away(settings: Settings, acme: Company) -> None:
    app = create_app(
        dataclasses.replace(
            settings,
            redis_url="redis://127.0.0.1:1/0",
            auth_rate_limit="100 per hour",
            tenant_rate_limit="100 per year",
        )
    )
    person = limited(app, acme)
    for _ in range(5):
        assert_problem(log_in(person, "wrong password"), 401)
    answer = log_in(person)
    assert assert_problem(answer, 429)["type"] == "urn:todo:problem:too-many-attempts"
    assert int(answer.headers["RateLimit-Remaining"]) <= 94
    assert 14 * 60 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert person.get("/lists/").status_code == 200
