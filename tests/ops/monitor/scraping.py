"""An installation to scrape: rows for it, and what a scrape of it gave."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
import sqlalchemy as sa
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from ops.archives.models import COMPLETE, ArchiveRow, BackupSet
from ops.monitor.models import TenantCheck
from ops.runs.models import Run, RunItem
from ops.upgrades.script import revisions
from todo_app.database import db, transaction
from todo_app.outbox import OutboxMessage
from todo_app.tenancy import operations
from todo_app.tenants.models import Tenant

TOKEN = "scrapes-only"
NOW = datetime.now(UTC).replace(microsecond=0)

Key = tuple[str, frozenset[tuple[str, str]]]


class Scrape:
    """What one scrape gave."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        samples = [sample for family in self.families for sample in family.samples]
        self.values: dict[Key, float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value for sample in samples
        }
        assert len(self.values) == len(samples), "a series is there twice"

    def value(self, name: str, **labels: str) -> float:
        return self.values[name, frozenset(labels.items())]

    def all(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by one of its labels."""
        return {
            dict(labels)[label]: value
            for (found, labels), value in self.values.items()
            if found == name
        }

    def names(self) -> set[str]:
        return {name for name, _ in self.values}


def broker(app: Flask) -> redis.Redis:
    return redis.Redis.from_url(app.config["SETTINGS"].redis_url)


def scrape(app: Flask) -> Scrape:
    answer = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(answer.text)


def add(*rows: Any) -> None:
    with operations(), transaction():
        db.session.add_all(rows)


def tenant(slug: str, **values: Any) -> Tenant:
    head = revisions()[-1]
    return Tenant(
        **{"slug": slug, "schema_name": f"t_{slug}", "name": slug, "state": "active"}
        | {"revision": head}
        | values
    )


def run(kind: str = "upgrades", **values: Any) -> Run:
    given = {"title": "to head", "params": {}, "actor": "tests", "waves": 1, "max_failures": 0}
    more = {"has_canaries": False, "max_attempts": 5, "concurrency": 8}
    return Run(kind=kind, **{**given, **more, **values})


def item(run_id: int, tenant_id: int, state: str, seconds: float | None = None) -> RunItem:
    name = f"t_{tenant_id}"
    times = {}
    if seconds is not None:
        times = {"started_at": NOW - timedelta(seconds=seconds), "finished_at": NOW}
    row = {"schema_name": name, "slug": name, "wave": 1}
    return RunItem(run_id=run_id, tenant_id=tenant_id, state=state, **row, **times)


def fill_everything() -> None:
    """Rows that give every metric a sample."""
    row, one = tenant("secret-slug"), run()
    add(row, one)
    add(
        item(one.id, row.id, "done", 1),
        TenantCheck(tenant_id=row.id, revision="", differences=[], checked_at=NOW),
    )
    set_ = BackupSet(name="set", actor="me", state=COMPLETE, finished_at=NOW)
    add(set_)
    add(archive(set_.id, row.uuid))
    with operations(), transaction():
        db.session.execute(sa.insert(OutboxMessage).values(kind="mail", payload={}).inline())
        db.session.execute(sa.update(Tenant).values(last_proven_restore=NOW))


def archive(set_id: int, tenant_uuid: uuid.UUID, **values: Any) -> ArchiveRow:
    """An archive of a tenant."""
    known = {"revision": "", "rows": 1, "bytes": 1, "sha256": "", "is_encrypted": False}
    name = f"set/{uuid.uuid4()}"
    return ArchiveRow(
        **{**known, "taken_at": NOW, "slug": "x", **values},
        set_id=set_id,
        tenant_uuid=tenant_uuid,
        name=name,
    )


def make_current(app: Flask) -> None:
    app.extensions["celery"].set_default()
    app.extensions["celery"].set_current()


def dispose(other: Flask) -> None:
    with other.app_context():
        for engine in db.engines.values():
            engine.dispose()
