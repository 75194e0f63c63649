"""`/auth/account_limit`: how many users a company may have."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import Company, Operator, Person
from tests.todo_app.helpers import assert_problem, inside
from todo_app.registration.limit import AccountLimitError, check_room

PATH = "/auth/account_limit"


def test_who_may_see_it(client: FlaskClient, company: Company, people: dict[str, Person]) -> None:
    assert_problem(client.get(PATH, headers={"tenant": company.slug}), 401)
    for person in people.values():
        assert person.get(PATH).json == {"accounts": 4, "limit": None}


def test_the_deleted_do_not_count(acme: Company) -> None:
    person = acme.add_person()
    assert acme.get(PATH).json["accounts"] == 2
    acme.delete(f"/users/{person.uuid}")
    assert acme.get(PATH).json["accounts"] == 1


def test_the_settings_say_it_for_those_without_a_limit_of_their_own(
    app: Flask, acme: Company, cc: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(app.config["SETTINGS"], account_limit=1)
    with monkeypatch.context() as patch:
        patch.setitem(app.config, "SETTINGS", settings)
        assert acme.get(PATH).json == {"accounts": 1, "limit": 1}
        with inside(app, acme.slug), pytest.raises(AccountLimitError):
            check_room()
        cc.patch(f"/cc/{acme.slug}", {"account_limit": 0})
        assert acme.get(PATH).json == {"accounts": 1, "limit": None}
        cc.patch(f"/cc/{acme.slug}", {"account_limit": 3})
        with inside(app, acme.slug):
            check_room(2)
            with pytest.raises(AccountLimitError):
                check_room(3)


@pytest.mark.parametrize("value", [-1, 1.5, "7", True, 10**9, [], "9" * 50])
def test_what_is_no_limit(cc: Operator, company: Company, value: Any) -> None:
    problem = assert_problem(cc.patch(f"/cc/{company.slug}", {"account_limit": value}), 422)
    assert set(problem["errors"]["json"]) == {"account_limit"}


def test_adding_a_user_asks_for_room(acme: Company, cc: Operator) -> None:
    cc.patch(f"/cc/{acme.slug}", {"account_limit": 1})
    body = {"first_name": "A", "last_name": "B", "email": "full@example.com"}
    more = {"password": "correct horse battery", "role_uuid": acme.role_uuid("user")}
    problem = assert_problem(acme.post("/users/", {**body, **more}), 409)
    assert problem["type"] == "urn:todo:problem:account-limit"
