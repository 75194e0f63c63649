"""A scrape says what the tables and the broker hold."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from prometheus_client.core import Metric

import celeryconfig
from ops.archives.models import COMPLETE, INCOMPLETE, BackupSet
from ops.monitor import metrics, tables
from ops.monitor.models import TenantCheck
from ops.schedule import Firing
from ops.upgrades.script import revisions
from tests.ops.monitor.scraping import (
    NOW,
    add,
    archive,
    broker,
    fill_everything,
    item,
    run,
    scrape,
    tenant,
)
from todo_app import outbox
from todo_app.database import db, transaction
from todo_app.outbox import OutboxMessage
from todo_app.tenancy import control_plane, operations

LABELS = {"kind", "le", "method", "part", "queue", "revision", "route", "schedule", "state"}
LABELS |= {"status"}


def test_how_old_archives_are(empty: Flask) -> None:
    seen = scrape(empty)
    assert seen.value("todo_tenants_without_archive") == 0
    assert "todo_backup_last_complete_timestamp_seconds" not in seen.names()
    empty.extensions.pop("metrics")
    backed, bare, proven = tenant("a"), tenant("b"), tenant("c", last_proven_restore=NOW)
    done = BackupSet(name="one", actor="me", state=COMPLETE, finished_at=NOW)
    add(backed, bare, proven, tenant("d", state="deleting"), done)
    add(BackupSet(name="two", actor="me", state=INCOMPLETE, finished_at=NOW + timedelta(hours=1)))
    add(
        archive(done.id, backed.uuid, taken_at=NOW - timedelta(days=2), error="It is damaged."),
        archive(done.id, proven.uuid, taken_at=NOW),
    )
    seen = scrape(empty)
    assert seen.all("todo_backup_sets", "state") == {"complete": 1, "incomplete": 1, "running": 0}
    assert seen.value("todo_backup_last_complete_timestamp_seconds") == NOW.timestamp()
    assert seen.value("todo_archives_damaged") == 1
    assert seen.value("todo_tenants_without_archive") == 1
    oldest = seen.value("todo_tenant_oldest_archive_timestamp_seconds")
    assert oldest == (NOW - timedelta(days=2)).timestamp()
    assert seen.value("todo_tenants_never_proven") == 2
    assert seen.value("todo_last_proven_restore_timestamp_seconds") == NOW.timestamp()


def test_tenants_and_who_is_behind(empty: Flask) -> None:
    first, head = revisions()[0], revisions()[-1]
    assert scrape(empty).value("todo_tenants_behind") == 0
    empty.extensions.pop("metrics")
    add(
        tenant("a", is_canary=True),
        tenant("b", is_canary=True, revision=first),
        tenant("c", revision=first, state="suspended"),
        tenant("d", revision=first, state="deleting"),
        tenant("e", revision=""),
        tenant("f", revision="9999"),
    )
    seen = scrape(empty)
    assert seen.value("todo_tenants", state="active", revision=head) == 1
    assert seen.value("todo_tenants", state="active", revision=first) == 1
    assert seen.value("todo_tenants", state="suspended", revision=first) == 1
    assert seen.value("todo_tenants", state="active", revision="base") == 1
    assert seen.value("todo_newest_revision_info", revision=head) == 1
    assert seen.value("todo_canary_tenants") == 2
    # Neither the one that is being dropped nor the one that newer code has made.
    assert seen.value("todo_tenants_behind") == 3
    assert seen.value("todo_tenant_max_revisions_behind") == len(revisions())


def test_runs_and_their_items(empty: Flask) -> None:
    hour = timedelta(hours=1)
    running = run(created_at=NOW - hour)
    silent = run("backups", created_at=NOW - 2 * hour)
    ended = run(state="failed", created_at=NOW - hour, finished_at=NOW)
    old = run(state="failed", created_at=NOW - 30 * hour, finished_at=NOW - 25 * hour)
    add(running, silent, ended, old)
    at_work = item(running.id, 1, "running")
    at_work.heartbeat_at = NOW + timedelta(seconds=5)
    add(
        at_work,
        item(running.id, 2, "pending"),
        item(running.id, 3, "done", 0.25),
        item(ended.id, 1, "failed", 0.26),
        item(ended.id, 2, "failed", 40),
        item(ended.id, 3, "done", 5000),
        item(ended.id, 4, "skipped"),
        item(old.id, 1, "failed", 1),
        item(silent.id, 1, "pending"),
    )
    seen = scrape(empty)
    states = {"running", "succeeded", "failed", "stopped", "cancelled"}
    assert {
        state: seen.value("todo_runs", kind="upgrades", state=state) for state in states
    } == dict.fromkeys(states, 0) | {"running": 1, "failed": 2}
    assert {
        state: seen.value("todo_run_items", kind="upgrades", state=state)
        for state in ("pending", "running", "done", "skipped", "failed")
    } == {"pending": 1, "running": 1, "done": 1, "skipped": 0, "failed": 0}
    assert seen.value("todo_run_items", kind="backups", state="pending") == 1
    assert seen.all("todo_run_failures", "kind") == {"upgrades": 2, "backups": 0}

    started = seen.all("todo_run_oldest_start_timestamp_seconds", "kind")
    assert started == {
        "upgrades": (NOW - hour).timestamp(),
        "backups": (NOW - 2 * hour).timestamp(),
    }
    assert seen.all("todo_run_last_heartbeat_timestamp_seconds", "kind") == {
        "upgrades": NOW.timestamp() + 5,
        "backups": (NOW - 2 * hour).timestamp(),
    }

    family = "todo_run_item_duration_seconds"
    buckets = {float(bound): number for bound, number in seen.all(f"{family}_bucket", "le").items()}
    # A bucket holds its upper bound: 0.25 s is in the one of 0.25.
    expected = {0.1: 0, 0.25: 1, 0.5: 2, 30: 2, 60: 3, 900: 3, float("inf"): 4}
    assert {bound: buckets[bound] for bound in expected} == expected
    assert seen.value(f"{family}_gcount", kind="upgrades") == 4
    assert seen.value(f"{family}_gsum", kind="upgrades") == pytest.approx(5040.51)


def test_a_run_that_has_ended_is_not_waited_for(empty: Flask) -> None:
    add(run(state="succeeded", finished_at=NOW))
    seen = scrape(empty)
    assert seen.value("todo_runs", kind="upgrades", state="succeeded") == 1
    for name in ("oldest_start", "last_heartbeat"):
        assert f"todo_run_{name}_timestamp_seconds" not in seen.names()


def test_drift(empty: Flask) -> None:
    rows = [tenant(slug) for slug in ("a", "b", "c", "unchecked")]
    add(*rows)
    found: tuple[list[str], ...] = (
        ["column tasks.title is missing", "index ix_x is new"],
        [],
        ["default of tasks.done"],
    )
    add(
        *(
            TenantCheck(
                tenant_id=row.id,
                revision=row.revision,
                differences=differences,
                checked_at=NOW - timedelta(minutes=number),
            )
            for number, (row, differences) in enumerate(zip(rows, found, strict=False))
        )
    )
    seen = scrape(empty)
    assert seen.value("todo_tenants_checked") == 3
    assert seen.value("todo_tenants_drifted") == 2
    oldest = seen.value("todo_tenant_oldest_check_timestamp_seconds")
    assert oldest == (NOW - timedelta(minutes=2)).timestamp()


def test_outbox(empty: Flask) -> None:
    assert "todo_outbox_oldest_timestamp_seconds" not in scrape(empty).names()
    empty.extensions.pop("metrics")
    written = {"kind": "mail", "payload": {"to": "a@example.com"}}
    with operations(), transaction():
        for values in (
            {"created_at": NOW - timedelta(minutes=3)},
            {"created_at": NOW},
            {"created_at": NOW - timedelta(days=1), "delivered_at": NOW},
            {"created_at": NOW - timedelta(days=2), "failed_at": NOW},
        ):
            db.session.execute(sa.insert(OutboxMessage).values(**written, **values).inline())
    seen = scrape(empty)
    assert seen.all("todo_outbox_messages", "state") == {"waiting": 2, "failed": 1}
    oldest = seen.value("todo_outbox_oldest_timestamp_seconds")
    assert oldest == (NOW - timedelta(minutes=3)).timestamp()


def test_the_api_counts_messages_that_it_may_not_read(empty: Flask) -> None:
    with control_plane(), pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        db.session.execute(sa.select(OutboxMessage.payload))


def test_each_scheduled_job_has_its_last_firing(empty: Flask) -> None:
    jobs = set(celeryconfig.beat_schedule)
    fired = sorted(jobs)[0]
    for age in (3, 1, 2):
        at = NOW - timedelta(hours=age)
        add(Firing(job=fired, scheduled_for=at, task_id="x", fired_at=at + timedelta(seconds=1)))
    add(Firing(job="gone", scheduled_for=NOW, task_id="x"))
    seen = scrape(empty).all("todo_schedule_last_fired_timestamp_seconds", "schedule")
    assert set(seen) == jobs
    assert seen.pop(fired) == (NOW - timedelta(hours=1) + timedelta(seconds=1)).timestamp()
    assert set(seen.values()) == {0}


def test_messages_in_the_queues(empty: Flask) -> None:
    with broker(empty) as client:
        client.rpush("upgrades", "one", "two", "three")
        client.rpush("somebody-elses", "one")
    seen = scrape(empty).all("todo_queue_messages", "queue")
    others = dict.fromkeys(("backups", "restores", "upkeep", "delivery", "default"), 0)
    assert seen == {"upgrades": 3, **others}


def test_scrapes_in_a_row_ask_the_database_once(
    empty: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    read = tables.read

    def counted() -> list[Metric]:
        asked.append(time.monotonic())
        return read()

    monkeypatch.setattr(tables, "read", counted)
    threads = [threading.Thread(target=scrape, args=(empty,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 0.0)
    add(tenant("a"))
    assert scrape(empty).value("todo_tenants", state="active", revision=revisions()[-1]) == 1


def test_no_series_of_a_tenant_and_names_as_prometheus_wants_them(empty: Flask) -> None:
    fill_everything()
    seen = scrape(empty)
    for family in seen.families:
        assert re.fullmatch(r"todo(_[a-z]+)+", family.name)
        assert family.documentation
    labels = {name for _, labels in seen.values for name, _ in labels}
    assert labels <= LABELS
    text = json.dumps([[name, sorted(labels)] for name, labels in seen.values])
    assert "secret-slug" not in text


def test_what_is_for_later_does_not_wait_yet(empty: Flask) -> None:
    oldest = "todo_outbox_oldest_timestamp_seconds"
    with operations(), transaction():
        outbox.put(outbox.NOTICES, {"schema_name": "t_a"}, NOW + timedelta(days=30))
        db.session.execute(
            sa.text("UPDATE public.outbox SET created_at = created_at - interval '1 hour'")
        )
    seen = scrape(empty)
    assert oldest not in seen.names() or seen.value(oldest) > NOW.timestamp()


def test_what_an_archived_tenant_was_when_it_was_checked_is_no_drift(empty: Flask) -> None:
    gone = tenant("a", state="archived")
    add(gone)
    ago = NOW - timedelta(days=90)
    add(TenantCheck(tenant_id=gone.id, revision="", differences=["extra index"], checked_at=ago))
    seen = scrape(empty)
    assert seen.value("todo_tenants_drifted") == 0
    assert "todo_tenant_oldest_check_timestamp_seconds" not in seen.names()
