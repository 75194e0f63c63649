"""Finds revisions that would block, break a fan-out or break running code; needs no server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

import pytest

from migrations.lint.__main__ import main
from todo_app import histories

ROOT = Path(__file__).parent.parent

REVISION = '''"""Planted."""

import sqlalchemy as sa
from alembic import context, op

revision = "{number:04}"
down_revision = "{before:04}"

{body}
'''

DOWNGRADE = '''

def downgrade() -> None:
    """Nothing to take back: it is a test."""
'''


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of migrations/ that the lint program works on."""
    copy = tmp_path / "migrations"
    ignored = shutil.ignore_patterns("*.pyc.*", "lint")
    shutil.copytree(histories.DIRECTORY, copy, ignore=ignored)
    monkeypatch.setattr(histories, "DIRECTORY", copy)
    return copy


@pytest.fixture
def lint(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Runs the program and gives what it prints."""

    def run() -> str:
        exit_code = main()
        text = capsys.readouterr().out
        last = text.splitlines()[-1]
        assert re.match([r"All revisions are safe", r"[1-9]\d* found"][exit_code], last)
        return text

    return run


def plant(directory: Path, body: str, history: str = "tenant") -> Path:
    """Add a revision of which `body` is all but the head."""
    versions = directory / history / "versions"
    number = len(list(versions.glob("*.py"))) + 1
    path = versions / f"{number:04}_planted.py"
    path.write_text(REVISION.format(number=number, before=number - 1, body=body))
    return path


def upgrade(statements: str, before: str = "") -> str:
    """A revision's body: `statements` are its upgrade, `before` stands above that."""
    function = "def upgrade() -> None:\n" + indent(dedent(statements).strip(), "    ")
    return f"{before}\n\n{function}\n{DOWNGRADE}"


def rules(text: str) -> set[str]:
    """The rules that were found broken by the planted revision."""
    return set(re.findall(r"^migrations/\w+/versions/\d+_planted\.py: ([\w-]+): ", text, re.M))


# --- the shipped revisions -------------------------------------------------------------------


def test_shipped_revisions_are_clean_without_any_setting() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "migrations.lint"],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "All revisions are safe to run.\n"), done.stderr


def test_make_lint_runs_it() -> None:
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    assert "\t$(BIN)/python -m migrations.lint\n" in recipe[1]


def test_each_rule_that_is_off_has_its_reason_above_it() -> None:
    text = (ROOT / ".squawk.toml").read_text()
    excluded = text.partition("excluded_rules = [\n")[2].partition("]")[0]
    groups = re.findall(r"((?:    #.*\n)*)((?:    \".*\n)+)", excluded)
    assert "".join(part for group in groups for part in group) == excluded
    assert all(reason for reason, _ in groups)


# --- what squawk finds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "statements"),
    [
        (
            "adding-required-field",
            "op.add_column('lists', sa.Column('a', sa.Text, nullable=False))",
        ),
        (
            "adding-field-with-default",
            "op.execute('ALTER TABLE lists ADD a uuid DEFAULT gen_random_uuid() NOT NULL')",
        ),
        ("require-concurrent-index-creation", "op.create_index('ix_a', 'tasks', ['title'])"),
        (
            "changing-column-type",
            "op.alter_column('tasks', 'priority', type_=sa.BigInteger)",
        ),
        ("renaming-column", "op.alter_column('tasks', 'title', new_column_name='name')"),
        ("renaming-table", "op.rename_table('tasks', 'jobs')"),
        (
            "adding-foreign-key-constraint",
            "op.create_foreign_key('fk_a', 'tasks', 'users', ['assignee_id'], ['id'])",
        ),
        (
            "constraint-missing-not-valid",
            "op.create_check_constraint('title', 'tasks', \"title <> ''\")",
        ),
        ("adding-not-nullable-field", "op.alter_column('tasks', 'due_at', nullable=False)"),
        ("disallowed-unique-constraint", "op.create_unique_constraint('uq_a', 'lists', ['title'])"),
        ("ban-drop-column", "op.drop_column('tasks', 'description')"),
        ("ban-drop-table", "op.drop_table('tasks')"),
        ("prefer-text-field", "op.add_column('lists', sa.Column('a', sa.String(9)))"),
        ("prefer-timestamp-tz", "op.add_column('lists', sa.Column('a', sa.DateTime))"),
        (
            "ban-concurrent-index-creation-in-transaction",
            "op.create_index('ix_a', 'tasks', ['title'], postgresql_concurrently=True)",
        ),
        ("syntax-error", "op.execute('ALTER TABEL tasks')"),
    ],
)
def test_squawk_finds(directory: Path, lint: Callable[[], str], rule: str, statements: str) -> None:
    plant(directory, upgrade(statements))
    text = lint()
    assert rule in rules(text)
    assert re.search(r"^    \S", text, re.MULTILINE), "the line of SQL is shown"


def test_constraint_is_not_validated_in_the_transaction_that_adds_it(
    directory: Path, lint: Callable[[], str]
) -> None:
    statements = """
        op.create_check_constraint("title", "tasks", "title <> ''", postgresql_not_valid=True)
        op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT ck_tasks_title")
    """
    plant(directory, upgrade(statements))
    assert rules(lint()) == {"constraint-missing-not-valid"}


