"""What tests of backups share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from ops.archives.models import ArchiveRow
from ops.backups import job
from todo_app.config import Settings
from todo_app.database import OPS_BIND, db
from todo_app.tenancy import operations


def backups(app: Flask, *arguments: str) -> Result:
    """What a command says."""
    return app.test_cli_runner().invoke(args=["backups", *arguments])


def ok(result: Result) -> Any:
    """What a command that went well printed as JSON; None where that is nothing."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if result.stdout.strip() else None


def create(app: Flask, *slugs: str, **options: bool) -> ArchiveRow:
    """Take the archives of some tenants in this process.

    Returns:
        That of the first tenant.
    """
    flags = [f"--{name}" for name, is_given in options.items() if is_given]
    chosen = [word for slug in slugs for word in ("--tenant", slug)]
    ok(backups(app, "create", "--inline", "--json", *flags, *chosen))
    return newest(app, slugs[0])


def newest(app: Flask, slug: str) -> ArchiveRow:
    """The last archive of a tenant."""
    with app.app_context(), operations():
        return job.archives(slug=slug)[0]


def set_of(app: Flask, archive: ArchiveRow) -> str:
    """Name of the set that an archive is in."""
    return archive.name.partition("/")[0]


def directory(app: Flask) -> Path:
    """Where the archives of the tests lie."""
    settings: Settings = app.config["SETTINGS"]
    return Path(urlsplit(settings.backup_url).path)


def execute(app: Flask, sql: str, **parameters: Any) -> None:
    """Run SQL as the owner of all schemas."""
    with app.app_context(), db.engines[OPS_BIND].begin() as connection:
        connection.execute(sa.text(sql), parameters)


def rows(app: Flask, schema_name: str, table: str) -> list[tuple[Any, ...]]:
    """All rows of a table."""
    with app.app_context(), db.engines[OPS_BIND].connect() as connection:
        statement = f'SELECT t::text FROM "{schema_name}"."{table}" AS t ORDER BY 1'
        return [tuple(row) for row in connection.exec_driver_sql(statement)]
