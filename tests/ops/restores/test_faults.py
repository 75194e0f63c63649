"""What goes wrong in a restore leaves the live tenant as it was, and the next try works."""

from __future__ import annotations

import dataclasses
import random
import shutil
import threading
from collections.abc import Callable
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
import pytest
from pyrage import x25519

from ops.restores import job, restore, scratch, swap
from ops.runs.job import RunUnderwayError
from ops.runs.work import work
from ops.upgrades.locks import lock_tenant
from tests.factories import Company, wait_until
from tests.ops.moving import try_to_move
from tests.ops.restores.keeping import Keeper, add_task, enter, settings_of, titles
from todo_app.database import own_connection
from todo_app.errors import InvalidInputError
from todo_app.storage import Storage, StorageError


@pytest.fixture
def backed_up(keeper: Keeper, acme: Company) -> Company:
    """A company that has more than its archive."""
    add_task(acme, "Kept")
    keeper.back_up(acme.slug)
    add_task(acme, "New")
    return acme


def assert_untouched(keeper: Keeper, company: Company, fault: Callable[[], dict[str, Any]]) -> str:
    """Check that a restore fails and changes nothing; gives the error."""
    tables, schemas = keeper.tables_of(company.schema_name), keeper.schemas()
    item = fault()
    assert item["state"] == "failed", item
    assert keeper.tables_of(company.schema_name) == tables
    assert keeper.schemas() == schemas
    assert titles(company) == ["Kept", "New"]
    return str(item["error"])


def assert_next_try_works(keeper: Keeper, company: Company) -> None:
    keeper.sql("UPDATE public.archives SET error = NULL WHERE slug = :slug", slug=company.slug)
    assert keeper.restore(company.slug)["state"] == "done"
    assert titles(company) == ["Kept"]
    assert not keeper.schemas("restoring")


