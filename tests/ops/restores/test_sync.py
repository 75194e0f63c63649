"""Clients that sync notice that their data were restored, and read them anew."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Flask

from tests.factories import Company
from tests.ops.restores.keeping import Keeper
from tests.todo_app.helpers import assert_problem, inside
from tests.todo_app.sync.kit import Replica
from todo_app.notifications import service as notifications
from todo_app.reminders import sending


def test_tokens_are_good_for_the_data_that_they_were_given_for(
    keeper: Keeper, acme: Company
) -> None:
    home = acme.post("/lists/", {"title": "Home"}).json["uuid"]
    acme.post("/tasks/", {"title": "A", "list_uuid": home})
    # As if the archive came from a server that has had many more transactions.
    keeper.sql(f"UPDATE {acme.schema_name}.changes SET transaction = transaction + 1000000000")
    keeper.back_up(acme.slug)
    keeper.sql(f"UPDATE {acme.schema_name}.changes SET transaction = transaction - 1000000000")
    acme.post("/tasks/", {"title": "B", "list_uuid": home})
    replica = Replica(acme)
    replica.pull()
    assert replica.titles() == ["A", "B"]
    keeper.restore(acme.slug)
    assert_problem(acme.get("/sync", query_string={"since": replica.token}), 410)
    restored = Replica(acme)
    restored.pull()
    assert restored.titles() == ["A"]
    acme.post("/tasks/", {"title": "C", "list_uuid": home})
    restored.pull()
    assert restored.titles() == ["A", "C"]
    keeper.undo(acme.slug)
    replica.pull()
    assert replica.titles() == ["A", "B"]


def test_nobody_is_told_again_of_what_was_restored(
    app: Flask, keeper: Keeper, acme: Company
) -> None:
    person = acme.add_person()
    home = acme.post("/lists/", {"title": "Home"}).json["uuid"]
    task = acme.post("/tasks/", {"title": "A", "list_uuid": home}).json["uuid"]
    acme.post("/reminders/", {"task_uuid": task, "at": "2100-01-01T00:00:00Z"})
    keeper.back_up(acme.slug)
    keeper.restore(acme.slug)
    with inside(app, acme.slug):
        assert notifications.tell() == 0
        assert sending.next_due() == datetime(2100, 1, 1, tzinfo=UTC)
    assert person.get("/lists/").json["total"] == 1
