"""A revision as its checks see it: its source, and the SQL that Alembic's offline mode writes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, NamedTuple

from alembic import command
from alembic.script import Script

from todo_app.extensions import migrate
from todo_app.histories import CONTROL, CONTROL_SCHEMA, SCHEMA_PLACEHOLDER


class Finding(NamedTuple):
    """A rule that a revision breaks."""

    path: Path
    rule: str
    message: str
    sql: str = ""
    """The line that it is about, where there is one."""


class Revision(NamedTuple):
    """One revision of one history."""

    history: str
    path: Path
    source: ast.Module
    attributes: dict[str, Any]
    """What the module defines."""
    upgrade: list[str]
    """SQL statements, BEGIN and COMMIT among them, without those that keep the version table."""
    downgrade: list[str]
    error: str
    """Why there is no SQL, where it cannot be rendered."""

    @property
    def reads_data(self) -> bool:
        """Whether it runs Python for each tenant, instead of SQL that is rendered once."""
        return bool(self.attributes.get("reads_data"))

    def find(self, rule: str, message: str, sql: str = "") -> Finding:
        """A finding about this revision; of many lines of SQL only the first is kept."""
        return Finding(self.path, rule, message, sql.partition("\n")[0])


class _Statements(list[str]):
    """A file that keeps what is written to it: Alembic writes one statement at a time."""

    def write(self, text: str) -> None:
        """Keep a statement."""
        self.append(text.strip())

    def flush(self) -> None:
        """Nothing is held back."""


def load(history: str, script: Script) -> Revision:
    """Read a revision, and render it in both directions through env.py."""
    before = script.down_revision or "base"
    upgrade, downgrade = _Statements(), _Statements()
    error = ""
    try:
        command.upgrade(_config(history, upgrade), f"{before}:{script.revision}", sql=True)
        command.downgrade(_config(history, downgrade), f"{script.revision}:{before}", sql=True)
    except Exception as raised:
        # A revision is anybody's code.
        error = f"{type(raised).__name__}: {raised}"
        upgrade, downgrade = _Statements(), _Statements()
    path = Path(script.path)
    return Revision(
        history,
        path,
        ast.parse(path.read_text()),
        vars(script.module),
        _without_version_table(history, upgrade),
        _without_version_table(history, downgrade),
        error,
    )


def _config(history: str, output: _Statements) -> Any:
    config = migrate.get_config(x_arg=f"history={history}")
    config.output_buffer = output
    return config


def _without_version_table(history: str, statements: list[str]) -> list[str]:
    schema = CONTROL_SCHEMA if history == CONTROL else SCHEMA_PLACEHOLDER
    return [
        sql
        for sql in statements
        if f"{schema}.alembic_version" not in sql and not sql.startswith("-- Running")
    ]
