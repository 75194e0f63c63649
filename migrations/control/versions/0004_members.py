"""Who may be a member where, how many people a tenant may have, and what a request is told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

revision = "0004"
down_revision = "0003"

# A name of its own: while instances are replaced one by one, the older ones still call the function
# before it, whose columns they count.
ENTER_TENANT_AS = """
CREATE FUNCTION public.enter_tenant_as(
    key_column text, key text, host_name text, oldest_revision text, use_role boolean,
    token_digest bytea,
    OUT id bigint, OUT uuid uuid, OUT slug text, OUT schema_name text, OUT name text,
    OUT host text, OUT state text, OUT revision text, OUT account_limit integer,
    OUT host_owner text,
    OUT user_id bigint, OUT user_uuid uuid, OUT first_name text, OUT last_name text,
    OUT language text, OUT role text, OUT permissions text[], OUT token_id bigint,
    OUT scopes text[], OUT authenticated_ago integer, OUT used_ago integer,
    OUT lacks_second_factor boolean
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
    host := t.host; state := t.state; revision := t.revision; account_limit := t.account_limit;
    IF host_name IS NOT NULL THEN
        SELECT c.schema_name INTO host_owner FROM public.tenants AS c WHERE c.host = host_name;
    END IF;
    IF id IS NULL OR state <> 'active' OR revision < oldest_revision THEN
        RETURN;
    END IF;
    PERFORM set_config('lock_timeout', '3s', true);
    -- Where a restore is just replacing the tenant's schema, this waits until it has: no
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
    -- After this the catalogue can no longer be read.
    PERFORM set_config('search_path', quote_ident(schema_name), true),
            set_config('statement_timeout', '30s', true),
            set_config('role', CASE WHEN use_role THEN schema_name ELSE 'none' END, true);
    IF token_digest IS NOT NULL THEN
        SELECT u.id, u.uuid, u.first_name, u.last_name, u.language, r.name, r.permissions,
               k.id, k.scopes,
               extract(epoch FROM now() - k.authenticated_at),
               extract(epoch FROM now() - k.last_used_at),
               s.require_two_factor AND NOT EXISTS (
                   SELECT FROM two_factor AS f
                    WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL)
          INTO user_id, user_uuid, first_name, last_name, language, role, permissions,
               token_id, scopes, authenticated_ago, used_ago, lacks_second_factor
          FROM access_tokens AS k
          JOIN users AS u ON u.id = k.user_id
          JOIN roles AS r ON r.id = u.role_id
          JOIN company_settings AS s ON s.id = 1
         WHERE k.digest = token_digest AND k.expires_at > now()
           AND u.is_active AND u.deleted_at IS NULL;
    END IF;
END
$$
"""

# A tenant's role sees and changes the rows of its own tenant alone.
POLICY = """
CREATE POLICY own_rows ON public.members
 USING (schema_name = current_user OR current_setting('role') = 'none')
"""


def upgrade() -> None:
    op.add_column("tenants", sa.Column("account_limit", sa.Integer), schema="public")
    op.create_table(
        "members",
        sa.Column("email_digest", BYTEA, primary_key=True),
        sa.Column("schema_name", sa.Text, primary_key=True, index=True),
        schema="public",
    )
    op.execute("ALTER TABLE public.members ENABLE ROW LEVEL SECURITY")
    op.execute(POLICY)
    op.execute(ENTER_TENANT_AS)
    op.execute(
        "REVOKE EXECUTE ON FUNCTION"
        " public.enter_tenant_as(text, text, text, text, boolean, bytea) FROM PUBLIC"
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION public.enter_tenant_as(text, text, text, text, boolean, bytea)")
    op.drop_table("members", schema="public")
    op.drop_column("tenants", "account_limit", schema="public")
