"""The ledger: a run is work on many tenants, an item is one tenant's part of it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from todo_app.database import Base

RUNNING = "running"
SUCCEEDED = "succeeded"
FAILED = "failed"
STOPPED = "stopped"
CANCELLED = "cancelled"
RUN_STATES = (RUNNING, SUCCEEDED, FAILED, STOPPED, CANCELLED)

PENDING = "pending"
DONE = "done"
SKIPPED = "skipped"
ITEM_STATES = (PENDING, RUNNING, DONE, SKIPPED, FAILED)


class Run(Base):
    """A fan-out over tenants.

    `kind` names the folder of `ops` whose task does the work, and the queue it waits in.
    `stopped` means that more tenants failed than `max_failures` allows.
    """

    __tablename__ = "ops_runs"
    __table_args__ = (
        sa.CheckConstraint(
            "state IN ('running', 'succeeded', 'failed', 'stopped', 'cancelled')", name="state"
        ),
        {"schema": "public"},
    )

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True), primary_key=True)
    kind: Mapped[str]
    title: Mapped[str]
    params: Mapped[dict[str, Any]]
    actor: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=RUNNING)
    error: Mapped[str | None]
    wave: Mapped[int] = mapped_column(server_default="1")
    waves: Mapped[int]
    has_canaries: Mapped[bool]
    max_failures: Mapped[int]
    max_attempts: Mapped[int]
    concurrency: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    finished_at: Mapped[datetime | None]


class RunItem(Base):
    """One tenant's part of a run.

    A worker holds it while `state` is running; `claim` is what it holds it by, and is renewed by
    each claim, so that a worker that was taken for lost cannot write any more.
    """

    __tablename__ = "ops_run_items"
    __table_args__ = (
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'done', 'skipped', 'failed')", name="state"
        ),
        sa.Index(
            "ix_ops_run_items_open",
            "run_id",
            "wave",
            postgresql_where=sa.text("state IN ('pending', 'running')"),
        ),
        sa.Index("ix_ops_run_items_failed", "run_id", postgresql_where=sa.text("state = 'failed'")),
        {"schema": "public"},
    )

    run_id: Mapped[int] = mapped_column(
        sa.BigInteger, sa.ForeignKey("public.ops_runs.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    schema_name: Mapped[str]
    slug: Mapped[str]
    wave: Mapped[int]
    state: Mapped[str] = mapped_column(server_default=PENDING)
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    claim: Mapped[uuid.UUID | None]
    worker: Mapped[str | None]
    heartbeat_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    error: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
