"""The TODO domain: shares, sections, tags, assignees, comments, files, activity and the rest."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB

revision = "0005"
down_revision = "0004"

# Each constraint is checked for the rows that exist by the revision after this one, without a lock
# that writers would wait for.
NOT_VALID = (
    ("lists", "fk_lists_parent_id_lists", "parent_id", "lists", "CASCADE"),
    ("tasks", "fk_tasks_parent_id_tasks", "parent_id", "tasks", "CASCADE"),
    ("tasks", "fk_tasks_section_id_sections", "section_id", "sections", "SET NULL"),
)

LIST_COLUMNS = (
    "parent_id",
    "kind",
    "visibility",
    "icon",
    "position",
    "symbol",
    "last_number",
    "archived_at",
    "deleted_at",
)
TASK_COLUMNS = (
    "parent_id",
    "section_id",
    "position",
    "number",
    "start_at",
    "is_all_day",
    "timezone",
    "estimate_seconds",
    "recurrence",
    "recurs_from",
    "recurs_since",
    "recurs_at",
    "deleted_at",
)


def upgrade() -> None:
    op.create_table(
        "sections",
        *_keys(),
        _ref("list_id", "lists"),
        sa.Column("title", sa.Text, nullable=False),
        _position(),
        *_changes(),
    )
    _change_lists()
    _change_tasks()
    for table, name, column, other, on_delete in NOT_VALID:
        op.create_foreign_key(
            name, table, other, [column], ["id"], ondelete=on_delete, postgresql_not_valid=True
        )
    op.add_column("users", sa.Column("quiet_from", sa.Time))
    op.add_column("users", sa.Column("quiet_until", sa.Time))
    _make_shares()
    _make_details()
    _make_records()
    _make_outward()


def _change_lists() -> None:
    op.add_column("lists", sa.Column("parent_id", sa.BigInteger))
    op.add_column("lists", _text("kind", "list"))
    op.add_column("lists", _text("visibility", "company"))
    op.add_column("lists", sa.Column("icon", sa.Text))
    op.add_column("lists", _position())
    op.add_column("lists", sa.Column("symbol", sa.Text))
    op.add_column("lists", _number("last_number"))
    op.add_column("lists", _time("archived_at"))
    op.add_column("lists", _time("deleted_at"))


def _change_tasks() -> None:
    op.add_column("tasks", sa.Column("parent_id", sa.BigInteger))
    op.add_column("tasks", sa.Column("section_id", sa.BigInteger))
    op.add_column("tasks", _position())
    op.add_column("tasks", _number("number"))
    op.add_column("tasks", _time("start_at"))
    op.add_column(
        "tasks", sa.Column("is_all_day", sa.Boolean, server_default=sa.false(), nullable=False)
    )
    op.add_column("tasks", sa.Column("timezone", sa.Text))
    op.add_column("tasks", sa.Column("estimate_seconds", sa.BigInteger))
    op.add_column("tasks", sa.Column("recurrence", sa.Text))
    op.add_column("tasks", sa.Column("recurs_from", sa.Text))
    op.add_column("tasks", _time("recurs_since"))
    op.add_column("tasks", _time("recurs_at"))
    op.add_column("tasks", _time("deleted_at"))


def _make_shares() -> None:
    op.create_table(
        "list_members",
        _id(),
        _ref("list_id", "lists", index=False),
        _ref("user_id", "users", nullable=True),
        _ref("group_id", "groups", nullable=True),
        sa.Column("access", sa.Text, nullable=False),
        _now("created_at"),
        sa.UniqueConstraint("list_id", "user_id"),
        sa.UniqueConstraint("list_id", "group_id"),
        sa.CheckConstraint("(user_id IS NULL) <> (group_id IS NULL)", name="one"),
        sa.CheckConstraint("access IN ('read', 'write', 'admin')", name="access"),
    )
    op.create_table(
        "favourites",
        _pair("user_id", "users"),
        _pair("list_id", "lists", index=True),
        _position(),
        _now("created_at"),
    )


def _make_details() -> None:
    op.create_table(
        "task_assignees",
        _pair("task_id", "tasks"),
        _pair("user_id", "users", index=True),
        _now("created_at"),
    )
    op.create_table(
        "tags",
        *_keys(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("color", sa.Text),
        *_changes(),
    )
    op.create_index("uq_tags_name", "tags", [sa.text("lower(name)")], unique=True)
    op.create_table("task_tags", _pair("task_id", "tasks"), _pair("tag_id", "tags", index=True))
    op.create_table(
        "task_relations",
        *_keys(),
        _ref("task_id", "tasks", index=False),
        _ref("other_id", "tasks"),
        sa.Column("kind", sa.Text, nullable=False),
        _now("created_at"),
        sa.UniqueConstraint("task_id", "other_id", "kind"),
        sa.CheckConstraint("task_id <> other_id", name="another"),
        sa.CheckConstraint("kind IN ('blocks', 'duplicates', 'relates')", name="kind"),
    )
    op.create_table(
        "list_fields",
        *_keys(),
        _ref("list_id", "lists", index=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("options", ARRAY(sa.Text), server_default="{}", nullable=False),
        _position(),
        *_changes(),
        sa.UniqueConstraint("list_id", "name"),
    )
    op.create_table(
        "field_values",
        _pair("task_id", "tasks"),
        _pair("field_id", "list_fields", index=True),
        sa.Column("value", JSONB, nullable=False),
    )
    op.create_table(
        "time_entries",
        *_keys(),
        _ref("task_id", "tasks"),
        _ref("user_id", "users"),
        _time("started_at", nullable=False),
        _time("ended_at"),
        sa.Column("note", sa.Text),
        *_changes(),
        sa.CheckConstraint("ended_at >= started_at", name="order"),
    )
    op.create_table(
        "reminders",
        *_keys(),
        _ref("task_id", "tasks"),
        _ref("user_id", "users"),
        _time("at"),
        sa.Column("seconds_before", sa.BigInteger),
        _time("next_at"),
        _time("sent_at"),
        *_changes(),
        sa.CheckConstraint("(at IS NULL) <> (seconds_before IS NULL)", name="one"),
        sa.Index(
            "ix_reminders_next_at", "next_at", postgresql_where=sa.text("next_at IS NOT NULL")
        ),
    )


def _make_records() -> None:
    op.create_table(
        "comments",
        *_keys(),
        _ref("task_id", "tasks"),
        _ref("author_id", "users"),
        sa.Column("text", sa.Text, nullable=False),
        _time("deleted_at"),
        *_changes(),
    )
    op.create_table(
        "mentions",
        _pair("comment_id", "comments"),
        _pair("user_id", "users", index=True),
    )
    op.create_table(
        "contents",
        sa.Column("sha256", BYTEA, primary_key=True),
        sa.Column("key", sa.Uuid, nullable=False, unique=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        _now("created_at"),
        _time("unused_since"),
    )
    op.create_table(
        "attachments",
        *_keys(),
        _ref("task_id", "tasks"),
        _ref("created_by_id", "users"),
        sa.Column("sha256", BYTEA, sa.ForeignKey("contents.sha256"), nullable=False, index=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        _now("created_at"),
    )
    op.create_table(
        "activity",
        _id(),
        _now("at"),
        sa.Column("actor_id", sa.BigInteger, sa.ForeignKey("users.id"), index=True),
        _ref("list_id", "lists"),
        _ref("task_id", "tasks", nullable=True),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("changes", JSONB, server_default="{}", nullable=False),
        sa.Column("is_told", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Index("ix_activity_at_id", "at", "id"),
        sa.Index("ix_activity_untold", "id", postgresql_where=sa.text("NOT is_told")),
    )
    op.create_table(
        "held_notices",
        _pair("user_id", "users"),
        _pair("activity_id", "activity", index=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    # Which transaction changed a thing last.
    op.create_table(
        "changes",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("uuid", sa.Uuid, primary_key=True),
        sa.Column(
            "transaction",
            sa.BigInteger,
            server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
            nullable=False,
        ),
        sa.Column("list_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("is_deleted", sa.Boolean, server_default=sa.false(), nullable=False),
        _now("at"),
        sa.Index("ix_changes_transaction", "transaction", "kind", "uuid", "list_id"),
        sa.Index("ix_changes_list_id", "list_id"),
        sa.Index("ix_changes_at", "at", postgresql_where=sa.text("is_deleted")),
    )


def _make_outward() -> None:
    op.create_table(
        "filters",
        *_keys(),
        _ref("user_id", "users"),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("filter", sa.Text, nullable=False),
        sa.Column("is_shared", sa.Boolean, server_default=sa.false(), nullable=False),
        _position(),
        *_changes(),
    )
    op.create_table(
        "webhooks",
        *_keys(),
        _ref("created_by_id", "users"),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("events", ARRAY(sa.Text), nullable=False),
        sa.Column("secret", BYTEA, nullable=False),
        sa.Column("former_secret", BYTEA),
        _time("former_until"),
        sa.Column("is_active", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("off_reason", sa.Text),
        sa.Column("failures", sa.Integer, server_default="0", nullable=False),
        _time("failing_since"),
        _time("held_until"),
        *_changes(),
    )
    op.create_table(
        "webhook_deliveries",
        *_keys(),
        _ref("webhook_id", "webhooks", index=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("state", sa.Text, server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        _time("next_at"),
        sa.Column("status", sa.SmallInteger),
        sa.Column("answer", sa.Text),
        sa.Column("error", sa.Text),
        _time("attempted_at"),
        _now("created_at"),
        _time("ended_at"),
        sa.Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
        sa.Index(
            "ix_webhook_deliveries_webhook_id_next_at",
            "webhook_id",
            "next_at",
            postgresql_where=sa.text("state = 'pending'"),
        ),
    )
    op.create_table(
        "feeds",
        *_keys(),
        _ref("user_id", "users"),
        _ref("list_id", "lists", nullable=True),
        sa.Column("digest", BYTEA, nullable=False, unique=True),
        _now("created_at"),
        _time("last_used_at"),
    )


def downgrade() -> None:
    for table in (
        "feeds",
        "webhook_deliveries",
        "webhooks",
        "filters",
        "changes",
        "held_notices",
        "activity",
        "attachments",
        "contents",
        "mentions",
        "comments",
        "reminders",
        "time_entries",
        "field_values",
        "list_fields",
        "task_relations",
        "task_tags",
        "tags",
        "task_assignees",
        "favourites",
        "list_members",
    ):
        op.drop_table(table)
    op.drop_column("users", "quiet_until")
    op.drop_column("users", "quiet_from")
    for column in reversed(TASK_COLUMNS):
        op.drop_column("tasks", column)
    for column in reversed(LIST_COLUMNS):
        op.drop_column("lists", column)
    op.drop_table("sections")


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True)


def _keys() -> list[sa.Column[object]]:
    return [
        _id(),
        sa.Column(
            "uuid", sa.Uuid, server_default=sa.func.gen_random_uuid(), nullable=False, unique=True
        ),
    ]


def _ref(name: str, table: str, nullable: bool = False, index: bool = True) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.BigInteger,
        sa.ForeignKey(f"{table}.id", ondelete="CASCADE"),
        nullable=nullable,
        index=index,
    )


def _pair(name: str, table: str, index: bool = False) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.BigInteger,
        sa.ForeignKey(f"{table}.id", ondelete="CASCADE"),
        primary_key=True,
        index=index,
    )


def _position() -> sa.Column[object]:
    # Compared byte by byte, whatever the language of the database.
    return sa.Column("position", sa.Text(collation="C"), server_default="a0", nullable=False)


def _text(name: str, default: str) -> sa.Column[object]:
    return sa.Column(name, sa.Text, server_default=default, nullable=False)


def _number(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, server_default="0", nullable=False)


def _time(name: str, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _changes() -> list[sa.Column[object]]:
    return [
        sa.Column("version", sa.Integer, server_default="1", nullable=False),
        _now("created_at"),
        _now("updated_at"),
    ]
