"""The catalogue of tenants, spare schemas, the outbox, operators, and firings of scheduled jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

revision = "0001"
down_revision = None

BUILD_SCHEMA = """
CREATE FUNCTION public.build_schema(new_name text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
-- Replays the prepared script, and nothing else, for a schema that does not exist yet.
-- Returns the revision that the schema has then.
DECLARE
    prepared public.schema_scripts;
BEGIN
    IF new_name !~ '^t_[a-z0-9_]{1,61}$' THEN
        RAISE EXCEPTION 'not a name of a tenant schema' USING ERRCODE = 'invalid_schema_name';
    END IF;
    SELECT * INTO STRICT prepared FROM public.schema_scripts;
    EXECUTE replace(prepared.script, 'tenant_schema_placeholder', quote_ident(new_name));
    RETURN prepared.revision;
END
$$
"""

CLAIM_SCHEMA = """
CREATE FUNCTION public.claim_schema(new_name text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
-- Gives a spare schema and its role their final name; builds one where none is ready.
-- Returns the revision of the schema.
DECLARE
    spare public.spare_schemas;
    prepared public.schema_scripts;
BEGIN
    IF new_name !~ '^t_[a-z0-9_]{1,61}$' THEN
        RAISE EXCEPTION 'not a name of a tenant schema' USING ERRCODE = 'invalid_schema_name';
    END IF;
    SELECT * INTO STRICT prepared FROM public.schema_scripts;
    SELECT * INTO spare FROM public.spare_schemas AS s WHERE s.digest = prepared.digest
     ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN public.build_schema(new_name);
    END IF;
    DELETE FROM public.spare_schemas WHERE schema_name = spare.schema_name;
    EXECUTE format('ALTER SCHEMA %I RENAME TO %I', spare.schema_name, new_name);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = spare.schema_name) THEN
        EXECUTE format('ALTER ROLE %I RENAME TO %I', spare.schema_name, new_name);
    END IF;
    RETURN prepared.revision;
END
$$
"""

ENTER_TENANT = """
CREATE FUNCTION public.enter_tenant(
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
    -- After this the catalogue can no longer be read.
    PERFORM set_config('search_path', quote_ident(schema_name), true),
            set_config('lock_timeout', '3s', true),
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

FUNCTIONS = (
    "enter_tenant(text, text, text, text, boolean, bytea)",
    "claim_schema(text)",
    "build_schema(text)",
)


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "uuid", sa.Uuid, server_default=sa.func.gen_random_uuid(), nullable=False, unique=True
        ),
        sa.Column("slug", sa.Text, nullable=False, unique=True),
        sa.Column("schema_name", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("host", sa.Text, unique=True),
        sa.Column("state", sa.Text, server_default="provisioning", nullable=False),
        sa.Column("revision", sa.Text, nullable=False, index=True),
        sa.Column("tax_id", sa.Text),
        sa.Column("street", sa.Text),
        sa.Column("postal_code", sa.Text),
        sa.Column("city", sa.Text),
        sa.Column("country", sa.Text),
        sa.Column("version", sa.Integer, server_default="1", nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.CheckConstraint(
            "state IN ('provisioning', 'active', 'suspended', 'archived', 'deleting')",
            name="state",
        ),
        schema="public",
    )
    op.create_table(
        "schema_scripts",
        sa.Column("revision", sa.Text, primary_key=True),
        sa.Column("script", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        _now("created_at"),
        schema="public",
    )
    op.create_table(
        "spare_schemas",
        sa.Column("schema_name", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        _now("created_at"),
        schema="public",
    )
    op.execute(BUILD_SCHEMA)
    op.execute(CLAIM_SCHEMA)
    op.execute(ENTER_TENANT)
    for function in FUNCTIONS:
        op.execute(f"REVOKE EXECUTE ON FUNCTION public.{function} FROM PUBLIC")
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        _now("created_at"),
        _now("available_at"),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
        sa.Column("failed_at", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text),
        sa.Index(
            "ix_outbox_available_at",
            "available_at",
            postgresql_where=sa.text("delivered_at IS NULL AND failed_at IS NULL"),
        ),
        schema="public",
    )
    op.create_table(
        "operators",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("token_digest", BYTEA, nullable=False, unique=True),
        sa.Column("scopes", ARRAY(sa.Text), nullable=False),
        _now("created_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        schema="public",
    )
    op.create_table(
        "operator_audit",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _now("at", index=True),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("allowed", sa.Boolean, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("request_id", sa.Text),
        schema="public",
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request_digest", BYTEA, nullable=False),
        sa.Column("status", sa.SmallInteger),
        sa.Column("headers", JSONB),
        sa.Column("body", BYTEA),
        _now("created_at", index=True),
        schema="public",
    )
    op.create_table(
        "firings",
        sa.Column("job", sa.Text, primary_key=True),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("task_id", sa.Text, nullable=False),
        _now("fired_at"),
        schema="public",
    )


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION public.{function}")
    for table in (
        "firings",
        "idempotency_keys",
        "operator_audit",
        "operators",
        "outbox",
        "spare_schemas",
        "schema_scripts",
        "tenants",
    ):
        op.drop_table(table, schema="public")


def _now(name: str, index: bool = False) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        server_default=sa.func.now(),
        nullable=False,
        index=index,
    )
