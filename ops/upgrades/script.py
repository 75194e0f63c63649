"""The tenant history as SQL: each revision is rendered once a process and replayed per tenant.

Alembic's own work for one tenant costs several times what the DDL does; rendered, a revision is one
string in which only the schema's name has to be put in.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import RevisionStep
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.dialects import postgresql

from todo_app.database import quote_identifier
from todo_app.errors import InvalidInputError
from todo_app.extensions import migrate
from todo_app.histories import SCHEMA_PLACEHOLDER, set_revision

REVISION = re.compile(r"\w+", re.ASCII)

_VERSION_TABLE = f"{SCHEMA_PLACEHOLDER}.alembic_version"


class Step(NamedTuple):
    """One revision, up or down, for any schema."""

    from_revision: str
    to_revision: str
    outside: tuple[str, ...]
    """Statements of an `autocommit_block`, which come first and outside of any transaction."""
    inside: tuple[str, ...]
    """Statements of the transaction, the one that writes the version table among them."""
    reads_data: bool
    """Whether the revision runs Python against the tenant's data, so that it cannot be replayed."""


class RevisionError(InvalidInputError):
    """A revision breaks a rule that replaying it relies on."""

    code = "revision"


@functools.cache
def script_directory() -> ScriptDirectory:
    """The tenant history, read once a process."""
    return ScriptDirectory.from_config(migrate.get_config(x_arg="history=tenant"))


def head() -> str:
    """The newest revision of the tenant history."""
    return script_directory().get_current_head() or ""


@functools.cache
def revisions() -> tuple[str, ...]:
    """All revisions from the first to the newest."""
    return tuple(script.revision for script in reversed(list(script_directory().walk_revisions())))


def check_revision(revision: str) -> str:
    """The full name of a revision: `head`, `base`, or the name or its beginning.

    Returns:
        The name; empty for `base`.

    Raises:
        InvalidInputError: the tenant history has no such revision.
    """
    if revision == "base":
        return ""
    found = None if revision == "head" else _find(revision)
    if found is None:
        # There may be revisions that were written since this process has read the history.
        for cache in (script_directory, revisions, _step):
            cache.cache_clear()
        found = _find(revision)
    if found is None:
        raise InvalidInputError(f"The tenant history has no revision {revision!r}.")
    return str(found.revision)


def _find(revision: str) -> Script | None:
    if REVISION.fullmatch(revision):
        with suppress(CommandError):
            return script_directory().get_revision(revision)
    return None


def lag(revision: str) -> int:
    """How many revisions a schema is behind; 0 for one that is newer than this code."""
    line = ("", *revisions())
    return len(line) - 1 - line.index(revision) if revision in line else 0


def steps(from_revision: str, to_revision: str) -> list[Step]:
    """What brings a schema from one revision to another, up or down; none where they are the same.

    Raises:
        InvalidInputError: the tenant history does not have `from_revision`: the schema is newer
            than this code.
        RevisionError: a revision cannot be replayed as it is written.
    """
    line = ("", *revisions())
    if from_revision not in line:
        raise InvalidInputError(f"The schema is at {from_revision}, which this code does not have.")
    start, end = line.index(from_revision), line.index(to_revision)
    if start <= end:
        return [_step(revision, True) for revision in line[start + 1 : end + 1]]
    return [_step(revision, False) for revision in reversed(line[end + 1 : start + 1])]


@functools.cache
def _step(revision: str, is_upgrade: bool) -> Step:
    script = script_directory().get_revision(revision)
    before = str(script.down_revision or "")
    ends = (before, revision) if is_upgrade else (revision, before)
    outside, inside = _split(_render(script, ends, is_upgrade))
    mixed = [sql for sql in inside if _VERSION_TABLE not in sql]
    if outside and mixed:
        raise RevisionError(
            f"Revision {revision} does more than its autocommit_block. When that fails, the rest "
            "would be left behind: write a revision of its own."
        )
    return Step(*ends, outside, inside, getattr(script.module, "reads_data", False))


def _render(script: Script, ends: tuple[str, str], is_upgrade: bool) -> list[str]:
    """The statements of a revision, as Alembic's offline mode writes them one by one."""
    written = _Statements()
    config = migrate.get_config(x_arg="history=tenant")
    config.output_buffer = written
    directory = script_directory()
    step = RevisionStep(directory.revision_map, script, is_upgrade)
    with (
        _quietly(),
        EnvironmentContext(
            config,
            directory,
            fn=lambda heads, context: [step],
            as_sql=True,
            starting_rev=ends[0] or None,
            destination_rev=ends[1] or "base",
        ),
    ):
        directory.run_env()
    return written


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep Alembic from logging that it runs revisions, which it only writes down."""
    log = logging.getLogger("alembic")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(level)


class _Statements(list[str]):
    """A file that keeps what is written to it: Alembic writes one statement at a time."""

    def write(self, text: str) -> None:
        if not text.startswith("-- Running"):
            self.append(text.strip())

    def flush(self) -> None:
        """Nothing is held back."""


def _split(statements: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Apart: what is outside of all transactions, and what is inside of one."""
    outside, inside = [], []
    is_inside = False
    for sql in statements:
        if sql in ("BEGIN;", "COMMIT;"):
            is_inside = sql == "BEGIN;"
        elif is_inside:
            inside.append(sql.replace(f"CREATE TABLE {_VERSION_TABLE}", _CREATE_VERSION_TABLE, 1))
        else:
            outside.append(sql)
    return tuple(outside), tuple(inside)


@functools.cache
def plain_script(revision: str) -> str:
    """The SQL that makes all of an empty schema, up to a revision, and can be run in a transaction.

    All tables are new and empty: nothing would be gained by building an index concurrently.

    Raises:
        InvalidInputError: this code does not have the revision.
    """
    if revision not in ("", *revisions()):
        raise InvalidInputError(f"This code does not have revision {revision}.")
    statements = [sql for step in steps("", revision) for sql in (*step.outside, *step.inside)]
    return "\n".join(_CONCURRENTLY.sub(r"\1", sql) for sql in statements)


# A schema that was taken back to `base` has kept its version table.
_CREATE_VERSION_TABLE = f"CREATE TABLE IF NOT EXISTS {_VERSION_TABLE}"


_CONCURRENTLY = re.compile(r"\A((?:CREATE(?: UNIQUE)?|DROP) INDEX) CONCURRENTLY")


def for_schema(sql: str, schema_name: str) -> str:
    """SQL of a step for one schema."""
    return sql.replace(SCHEMA_PLACEHOLDER, quote_identifier(schema_name))


@functools.cache
def note_revision(revision: str) -> str:
    """SQL that puts the revision of the schema on the search_path into the catalogue."""
    statement = set_revision(sa.func.current_schema(), revision)
    dialect: Any = postgresql
    options = {"literal_binds": True}
    return f"{statement.compile(dialect=dialect.dialect(), compile_kwargs=options)};"
