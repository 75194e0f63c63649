"""Users, roles, access tokens, and answers kept for Idempotency-Keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

revision = "0001"
down_revision = None

READ = ["users:read", "tasks:read"]
WRITE_TASKS = [*READ, "tasks:write"]
MANAGE = [*WRITE_TASKS, "users:write"]

SEEDED_ROLES = [
    {
        "name": "master_admin",
        "title": "Master administrator",
        "permissions": [*MANAGE, "admins:write"],
    },
    {"name": "admin", "title": "Administrator", "permissions": MANAGE},
    {"name": "user", "title": "User", "permissions": WRITE_TASKS},
    {"name": "read_only", "title": "Read only", "permissions": READ},
]


def upgrade() -> None:
    roles = op.create_table(
        "roles",
        *_keys(),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("permissions", ARRAY(sa.Text), nullable=False),
    )
    op.bulk_insert(roles, SEEDED_ROLES)
    op.create_table(
        "users",
        *_keys(),
        sa.Column("first_name", sa.Text, nullable=False),
        sa.Column("last_name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("phone", sa.Text),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("is_active", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("is_verified", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("role_id", sa.BigInteger, sa.ForeignKey("roles.id"), nullable=False, index=True),
        sa.Column("language", sa.Text, server_default="en-US", nullable=False),
        sa.Column("timezone", sa.Text, server_default="UTC", nullable=False),
        sa.Column("version", sa.Integer, server_default="1", nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
    )
    op.create_index(
        "uq_users_email",
        "users",
        [sa.text("lower(email)")],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "access_tokens",
        *_keys(),
        sa.Column(
            "user_id",
            sa.BigInteger,
            sa.ForeignKey("users.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("digest", BYTEA, nullable=False, unique=True),
        _now("created_at"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_agent", sa.Text),
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
    )


def downgrade() -> None:
    for table in ("idempotency_keys", "access_tokens", "users", "roles"):
        op.drop_table(table)


def _keys() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "uuid", sa.Uuid, server_default=sa.func.gen_random_uuid(), nullable=False, unique=True
        ),
    ]


def _now(name: str, index: bool = False) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        server_default=sa.func.now(),
        nullable=False,
        index=index,
    )