def test_control_plane_names_its_schema(directory: Path, lint: Callable[[], str]) -> None:
    statements = "op.add_column('tenants', sa.Column('a', sa.Text), schema={})"
    path = plant(directory, upgrade(statements.format("'public'")), "control")
    lint_is_clean(lint)
    path.write_text(path.read_text().replace("'public'", "None"))
    assert rules(lint()) == {"require-table-schema"}


def lint_is_clean(lint: Callable[[], str]) -> None:
    text = lint()
    assert rules(text) == set(), text


# --- what is safe ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statements",
    [
        "op.add_column('lists', sa.Column('a', sa.DateTime(timezone=True)))",
        "op.add_column('lists', sa.Column('a', sa.Text, server_default='x', nullable=False))",
        "op.create_table('labels', sa.Column('id', sa.BigInteger, sa.Identity(), primary_key=True),"
        " sa.Column('list_id', sa.BigInteger, sa.ForeignKey('lists.id'), index=True))",
        "op.create_check_constraint('t', 'tasks', \"title <> ''\", postgresql_not_valid=True)",
        "op.create_foreign_key('f', 'tasks', 'users', ['assignee_id'], ['id'],"
        " postgresql_not_valid=True)",
        "op.execute('ALTER TABLE tasks VALIDATE CONSTRAINT ck_tasks_title')",
        "op.execute('ALTER TABLE lists ADD CONSTRAINT uq_a UNIQUE USING INDEX uq_a')",
        "op.execute('ALTER TABLE tasks VALIDATE CONSTRAINT ck_tasks_due_at')\n"
        "op.alter_column('tasks', 'due_at', nullable=False)",
        "op.drop_index('ix_tasks_due_at', 'tasks')",
        "op.alter_column('tasks', 'priority', server_default='1')",
        "op.execute(\"UPDATE tasks SET color = 'red' WHERE color IS NULL\")",
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('ix_a', 'tasks', ['title'], postgresql_concurrently=True)",
        "with op.get_context().autocommit_block():\n"
        "    op.drop_index('ix_a', 'tasks', postgresql_concurrently=True)",
    ],
)
def test_safe_forms_are_clean(directory: Path, lint: Callable[[], str], statements: str) -> None:
    plant(directory, upgrade(statements))
    lint_is_clean(lint)


