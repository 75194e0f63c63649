"""Lists and tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "lists",
        *_keys(),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("color", sa.Text),
        _user("created_by_id", nullable=False),
        *_changes(),
    )
    op.create_table(
        "tasks",
        *_keys(),
        sa.Column(
            "list_id",
            sa.BigInteger,
            sa.ForeignKey("lists.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("status", sa.Text, server_default="new", nullable=False),
        sa.Column("priority", sa.SmallInteger, server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), index=True),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        _user("created_by_id", nullable=False),
        _user("assignee_id", nullable=True),
        *_changes(),
        sa.CheckConstraint("priority BETWEEN 0 AND 5", name="priority"),
        sa.CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name="completed"),
    )


def downgrade() -> None:
    op.drop_table("tasks")
    op.drop_table("lists")


def _keys() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "uuid", sa.Uuid, server_default=sa.func.gen_random_uuid(), nullable=False, unique=True
        ),
    ]


def _user(name: str, nullable: bool) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, sa.ForeignKey("users.id"), nullable=nullable, index=True)


def _changes() -> list[sa.Column[object]]:
    now = sa.func.now()
    return [
        sa.Column("version", sa.Integer, server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
    ]
