"""Archives of tenants, their keys, and a gate that a restore closes while it swaps two schemas."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

ENTER_TENANT = """
CREATE OR REPLACE FUNCTION public.enter_tenant(
    key_column text, key text, host_name text, oldest_revision text, use_role boolean,
    token_digest bytea,
    OUT id bigint, OUT uuid uuid, OUT slug text, OUT schema_name text, OUT name text,
    OUT host text, OUT state text, OUT revision text, OUT host_owner text,
    OUT user_id bigint, OUT user_uuid uuid, OUT role text, OUT permissions text[],
    OUT token_id bigint
) LANGUAGE plpgsql AS $$
-- Finds a tenant and, where it can be served, makes its schema the search_path and its role the
-- current one until the end of the transaction; then finds the user of a token in that schema.
-- One round trip, and PostgreSQL keeps the plans.
DECLARE
    t public.tenants;
BEGIN
    IF key_column = 'schema_name' THEN
        SELECT * INTO t FROM public.tenants AS c WHERE c.schema_name = key;
    ELSIF key_column = 'slug' THEN
        SELECT * INTO t FROM public.tenants AS c WHERE c.slug = key;
    ELSE
        SELECT * INTO t FROM public.tenants AS c WHERE c.host = key;
    END IF;
    id := t.id; uuid := t.uuid; slug := t.slug; schema_name := t.schema_name; name := t.name;
    host := t.host; state := t.state; revision := t.revision;
    IF host_name IS NOT NULL THEN
        SELECT c.schema_name INTO host_owner FROM public.tenants AS c WHERE c.host = host_name;
    END IF;
    IF id IS NULL OR state <> 'active' OR revision < oldest_revision THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', '3s', true);
    {gate}-- After this the catalogue can no longer be read.
    PERFORM set_config('search_path', quote_ident(schema_name), true),
            set_config('statement_timeout', '30s', true),
            set_config('role', CASE WHEN use_role THEN schema_name ELSE 'none' END, true);
    IF token_digest IS NOT NULL THEN
        SELECT u.id, u.uuid, r.name, r.permissions, k.id
          INTO user_id, user_uuid, role, permissions, token_id
          FROM access_tokens AS k
          JOIN users AS u ON u.id = k.user_id
          JOIN roles AS r ON r.id = u.role_id
         WHERE k.digest = token_digest AND k.expires_at > now()
           AND u.is_active AND u.deleted_at IS NULL;
    END IF;
END
$$
"""

GATE = """-- Where a restore is just replacing the tenant's schema, this waits until it has: no
    -- transaction ever sees tables of both.
    PERFORM pg_advisory_xact_lock_shared(7301006, hashtext(schema_name));
    -- What was read before may have changed while this waited.
    SELECT c.state, c.revision INTO state, revision FROM public.tenants AS c WHERE c.id = t.id;
    IF NOT FOUND THEN
        id := NULL;
    END IF;
    IF id IS NULL OR state <> 'active' OR revision < oldest_revision THEN
        RETURN;
    END IF;
    """


def upgrade() -> None:
    op.create_table(
        "backup_sets",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("state", sa.Text, server_default="running", nullable=False),
        sa.Column("is_consistent", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("is_whole", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("snapshot", sa.Text),
        sa.Column("run_id", sa.BigInteger),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("failures", JSONB, server_default="{}", nullable=False),
        _time("created_at", server_default=sa.func.now(), nullable=False),
        _time("finished_at"),
        sa.CheckConstraint("state IN ('running', 'complete', 'incomplete')", name="state"),
        schema="public",
    )
    op.create_table(
        "archives",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("set_id", sa.BigInteger, nullable=False),
        sa.Column("tenant_uuid", sa.Uuid, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("is_encrypted", sa.Boolean, nullable=False),
        _time("taken_at", nullable=False),
        _time("verified_at"),
        _time("proven_at"),
        sa.Column("error", sa.Text),
        sa.ForeignKeyConstraint(["set_id"], ["public.backup_sets.id"], ondelete="CASCADE"),
        sa.UniqueConstraint("set_id", "tenant_uuid"),
        sa.Index("ix_archives_tenant_uuid", "tenant_uuid", "taken_at"),
        schema="public",
    )
    op.create_table(
        "tenant_keys",
        sa.Column("tenant_uuid", sa.Uuid, primary_key=True),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("wrapped", sa.LargeBinary),
        _time("created_at", server_default=sa.func.now(), nullable=False),
        _time("forgotten_at"),
        schema="public",
    )
    op.create_table(
        "replaced_schemas",
        sa.Column("schema_name", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("archive", sa.Text, nullable=False),
        _time("replaced_at", server_default=sa.func.now(), nullable=False),
        _time("keep_until", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["public.tenants.id"], ondelete="CASCADE"),
        sa.Index("ix_replaced_schemas_tenant_id", "tenant_id"),
        schema="public",
    )
    for column in (_time("last_proven_restore"), sa.Column("retention", JSONB)):
        op.add_column("tenants", column, schema="public")
    op.execute(ENTER_TENANT.replace("{gate}", GATE))


def downgrade() -> None:
    op.execute(ENTER_TENANT.replace("{gate}", ""))
    for column in ("retention", "last_proven_restore"):
        op.drop_column("tenants", column, schema="public")
    for table in ("replaced_schemas", "tenant_keys", "archives", "backup_sets"):
        op.drop_table(table, schema="public")


def _time(name: str, **options: Any) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **options)
