"""Sessions, API tokens, second factors, roles of a company's own, groups, settings and audit."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

revision = "0003"
down_revision = "0002"

APPEND_ONLY = """
DO $$
-- Whoever was given the table may add to it and read it: nobody but its owner changes what it says.
DECLARE
    grantee regrole;
BEGIN
    FOR grantee IN
        SELECT DISTINCT a.grantee::regrole FROM pg_class AS c, aclexplode(c.relacl) AS a
         WHERE c.oid = 'audit_log'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE ON audit_log FROM %s', grantee);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    op.add_column("roles", sa.Column("description", sa.Text))
    op.add_column("roles", _flag("is_builtin"))
    op.add_column("roles", _version())
    op.add_column("roles", _now("created_at"))
    op.add_column("roles", _now("updated_at"))
    op.add_column("users", _level("notification_level"))
    op.add_column("users", _time("erased_at"))
    op.add_column("access_tokens", sa.Column("name", sa.Text))
    op.add_column("access_tokens", sa.Column("scopes", ARRAY(sa.Text)))
    op.add_column("access_tokens", _flag("is_permanent"))
    op.add_column("access_tokens", _time("ends_at"))
    op.add_column("access_tokens", _time("authenticated_at"))
    op.add_column("access_tokens", _time("last_used_at"))
    op.add_column("access_tokens", sa.Column("address", sa.Text))
    op.create_table(
        "one_time_tokens",
        _id(),
        _user("user_id", index=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("digest", BYTEA, nullable=False, unique=True),
        _now("created_at"),
        _time("expires_at", nullable=False),
        sa.UniqueConstraint("user_id", "purpose"),
    )
    op.create_table(
        "invitations",
        *_keys(),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role_id", sa.BigInteger, sa.ForeignKey("roles.id"), nullable=False, index=True),
        _user("invited_by_id"),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("digest", BYTEA, nullable=False, unique=True),
        _time("sent_at", nullable=False),
        _time("expires_at", nullable=False),
        _time("accepted_at"),
        _time("revoked_at"),
        *_changes(),
    )
    op.create_index(
        "uq_invitations_email",
        "invitations",
        [sa.text("lower(email)")],
        unique=True,
        postgresql_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
    )
    op.create_table(
        "two_factor",
        _owner(),
        sa.Column("secret", BYTEA, nullable=False),
        _time("confirmed_at"),
        sa.Column("last_step", sa.BigInteger),
        _now("created_at"),
    )
    op.create_table(
        "recovery_codes",
        _id(),
        _user("user_id", index=False),
        sa.Column("digest", BYTEA, nullable=False),
        _time("used_at"),
        sa.UniqueConstraint("user_id", "digest"),
    )
    op.create_table(
        "groups",
        *_keys(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        *_changes(),
    )
    op.create_index("uq_groups_name", "groups", [sa.text("lower(name)")], unique=True)
    op.create_table(
        "group_members",
        sa.Column(
            "group_id",
            sa.BigInteger,
            sa.ForeignKey("groups.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column(
            "user_id",
            sa.BigInteger,
            sa.ForeignKey("users.id", ondelete="CASCADE"),
            primary_key=True,
            index=True,
        ),
        _now("created_at"),
    )
    settings = op.create_table(
        "company_settings",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        _flag("require_two_factor"),
        sa.Column("language", sa.Text, server_default="en-US", nullable=False),
        sa.Column("timezone", sa.Text, server_default="UTC", nullable=False),
        sa.Column("audit_keep_days", sa.Integer, server_default="365", nullable=False),
        *_changes(),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.bulk_insert(settings, [{"id": 1}])
    op.create_table(
        "avatars",
        _owner(),
        sa.Column("content", BYTEA, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        _now("updated_at"),
    )
    op.create_table(
        "audit_log",
        _id(),
        _now("at", index=True),
        sa.Column("actor_uuid", sa.Uuid, index=True),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target_kind", sa.Text),
        sa.Column("target_uuid", sa.Uuid, index=True),
        sa.Column("details", JSONB, server_default="{}", nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("user_agent", sa.Text),
        sa.Column("request_id", sa.Text),
    )
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    for table in (
        "audit_log",
        "avatars",
        "company_settings",
        "group_members",
        "groups",
        "recovery_codes",
        "two_factor",
        "invitations",
        "one_time_tokens",
    ):
        op.drop_table(table)
    # The older program would take an API token for a session, which may do more.
    op.execute("DELETE FROM access_tokens WHERE scopes IS NOT NULL")
    for column in (
        "address",
        "last_used_at",
        "authenticated_at",
        "ends_at",
        "is_permanent",
        "scopes",
        "name",
    ):
        op.drop_column("access_tokens", column)
    for column in ("erased_at", "notification_level"):
        op.drop_column("users", column)
    for column in ("updated_at", "created_at", "version", "is_builtin", "description"):
        op.drop_column("roles", column)


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True)


def _keys() -> list[sa.Column[object]]:
    return [
        _id(),
        sa.Column(
            "uuid", sa.Uuid, server_default=sa.func.gen_random_uuid(), nullable=False, unique=True
        ),
    ]


def _owner() -> sa.Column[object]:
    return sa.Column(
        "user_id",
        sa.BigInteger,
        sa.ForeignKey("users.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )


def _user(name: str, index: bool = True) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.BigInteger,
        sa.ForeignKey("users.id", ondelete="CASCADE"),
        nullable=False,
        index=index,
    )


def _flag(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Boolean, server_default=sa.false(), nullable=False)


def _level(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text, server_default="all", nullable=False)


def _version() -> sa.Column[object]:
    return sa.Column("version", sa.Integer, server_default="1", nullable=False)


def _time(name: str, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _now(name: str, index: bool = False) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        server_default=sa.func.now(),
        nullable=False,
        index=index,
    )


def _changes() -> list[sa.Column[object]]:
    return [_version(), _now("created_at"), _now("updated_at")]
