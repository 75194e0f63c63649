"""Guessing leads nowhere, and locks nobody else out."""

from __future__ import annotations

import uuid

import pytest
import redis
from flask import Flask

from tests.factories import PASSWORD, Company, Person
from tests.todo_app.helpers import assert_problem, at_once, statuses
from tests.todo_app.sessions.kit import log_in
from todo_app.config import Settings
from todo_app.sessions import throttle


def fail(person: Person, times: int, **more: object) -> None:
    for _ in range(times):
        assert_problem(log_in(person, "wrong password", **more), 401)  # type: ignore[arg-type]


def pass_time(settings: Settings, kind: str) -> None:
    """Let counters of a kind begin anew."""
    with redis.Redis.from_url(settings.redis_url) as client:
        for key in client.scan_iter(f"todo:attempts:{kind}:*"):
            client.delete(key)


def test_the_sixth_attempt_from_one_address_waits(acme: Company) -> None:
    fail(acme, 5)
    for password in ("wrong password", PASSWORD):
        answer = log_in(acme, password)
        assert assert_problem(answer, 429)["type"] == "urn:todo:problem:too-many-attempts"
        assert 14 * 60 <= int(answer.headers["Retry-After"]) <= 15 * 60


def test_other_addresses_and_accounts_go_on(acme: Company) -> None:
    person = acme.add_person()
    fail(acme, 5)
    assert_problem(log_in(acme), 429)
    assert log_in(acme, address="203.0.113.9").status_code == 200
    assert log_in(person).status_code == 200


def test_an_account_that_does_not_exist_is_counted_alike(acme: Company) -> None:
    nobody = f"{uuid.uuid4().hex}@example.com"
    for email in (nobody, acme.email):
        fail(acme, 5, email=email)
    answers = [log_in(acme, email=email) for email in (nobody, acme.email)]
    problems = [assert_problem(answer, 429) for answer in answers]
    for problem in problems:
        problem.pop("request_id")
    assert problems[0] == problems[1]


def test_without_a_tenant_it_is_counted_alike_and_apart(acme: Company) -> None:
    nobody = f"{uuid.uuid4().hex}@example.com"
    for email in (nobody, acme.email):
        fail(acme, 5, email=email, tenant=False)
        assert_problem(log_in(acme, email=email, tenant=False), 429)
    # The tenant's own count must not tell that the address has an account there.
    assert log_in(acme).status_code == 200


def test_success_clears_the_count(acme: Company) -> None:
    for _ in range(3):
        fail(acme, 4)
        assert log_in(acme).status_code == 200


def test_after_a_while_the_count_begins_anew(acme: Company, settings: Settings) -> None:
    fail(acme, 5)
    assert_problem(log_in(acme), 429)
    pass_time(settings, "here")
    assert log_in(acme).status_code == 200


def test_as_many_at_one_instant_are_no_more(app: Flask, acme: Company) -> None:
    """Counted before they are looked at: a rush gets no more guesses than a row."""
    fail(acme, 3)
    answers = at_once(app, *[(acme, lambda p: log_in(p, "wrong password"))] * 8)
    assert statuses(answers).count(401) <= 2
    assert set(statuses(answers)) <= {401, 429, 503}


def test_an_ipv6_network_is_one_address(acme: Company) -> None:
    for number in range(5):
        fail(acme, 1, address=f"2001:db8:1:2::{number + 1}")
    assert_problem(log_in(acme, address="2001:db8:1:2:ffff::1"), 429)
    assert log_in(acme, address="2001:db8:1:3::1").status_code == 200


def test_guessing_from_many_places_locks_those_out_and_not_the_owner(
    acme: Company, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "FAILURES_EVERYWHERE", 6)
    assert log_in(acme, address="198.51.100.1").status_code == 200
    for number in range(6):
        fail(acme, 1, address=f"203.0.113.{number + 1}")
    for address in ("203.0.113.1", "203.0.113.200"):
        answer = log_in(acme, address=address)
        assert assert_problem(answer, 429)["type"] == "urn:todo:problem:too-many-attempts"
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
    # Whose account it is signs in where they have signed in before, and may mistype there.
    fail(acme, 1, address="198.51.100.1")
    assert log_in(acme, address="198.51.100.1").status_code == 200
    pass_time(settings, "everywhere")
    assert log_in(acme, address="203.0.113.200").status_code == 200


def test_one_address_alone_does_not_use_up_what_all_have(
    acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "FAILURES_EVERYWHERE", 7)
    fail(acme, 5, address="203.0.113.1")
    for _ in range(10):
        assert_problem(log_in(acme, address="203.0.113.1"), 429)
    assert log_in(acme, address="203.0.113.2").status_code == 200


def test_keys_tell_no_address(acme: Company, settings: Settings) -> None:
    fail(acme, 1, address="203.0.113.77")
    with redis.Redis.from_url(settings.redis_url) as client:
        keys = b" ".join(client.scan_iter("todo:*"))
    assert keys
    assert acme.email.encode() not in keys
    assert b"203.0.113.77" not in keys
