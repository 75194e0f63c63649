"""A rescan of the storage while backups go on."""

from __future__ import annotations

import threading

import pytest

from ops.backups import closing
from ops.backups import job as backups
from tests.factories import Company
from tests.ops.restores.keeping import Keeper
from todo_app.storage import Storage


def test_a_set_that_begins_meanwhile_is_left_alone(
    acme: Company, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.back_up(acme.slug)
    real = Storage.names
    sets: list[str] = []

    def take() -> None:
        with keeper._entry():
            begun, run_id = backups.create([acme.slug], actor="tests", settings=keeper.settings)
            sets.append(begun.name)
        keeper.work(run_id)

    def names(storage: Storage, prefix: str = "") -> list[str]:
        monkeypatch.setattr(Storage, "names", real)
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        return real(storage, prefix)

    monkeypatch.setattr(Storage, "names", names)
    rescanned = keeper.invoke("backups", "rescan")
    assert rescanned.exit_code == 0, rescanned.output
    with keeper._entry():
        closing.close(keeper.settings)
    [row] = keeper.sql(
        "SELECT state, finished_at FROM public.backup_sets WHERE name = :name", name=sets[0]
    )
    assert row.state == "complete"
    assert row.finished_at
