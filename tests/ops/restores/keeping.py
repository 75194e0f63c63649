"""What the tests of restores share: taking archives, restoring them, and looking at the result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from ops.archives.copying import TEXT_FORMAT, copy_out, describe
from ops.backups import closing
from ops.backups import job as backups
from ops.restores import job
from ops.restores.job import Order
from ops.restores.sweep import sweep
from ops.runs import job as runs
from ops.runs.cli import inline_work
from tests.factories import Caller, Company, Person, sign_in
from tests.todo_app.files.kit import place
from todo_app.config import Settings
from todo_app.database import own_connection, quote_identifier, transaction
from todo_app.tenancy import operations

LARGE = bytes(range(256)) * 10_000


@dataclass
class Keeper:
    """Takes archives and restores them, in this process."""

    app: Flask
    settings: Settings
    directory: Path
    """Where archives lie."""

    def back_up(self, *slugs: str) -> str:
        """Take archives of some tenants; gives the name of the set."""
        with self._entry():
            set_, run_id = backups.create(slugs, actor="tests", settings=self.settings)
            name = set_.name
        self.work(run_id)
        with self._entry():
            closing.close(self.settings)
        return name

    def restore(self, slug: str, **order: Any) -> dict[str, Any]:
        """Restore a tenant; gives its item of the ledger."""
        return self.work(self.plan(slug, **order))

    def plan(self, slug: str, **order: Any) -> int:
        """Write a restore into the ledger; gives the run."""
        with self._entry():
            return job.start(Order(slug, **order), actor="tests", settings=self.settings)

    def undo(self, slug: str) -> dict[str, Any]:
        """Take a restore back."""
        with self._entry():
            run_id = job.start_undo(slug, actor="tests")
        return self.work(run_id)

    def sweep(self) -> list[str]:
        """Drop what is kept no longer."""
        with self.app.app_context():
            return sweep()

    def work(self, run_id: int) -> dict[str, Any]:
        """Do a run, and give its first item."""
        with self.app.app_context():
            for _ in inline_work(run_id):
                pass
        return self.item(run_id)

    def item(self, run_id: int) -> dict[str, Any]:
        """The first item of a run."""
        with self._entry():
            item = runs.items(run_id)[0]
            return {"state": item.state, "error": item.error, "tries": item.attempts, **item.result}

    @contextmanager
    def _entry(self) -> Iterator[None]:
        with self.app.app_context(), operations(), transaction():
            yield

    def environment(self, environment: dict[str, str]) -> dict[str, str]:
        """For a process of its own that knows the storage and its key."""
        return {
            **environment,
            "BACKUP_URL": self.settings.backup_url,
            "BACKUP_RECIPIENTS": ",".join(self.settings.backup_recipients),
            "BACKUP_IDENTITY": self.settings.backup_identity,
        }

    def invoke(self, *arguments: str, **kwargs: Any) -> Result:
        """Run a command."""
        return self.app.test_cli_runner().invoke(args=list(arguments), **kwargs)

    def archive_file(self, slug: str) -> Path:
        """The newest archive of a tenant."""
        files = [f for f in self.directory.glob(f"*/{slug}.*") if ".tar.zst" in f.name]
        return max(files, key=lambda file: file.stat().st_mtime_ns)

    def sql(self, statement: str, **parameters: Any) -> list[Any]:
        """Run a statement as the owner of all schemas."""
        with self.app.app_context(), own_connection() as connection:
            result = connection.execute(sa.text(statement), parameters)
            return list(result) if result.returns_rows else []

    def tell(self, schema_name: str) -> None:
        """Mark the timeline as told: a restore tells nobody of what is past."""
        self.sql(f"UPDATE {quote_identifier(schema_name)}.activity SET is_told = true")

    def tables_of(self, schema_name: str, but: tuple[str, ...] = ()) -> dict[str, str]:
        """By table, the hash of all its rows."""
        with self.app.app_context(), own_connection() as connection:
            connection.exec_driver_sql(f"BEGIN; {TEXT_FORMAT}")
            driver_connection: Any = connection.connection
            found = {}
            for table in describe(connection, schema_name):
                if table.name not in but:
                    digest = hashlib.sha256()
                    copy_out(driver_connection.cursor(), schema_name, table, digest.update)
                    found[table.name] = digest.hexdigest()
            connection.exec_driver_sql("ROLLBACK")
            return found

    def schemas(self, kind: str = "(restoring|replaced|side)") -> set[str]:
        """Schemas that restores have made."""
        pattern = f"^t_{kind}_.*[0-9a-f]{{12}}$"
        statement = "SELECT nspname FROM pg_namespace WHERE nspname ~ :pattern"
        return {row.nspname for row in self.sql(statement, pattern=pattern)}

    def tenant(self, slug: str) -> Any:
        """A tenant's row; None where there is none."""
        rows = self.sql("SELECT * FROM public.tenants WHERE slug = :slug", slug=slug)
        return rows[0] if rows else None

    def count(self, schema_name: str, table: str) -> int:
        """Rows of a table."""
        source = f"{quote_identifier(schema_name)}.{quote_identifier(table)}"
        return int(self.sql(f"SELECT count(*) AS number FROM {source}")[0].number)


def enter(cursor: Any, slug: str) -> None:
    """Begin a transaction of a tenant, as a request does."""
    cursor.execute(
        "SELECT * FROM public.enter_tenant('slug', %s, NULL, '0001', false, NULL)", (slug,)
    )


def remove_all(app: Flask, slug: str) -> None:
    """Lose all contents of a tenant's files."""
    shutil.rmtree(place(app, slug))


def boss_of(company: Company, slug: str) -> Person:
    """Sign in as a company's administrator in a copy of it."""
    return sign_in(company.client, slug, company.email)


def add_task(person: Caller, title: str = "Write") -> str:
    """Add a list with a task; gives the title."""
    answer = person.post("/lists/", {"title": title})
    assert answer.status_code == 201, answer.json
    values = {"title": title, "list_uuid": answer.json["uuid"]}
    task = person.post("/tasks/", values)
    assert task.status_code == 201, task.json
    return title


def titles(person: Caller) -> list[str]:
    """The titles of a company's lists."""
    answer = person.get("/lists/?size=100")
    assert answer.status_code == 200, answer.json
    return sorted(item["title"] for item in answer.json["items"])


@contextmanager
def settings_of(app: Flask, **changes: Any) -> Iterator[Settings]:
    """Give the application other settings for a while."""
    before: Settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = dataclasses.replace(before, **changes)
    try:
        yield app.config["SETTINGS"]
    finally:
        app.config["SETTINGS"] = before


def shown(result: Result) -> Any:
    """What a command has printed as JSON."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
