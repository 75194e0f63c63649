"""`python -m migrations.lint`: exits with 1 where a revision of either history breaks a rule."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from alembic.script import ScriptDirectory
from flask import Flask

from migrations.lint import rules, squawk
from migrations.lint.revision import Finding, Revision, load
from todo_app import histories
from todo_app.database import db
from todo_app.extensions import migrate


def main() -> int:
    """Check all revisions and print what was found.

    Returns:
        The exit code: 0 for nothing, 1 for something.
    """
    # As much of the application as Flask-Migrate asks for: no setting is read, no server is needed.
    app = Flask(__name__)
    migrate.init_app(app, db, directory=str(histories.DIRECTORY))
    with app.app_context():
        findings = [*check(histories.CONTROL), *check(histories.TENANT)]
    for finding in findings:
        path = finding.path.relative_to(histories.DIRECTORY.parent)
        click.echo(f"{path}: {finding.rule}: {finding.message}")
        if finding.sql:
            click.echo(f"    {finding.sql}")
    if findings:
        click.echo(f"{len(findings)} found. docs/migrations.md says what to write instead.")
        return 1
    click.echo("All revisions are safe to run.")
    return 0


def check(history: str) -> list[Finding]:
    """What is found in the revisions of a history; needs an application context."""
    versions = histories.DIRECTORY / history / "versions"
    # Alembic makes nothing of a line that is broken, so nothing else is looked at then.
    wrong = list(check_line(versions))
    if wrong:
        return wrong
    directory = ScriptDirectory.from_config(migrate.get_config(x_arg=f"history={history}"))
    return [
        finding
        for script in reversed(list(directory.walk_revisions()))
        for finding in check_revision(load(history, script))
    ]


def check_line(versions: Path) -> Iterator[Finding]:
    """Whether the files are numbered, and each revision names itself and the one before it."""
    for number, path in enumerate(sorted(versions.glob("*.py")), 1):
        wanted = {
            "revision": f"{number:04}",
            "down_revision": f"{number - 1:04}" if number > 1 else None,
        }
        if not path.name.startswith(f"{number:04}_") or _assigned(path, set(wanted)) != wanted:
            names = ", ".join(f"{name} = {value!r}" for name, value in wanted.items())
            message = f"Number {number} of the line is {number:04}_….py with {names}."
            yield Finding(path, "numbers", message)


def _assigned(path: Path, names: set[str]) -> dict[str, object]:
    return {
        target.id: node.value.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in names
    }


def check_revision(revision: Revision) -> Iterator[Finding]:
    """What is found in one revision, less what it excepts itself from."""
    yield from rules.check(revision)
    exceptions = revision.attributes.get("lint_exceptions", {})
    if not isinstance(exceptions, dict):
        yield revision.find("lint_exceptions", "It maps names of rules to reasons.")
        return
    for rule, reason in exceptions.items():
        if not isinstance(reason, str) or not reason.strip():
            yield revision.find("lint_exceptions", f"Give a reason for {rule}.")
    found = [*squawk.check(revision), *rules.advise(revision)]
    yield from (finding for finding in found if finding.rule not in exceptions)
    for rule in sorted(exceptions.keys() - {finding.rule for finding in found}):
        yield revision.find(
            "lint_exceptions",
            f"{rule} is not found here, or is a rule without exceptions: take it out.",
        )


if __name__ == "__main__":
    sys.exit(main())
