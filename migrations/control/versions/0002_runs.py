"""The ledger of fan-outs, what the drift check found, and canary tenants."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0002"
down_revision = "0001"

lint_exceptions = {
    "require-concurrent-index-creation": "the outbox keeps days of messages: milliseconds",
}


def upgrade() -> None:
    op.add_column(
        "tenants",
        sa.Column("is_canary", sa.Boolean, server_default=sa.false(), nullable=False),
        schema="public",
    )
    op.create_index(
        "ix_outbox_failed_at",
        "outbox",
        ["failed_at"],
        schema="public",
        postgresql_where=sa.text("failed_at IS NOT NULL"),
    )
    op.create_table(
        "ops_runs",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("params", JSONB, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("state", sa.Text, server_default="running", nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("wave", sa.Integer, server_default="1", nullable=False),
        sa.Column("waves", sa.Integer, nullable=False),
        sa.Column("has_canaries", sa.Boolean, nullable=False),
        sa.Column("max_failures", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        _time("created_at", server_default=sa.func.now(), nullable=False),
        _time("finished_at"),
        sa.CheckConstraint(
            "state IN ('running', 'succeeded', 'failed', 'stopped', 'cancelled')", name="state"
        ),
        schema="public",
    )
    op.create_table(
        "ops_run_items",
        sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("schema_name", sa.Text, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        _time("due_at", server_default=sa.func.now(), nullable=False),
        sa.Column("claim", sa.Uuid),
        sa.Column("worker", sa.Text),
        _time("heartbeat_at"),
        sa.Column("result", JSONB, server_default="{}", nullable=False),
        sa.Column("error", sa.Text),
        _time("started_at"),
        _time("finished_at"),
        sa.ForeignKeyConstraint(["run_id"], ["public.ops_runs.id"], ondelete="CASCADE"),
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
        schema="public",
    )
    op.create_table(
        "tenant_checks",
        sa.Column("tenant_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("differences", ARRAY(sa.Text), nullable=False),
        _time("checked_at", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["public.tenants.id"], ondelete="CASCADE"),
        schema="public",
    )


def downgrade() -> None:
    for table in ("tenant_checks", "ops_run_items", "ops_runs"):
        op.drop_table(table, schema="public")
    op.drop_index("ix_outbox_failed_at", "outbox", schema="public")
    op.drop_column("tenants", "is_canary", schema="public")


def _time(name: str, **options: Any) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **options)