def test_flipped_bits_and_cuts(keeper: Keeper, backed_up: Company) -> None:
    file = keeper.archive_file(backed_up.slug)
    whole = file.read_bytes()
    places = [0, len(whole) - 1, *random.Random(1).sample(range(len(whole)), 10)]
    damaged = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in places]
    damaged += [whole[:-1], whole[: len(whole) // 2], b"", whole + b"\0"]
    for data in damaged:
        file.write_bytes(data)
        keeper.sql("UPDATE public.archives SET error = NULL WHERE slug = :s", s=backed_up.slug)
        error = assert_untouched(keeper, backed_up, lambda: keeper.restore(backed_up.slug))
        assert error
    file.write_bytes(whole)
    assert_next_try_works(keeper, backed_up)


def test_another_tenants_archive(keeper: Keeper, backed_up: Company, globex: Company) -> None:
    keeper.back_up(globex.slug)
    file = keeper.archive_file(backed_up.slug)
    whole = file.read_bytes()
    shutil.copyfile(keeper.archive_file(globex.slug), file)
    assert_untouched(keeper, backed_up, lambda: keeper.restore(backed_up.slug))
    file.write_bytes(whole)
    assert_next_try_works(keeper, backed_up)


def test_wrong_and_missing_key(keeper: Keeper, backed_up: Company) -> None:
    for identity in (str(x25519.Identity.generate()), ""):
        with settings_of(keeper.app, backup_identity=identity):
            assert_untouched(keeper, backed_up, lambda: keeper.restore(backed_up.slug))
    assert_next_try_works(keeper, backed_up)


def test_the_archive_is_gone(keeper: Keeper, backed_up: Company) -> None:
    file = keeper.archive_file(backed_up.slug)
    whole = file.read_bytes()
    file.unlink()
    assert_untouched(keeper, backed_up, lambda: keeper.restore(backed_up.slug))
    file.write_bytes(whole)
    assert_next_try_works(keeper, backed_up)


class Cut:
    """A stream that ends with an error."""

    def __init__(self, source: Any, size: int) -> None:
        self.source, self.left = source, size

    def read(self, size: int = -1) -> bytes:
        if self.left <= 0:
            raise StorageError("the storage is gone")
        data: bytes = self.source.read(min(size, self.left) if size >= 0 else self.left)
        self.left -= len(data)
        return data


def test_the_storage_goes_away_in_the_middle(
    keeper: Keeper, backed_up: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = keeper.archive_file(backed_up.slug).stat().st_size
    reading = Storage.reading

    @contextmanager
    def cut(self: Storage, name: str) -> Any:
        with reading(self, name) as source:
            yield Cut(source, size // 2)

    monkeypatch.setattr(job, "MAX_ATTEMPTS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "reading", cut)
        error = assert_untouched(keeper, backed_up, lambda: keeper.restore(backed_up.slug))
    assert error == "the storage is gone"
    assert_next_try_works(keeper, backed_up)


def test_a_schema_that_was_changed_by_hand(keeper: Keeper, acme: Company) -> None:
    keeper.sql(f"ALTER TABLE {acme.schema_name}.tasks ADD COLUMN by_hand text")
    add_task(acme, "Kept")
    keeper.back_up(acme.slug)
    add_task(acme, "New")
    error = assert_untouched(keeper, acme, lambda: keeper.restore(acme.slug))
    assert "tasks.by_hand" in error
    keeper.sql(f"CREATE TABLE {acme.schema_name}.by_hand (id int PRIMARY KEY)")
    keeper.back_up(acme.slug)
    assert "no table by_hand" in assert_untouched(keeper, acme, lambda: keeper.restore(acme.slug))


def test_an_unknown_revision(keeper: Keeper) -> None:
    with (
        keeper.app.app_context(),
        own_connection() as connection,
        pytest.raises(InvalidInputError, match="9999"),
    ):
        scratch.build(connection, scratch.scratch_name(), "9999", None)


def test_the_database_ends_the_connection(
    keeper: Keeper, backed_up: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While rows are loaded, and while what they were compared with is upgraded."""
    monkeypatch.setattr(job, "MAX_ATTEMPTS", 1)

    def cut_off(*_: Any) -> None:
        keeper.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = 'todo_ops'"
            " AND pid <> pg_backend_pid() AND (state LIKE 'idle in%' OR query LIKE '%TEXT%')"
        )

    check_fit = scratch.check_fit
    with monkeypatch.context() as patch:
        patch.setattr(scratch, "check_fit", lambda *args: (check_fit(*args), cut_off()))
        assert_untouched(keeper, backed_up, lambda: keeper.restore(backed_up.slug))
    assert_next_try_works(keeper, backed_up)


def test_two_restores_of_one_tenant(keeper: Keeper, backed_up: Company, globex: Company) -> None:
    keeper.back_up(globex.slug)
    first = keeper.plan(backed_up.slug)
    with pytest.raises(RunUnderwayError):
        keeper.plan(backed_up.slug)
    other = keeper.plan(globex.slug)
    assert keeper.work(first)["state"] == "done"
    assert keeper.work(other)["state"] == "done"
    assert keeper.restore(backed_up.slug)["state"] == "done"


def test_another_operation_holds_the_tenant(
    keeper: Keeper, backed_up: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "MAX_ATTEMPTS", 1)
    run_id = keeper.plan(backed_up.slug)

    def hold() -> None:
        with (
            keeper.app.app_context(),
            own_connection() as connection,
            lock_tenant(connection, backed_up.schema_name),
        ):
            held.set()
            done.wait(30)

    held, done = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    try:
        error = assert_untouched(keeper, backed_up, lambda: keeper.work(run_id))
    finally:
        done.set()
        holder.join()
    assert error == "Another operation works on this tenant."
    assert_next_try_works(keeper, backed_up)


def test_an_upgrade_cannot_begin_while_a_restore_waits(
    keeper: Keeper, backed_up: Company, ops_url: str
) -> None:
    run_id = keeper.plan(backed_up.slug)
    with closing(psycopg2.connect(ops_url)) as open_, open_.cursor() as cursor:
        enter(cursor, backed_up.slug)
        restoring = threading.Thread(target=keeper.work, args=(run_id,))
        restoring.start()
        wait_until(lambda: keeper.schemas("restoring"), 30)
        outcome = try_to_move(keeper.app, backed_up.schema_name, "0001")
        assert (outcome.state, outcome.retry) == ("failed", True)
        # The tenant is served meanwhile.
        assert titles(backed_up) == ["Kept", "New"]
        open_.rollback()
    restoring.join()
    assert titles(backed_up) == ["Kept"]


def test_a_transaction_that_never_ends(
    keeper: Keeper, backed_up: Company, ops_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(job, "MAX_ATTEMPTS", 1)
    with closing(psycopg2.connect(ops_url)) as open_, open_.cursor() as cursor:
        enter(cursor, backed_up.slug)
        error = assert_untouched(keeper, backed_up, lambda: keeper.restore(backed_up.slug))
    assert "has run all the time" in error
    assert_next_try_works(keeper, backed_up)


@pytest.fixture
def ops_url(keeper: Keeper) -> str:
    """The connection of operations, in this process."""
    return keeper.settings.ops_database_url


def test_a_restore_that_was_taken_over_changes_nothing(
    keeper: Keeper, backed_up: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was frozen until another one took its tenant must not swap any more."""
    fill = restore.fill

    def lose_claim(*args: Any) -> Any:
        filled = fill(*args)
        keeper.sql(
            "UPDATE public.ops_run_items SET claim = gen_random_uuid() WHERE state = 'running'"
            " AND slug = :slug",
            slug=backed_up.slug,
        )
        return filled

    tables = keeper.tables_of(backed_up.schema_name)
    run_id = keeper.plan(backed_up.slug)
    with monkeypatch.context() as patch:
        patch.setattr(restore, "fill", lose_claim)
        with keeper.app.app_context():
            params = {"action": "restore", "with_deleted_users": False}
            work(run_id, job.perform(params, keeper.settings), lambda claim: None, 0.01)
    assert keeper.tables_of(backed_up.schema_name) == tables
    keeper.sql("UPDATE public.ops_runs SET state = 'cancelled' WHERE id = :id", id=run_id)


def test_the_plain_indexes_are_rebuilt_for_many_rows(
    keeper: Keeper, backed_up: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = :name ORDER BY 1"
    before = keeper.sql(indexes, name=backed_up.schema_name)
    monkeypatch.setattr(scratch, "INDEXES_ARE_REBUILT_FROM", 1)
    assert_next_try_works(keeper, backed_up)
    assert keeper.sql(indexes, name=backed_up.schema_name) == before


def test_without_roles(keeper: Keeper) -> None:
    settings = dataclasses.replace(keeper.settings, tenant_roles=False)
    with keeper.app.app_context(), own_connection() as connection:
        assert scratch.grantee(connection, settings, "t_any") == '"todo_api"'
