"""Tenants that have to move: a copy of the project with one revision more, and a worker for it.

A copy, because all processes of the fleet must find that revision, and nobody else.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from bench.installation import ROOT, Installation, InstallationError
from ops.upgrades.script import head

PARTS = ("bench", "todo_app", "ops", "migrations", "wsgi.py", "celeryconfig.py")

REVISION = '''"""A column and its index."""

import sqlalchemy as sa
from alembic import op

revision = "{name}"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("bench", sa.Text))
    op.create_index("ix_tasks_bench", "tasks", ["bench"])


def downgrade() -> None:
    op.drop_index("ix_tasks_bench", "tasks")
    op.drop_column("tasks", "bench")
'''

UPGRADE = "ALTER TABLE tasks ADD COLUMN bench TEXT; CREATE INDEX ix_tasks_bench ON tasks (bench)"
"""What Alembic makes of the revision, without the table of its versions."""

DOWNGRADE = "DROP INDEX ix_tasks_bench; ALTER TABLE tasks DROP COLUMN bench"


class Fleet:
    """The copy, whose head is one revision ahead of the tenants that `installation` makes."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.root = installation.directory / "fleet"
        self.root.mkdir()
        for part in PARTS:
            if (ROOT / part).is_dir():
                ignored = shutil.ignore_patterns("*.pyc.*")
                shutil.copytree(ROOT / part, self.root / part, ignore=ignored)
            else:
                shutil.copy(ROOT / part, self.root)
        with installation.app.app_context():
            self.before = head()
        self.after = f"{int(self.before) + 1:04}"
        revision = REVISION.format(name=self.after, before=self.before)
        (self.root / f"migrations/tenant/versions/{self.after}_bench.py").write_text(revision)

    def worker(self) -> AbstractContextManager[int]:
        """Run a Celery worker of the copy while the block runs; yields its process id."""
        return self.installation.worker(self.root)

    def python(self, *arguments: str) -> str:
        """What `python …` prints, run in the copy."""
        return run_python(self.root, self.installation.env, *arguments)


def run_python(directory: Path, env: Mapping[str, str], *arguments: str) -> str:
    """What `python …` prints.

    Raises:
        InstallationError: it does not end with success.
    """
    argv = [sys.executable, *arguments]
    done = subprocess.run(argv, cwd=directory, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallationError(f"python {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout
