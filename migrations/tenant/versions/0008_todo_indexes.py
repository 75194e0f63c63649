"""Indexes of lists and tasks, built while people work on them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

INDEXES = (
    ("ix_lists_parent_id", "lists", "parent_id"),
    ("ix_tasks_parent_id", "tasks", "parent_id"),
    ("ix_tasks_section_id", "tasks", "section_id"),
)

# What people search in: title and description, without accents and case.
TEXT = "coalesce(title, '') || ' ' || coalesce(description, '')"
PAIRS = {"Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "ẞ": "SS", "ß": "ss", "Þ": "TH", "þ": "th"}
FOLDED = f"regexp_replace(pg_catalog.normalize({TEXT}, 'NFKD'), '[\u0300-\u036f]+', '', 'g')"
FOLDED = f"translate({FOLDED}, 'ŁłØøĐđÐðĦħŦŧŊŋıĸ', 'LlOoDdDdHhTtNnik')"
for letter, pair in PAIRS.items():
    FOLDED = f"replace({FOLDED}, '{letter}', '{pair}')"
WORDS = (
    "to_tsvector('pg_catalog.simple'::regconfig, lower(CASE WHEN"
    f" octet_length({TEXT}) = length({TEXT}) THEN {TEXT} ELSE {FOLDED} END))"
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, table, column in INDEXES:
            op.create_index(name, table, [column], postgresql_concurrently=True)
        op.create_index(
            "ix_tasks_created_at_id", "tasks", ["created_at", "id"], postgresql_concurrently=True
        )
        op.create_index(
            "ix_tasks_list_id_position_id",
            "tasks",
            ["list_id", "position", "id"],
            postgresql_concurrently=True,
        )
        op.create_index(
            "uq_lists_symbol",
            "lists",
            [sa.text("lower(symbol)")],
            unique=True,
            postgresql_where=sa.text("symbol IS NOT NULL"),
            postgresql_concurrently=True,
        )
        op.create_index(
            "ix_tasks_words",
            "tasks",
            [sa.text(WORDS)],
            postgresql_using="gin",
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_tasks_words", "tasks", postgresql_concurrently=True)
        op.drop_index("uq_lists_symbol", "lists", postgresql_concurrently=True)
        op.drop_index("ix_tasks_list_id_position_id", "tasks", postgresql_concurrently=True)
        op.drop_index("ix_tasks_created_at_id", "tasks", postgresql_concurrently=True)
        for name, table, _ in INDEXES:
            op.drop_index(name, table, postgresql_concurrently=True)
