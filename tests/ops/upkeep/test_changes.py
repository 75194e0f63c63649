"""What is gone is told to clients that sync as long as their tokens are good."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from flask import Flask

from ops.upkeep import tidy
from tests.factories import Company
from tests.todo_app.helpers import inside
from tests.todo_app.sync.kit import Replica
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from todo_app.activity.models import Change
from todo_app.database import db, own_connection
from todo_app.sync.tokens import KEPT_FOR
from todo_app.todos.models import Task, TodoList


def tidied(app: Flask, company: Company) -> int:
    with app.app_context(), own_connection() as connection:
        found = tidy.tidy(connection, company.schema_name, app.config["SETTINGS"]).result
    return int(found["changes"])


def age(app: Flask, company: Company, by: timedelta) -> None:
    with inside(app, company.slug):
        db.session.execute(sa.update(Change).values(at=Change.at - by))


def test_what_is_gone_is_forgotten_when_no_token_is_so_old(
    app: Flask, acme: Company, globex: Company
) -> None:
    for company in (acme, globex):
        home = add_list(company, "Home")["uuid"]
        add_task(company, home, "Kept")
        assert company.delete(path_of(add_task(company, home, "Gone"))).status_code == 204
    assert tidied(app, acme) == 0
    age(app, acme, KEPT_FOR)
    assert tidied(app, acme) == 0
    age(app, acme, timedelta(days=2))
    assert [tidied(app, company) for company in (acme, acme, globex)] == [1, 0, 0]
    replica = Replica(acme)
    replica.pull()
    assert (replica.titles("list"), replica.titles()) == (["Home"], ["Kept"])


def test_what_was_in_a_list_that_is_gone_is_forgotten_with_it(app: Flask, acme: Company) -> None:
    home = add_list(acme, "Home")
    add_task(acme, home["uuid"], "A")
    replica = Replica(acme)
    replica.pull()
    assert acme.delete(f"/lists/{home['uuid']}").status_code == 204
    with inside(app, acme.slug):
        db.session.execute(sa.delete(Task))
        db.session.execute(sa.delete(TodoList))
    assert tidied(app, acme) == 1
    replica.pull()
    assert not any(replica.things.values())
