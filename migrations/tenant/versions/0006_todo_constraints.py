"""The constraints that the revision before has added are checked for the rows that exist."""

from alembic import op

revision = "0006"
down_revision = "0005"

CONSTRAINTS = (
    ("lists", "fk_lists_parent_id_lists", "parent_id", "lists", "CASCADE"),
    ("tasks", "fk_tasks_parent_id_tasks", "parent_id", "tasks", "CASCADE"),
    ("tasks", "fk_tasks_section_id_sections", "section_id", "sections", "SET NULL"),
)


def upgrade() -> None:
    for table, name, *_ in CONSTRAINTS:
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


def downgrade() -> None:
    for table, name, column, other, on_delete in CONSTRAINTS:
        op.drop_constraint(name, table, type_="foreignkey")
        op.create_foreign_key(
            name, table, other, [column], ["id"], ondelete=on_delete, postgresql_not_valid=True
        )
