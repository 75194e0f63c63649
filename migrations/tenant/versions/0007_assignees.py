"""Rows for what there is already: each task's first assignee, and marks for clients that sync."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(
        "INSERT INTO task_assignees (task_id, user_id)"
        " SELECT id, assignee_id FROM tasks WHERE assignee_id IS NOT NULL"
        " ON CONFLICT DO NOTHING"
    )
    # For clients that begin to sync.
    op.execute("INSERT INTO changes (kind, uuid, list_id) SELECT 'list', uuid, id FROM lists")
    op.execute("INSERT INTO changes (kind, uuid, list_id) SELECT 'task', uuid, list_id FROM tasks")


def downgrade() -> None:
    op.execute("DELETE FROM changes")
    op.execute(
        "UPDATE tasks SET assignee_id = (SELECT min(user_id) FROM task_assignees AS a"
        " WHERE a.task_id = tasks.id)"
    )