def test_examples_of_the_guide_are_clean(directory: Path, lint: Callable[[], str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/migrations.md").read_text(), re.S)
    assert len(blocks) > 3
    for block in blocks:
        plant(directory, block if "def downgrade" in block else block + DOWNGRADE)
    lint_is_clean(lint)


# --- rules of our own ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statements",
    [
        "op.get_bind().execute(sa.text('SELECT 1'))",
        "if not context.is_offline_mode():\n    op.execute('SELECT 1')",
        "op.get_context().connection.execute(sa.text('SELECT 1'))",
    ],
)
def test_reading_needs_its_marker(
    directory: Path, lint: Callable[[], str], statements: str
) -> None:
    plant(directory, upgrade(statements))
    assert "reads-data" in rules(lint())


def test_reading_revision_can_be_rendered(directory: Path, lint: Callable[[], str]) -> None:
    path = plant(
        directory, upgrade("op.get_bind().scalar(sa.text('SELECT 1'))", "reads_data = True")
    )
    assert rules(lint()) == {"offline"}
    guard = "    if context.is_offline_mode():\n        return\n"
    path.write_text(path.read_text().replace("    op.get_bind", guard + "    op.get_bind"))
    lint_is_clean(lint)


def test_reading_revision_changes_no_schema(directory: Path, lint: Callable[[], str]) -> None:
    statements = """
        if context.is_offline_mode():
            return
        op.add_column("lists", sa.Column("a", sa.Text))
    """
    plant(directory, upgrade(statements, "reads_data = True"))
    assert rules(lint()) == {"reads-data"}


@pytest.mark.parametrize(
    "statements",
    [
        """
        op.add_column("lists", sa.Column("a", sa.Text))
        with op.get_context().autocommit_block():
            op.create_index("ix_a", "lists", ["a"], postgresql_concurrently=True)
        """,
        """
        with op.get_context().autocommit_block():
            op.add_column("lists", sa.Column("a", sa.Text))
        """,
        """
        with op.get_context().autocommit_block():
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_a ON lists (title)")
        """,
        """
        with op.get_context().autocommit_block():
            op.execute("REINDEX INDEX CONCURRENTLY ix_tasks_due_at")
        """,
    ],
)
def test_autocommit_block_holds_concurrent_indexes_alone(
    directory: Path, lint: Callable[[], str], statements: str
) -> None:
    plant(directory, upgrade(statements))
    assert "concurrent-alone" in rules(lint())


@pytest.mark.parametrize(
    "statements",
    [
        "op.add_column('lists', sa.Column('a', sa.Text), schema='t_acme')",
        "op.execute('UPDATE lists SET title = (SELECT name FROM public.tenants LIMIT 1)')",
        "op.create_table('a', sa.Column('id', sa.BigInteger, sa.ForeignKey('public.tenants.id')))",
        "op.execute('CREATE INDEX CONCURRENTLY i ON t_acme.lists (title)')",
        "op.execute('DROP INDEX IF EXISTS t_acme.i')",
        "op.execute('SET LOCAL search_path TO public')",
    ],
)
def test_tenant_history_names_no_schema(
    directory: Path, lint: Callable[[], str], statements: str
) -> None:
    plant(directory, upgrade(statements))
    assert "no-schema" in rules(lint())


def test_a_schema_in_a_text_is_a_text(directory: Path, lint: Callable[[], str]) -> None:
    plant(directory, upgrade("op.execute(\"UPDATE lists SET title = 'see public.x'\")"))
    lint_is_clean(lint)


def test_rows_are_not_changed_under_the_lock_of_ddl(
    directory: Path, lint: Callable[[], str]
) -> None:
    statements = """
        op.add_column("lists", sa.Column("a", sa.Text))
        op.execute("UPDATE lists SET a = title")
    """
    plant(directory, upgrade(statements))
    assert rules(lint()) == {"rows-apart"}


@pytest.mark.parametrize(
    "statements",
    [
        "op.add_column('lists', sa.Column('owner_id', sa.Integer))",
        "op.create_table('a', sa.Column('id', sa.Integer, sa.Identity(), primary_key=True))",
    ],
)
def test_keys_are_bigint(directory: Path, lint: Callable[[], str], statements: str) -> None:
    plant(directory, upgrade(statements))
    assert rules(lint()) == {"bigint-keys"}


def test_each_revision_has_a_downgrade(directory: Path, lint: Callable[[], str]) -> None:
    body = "def upgrade() -> None:\n    op.execute('SELECT 1')\n"
    path = plant(directory, body)
    assert "downgrade" in lint()
    path.write_text(path.read_text() + "\n\ndef downgrade() -> None:\n    pass\n")
    assert rules(lint()) == {"downgrade"}
    path.write_text(path.read_text().replace("    pass", '    """The rows may stay."""'))
    lint_is_clean(lint)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("revision = ", "revision = '9' or "), ("down_revision = ", "down_revision = None or ")],
)
def test_revisions_are_numbered(
    directory: Path, lint: Callable[[], str], was: str, becomes: str
) -> None:
    path = plant(directory, upgrade("op.execute('SELECT 1')"))
    path.write_text(re.sub(f"^{was}", becomes, path.read_text(), flags=re.MULTILINE))
    assert rules(lint()) == {"numbers"}


def test_two_revisions_of_one_number_are_found(directory: Path, lint: Callable[[], str]) -> None:
    path = plant(directory, upgrade("op.execute('SELECT 1')"))
    shutil.copy(path, path.with_name(path.name.replace("planted", "another_planted")))
    text = lint()
    assert "numbers" in text


# --- exceptions ------------------------------------------------------------------------------

INDEX = "op.create_index('ix_a', 'lists', ['title'])"


def test_exception_with_a_reason_is_obeyed(directory: Path, lint: Callable[[], str]) -> None:
    reason = "lint_exceptions = {'require-concurrent-index-creation': 'a tenant has few lists'}"
    plant(directory, upgrade(INDEX, reason))
    lint_is_clean(lint)


@pytest.mark.parametrize(
    "exceptions",
    [
        "{'require-concurrent-index-creation': ''}",
        "{'require-concurrent-index-creation': '  '}",
        "{'require-concurrent-index-creation': None}",
        "['require-concurrent-index-creation']",
    ],
)
def test_exception_without_a_reason_is_refused(
    directory: Path, lint: Callable[[], str], exceptions: str
) -> None:
    plant(directory, upgrade(INDEX, f"lint_exceptions = {exceptions}"))
    assert "lint_exceptions" in rules(lint())


@pytest.mark.parametrize("rule", ["ban-drop-column", "no-such-rule"])
def test_exception_that_is_not_needed_is_refused(
    directory: Path, lint: Callable[[], str], rule: str
) -> None:
    plant(
        directory, upgrade("op.execute('SELECT 1')", f"lint_exceptions = {{'{rule}': 'because'}}")
    )
    text = lint()
    assert rules(text) == {"lint_exceptions"}
    assert rule in text


def test_runners_rules_have_no_exceptions(directory: Path, lint: Callable[[], str]) -> None:
    exceptions = "lint_exceptions = {'no-schema': 'because'}"
    plant(directory, upgrade("op.drop_index('i', 'lists', schema='t_acme')", exceptions))
    assert rules(lint()) == {"no-schema", "lint_exceptions"}


def test_comment_for_squawk_is_refused(directory: Path, lint: Callable[[], str]) -> None:
    sql = "-- squawk-ignore ban-drop-column\\nALTER TABLE lists DROP COLUMN color"
    plant(directory, upgrade(f"op.execute('{sql}')"))
    assert "lint_exceptions" in rules(lint())
