"""The seeded roles are marked as such, and get the permissions that have become known."""

from alembic import op

revision = "0004"
down_revision = "0003"

UPGRADE = (
    "UPDATE roles SET is_builtin = true"
    " WHERE name IN ('master_admin', 'admin', 'user', 'read_only')",
    "UPDATE roles SET permissions = permissions"
    " || ARRAY['groups:write', 'audit:read', 'roles:write', 'settings:write']"
    " WHERE name = 'master_admin'",
    "UPDATE roles SET permissions = permissions || ARRAY['groups:write', 'audit:read']"
    " WHERE name = 'admin'",
)
DOWNGRADE = (
    "UPDATE roles SET permissions = array_remove(array_remove(array_remove(array_remove("
    "permissions, 'groups:write'), 'audit:read'), 'roles:write'), 'settings:write')",
    "UPDATE roles SET is_builtin = false",
)


def upgrade() -> None:
    for sql in UPGRADE:
        op.execute(sql)


def downgrade() -> None:
    for sql in DOWNGRADE:
        op.execute(sql)
