"""A restore while the company works on: each request sees the old or the new data, never half."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from flask.testing import FlaskClient

from tests.factories import Company, Person
from tests.ops.restores.keeping import Keeper, add_task, titles
from todo_app.database import db
from todo_app.tenancy import tenant_scope

THREADS = 4
SWAPS = 12


class Load:
    """Requests and transactions of one company, in many threads, until the block ends."""

    def __init__(self, keeper: Keeper, company: Company) -> None:
        self.keeper, self.company = keeper, company
        self.seen: Counter[object] = Counter()
        self.slowest = 0.0
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=(work,))
            for work in [self._request, self._transaction] * (THREADS // 2)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, work: object) -> None:
        assert callable(work)
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                seen = work()
            except Exception as error:
                seen = f"{type(error).__name__}: {error}"
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.seen[seen] += 1

    def _request(self) -> object:
        company = self.company
        person = Person(
            self.keeper.app.test_client(), company.slug, company.token, company.uuid, company.email
        )
        answer = person.get("/lists/?size=100")
        return answer.json["items"][0]["title"] if answer.status_code == 200 else answer.json

    def _transaction(self) -> object:
        """Many statements, between which the schema might change."""
        with self.keeper.app.app_context(), tenant_scope(self.company.slug):
            first = db.session.execute(db.text("SELECT title FROM lists")).scalar_one()
            time.sleep(0.01)
            for _ in range(3):
                second = db.session.execute(db.text("SELECT title FROM tasks")).scalar_one()
                if second != first:
                    return f"half: {first} and {second}"
            db.session.rollback()
        return first


def test_each_transaction_sees_the_old_or_the_new(
    keeper: Keeper, acme: Company, globex: Company, record_property: pytest.RecordProperty
) -> None:
    add_task(acme, "Archived")
    keeper.back_up(acme.slug)
    for table in ("lists", "tasks"):
        keeper.sql(f"UPDATE {acme.schema_name}.{table} SET title = 'Live'")
    swaps = []
    with Load(keeper, acme) as load:
        for number in range(SWAPS):
            add_task(globex, f"Meanwhile {number:02}")
            item = keeper.undo(acme.slug) if number else keeper.restore(acme.slug)
            assert item["state"] == "done", item
            swaps.append(item["swap_ms"])
    assert set(load.seen) <= {"Archived", "Live"}, load.seen
    assert len(load.seen) == 2
    record_property("swap_ms", max(swaps))
    record_property("slowest_request_ms", load.slowest * 1000)
    print(f"swaps {swaps} ms, slowest {load.slowest * 1000:.0f} ms, {load.seen}")
    assert load.slowest < 3
    assert titles(globex) == [f"Meanwhile {number:02}" for number in range(SWAPS)]


def test_writes_of_others_are_all_there(
    keeper: Keeper, acme: Company, globex: Company, client: FlaskClient
) -> None:
    keeper.back_up(acme.slug)
    written: list[str] = []
    ended = threading.Event()

    def write() -> None:
        person = Person(
            keeper.app.test_client(), globex.slug, globex.token, globex.uuid, globex.email
        )
        while not ended.is_set():
            written.append(add_task(person, f"Task {len(written):04}"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            assert keeper.restore(acme.slug)["state"] == "done"
    finally:
        ended.set()
        writer.join()
    assert keeper.count(globex.schema_name, "tasks") == len(written) > 0
