"""What a restore would do, found out without doing it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ops.archives import copying
from ops.archives.manifest import Manifest
from ops.archives.models import ArchiveRow
from ops.archives.reader import opened
from ops.restores import people
from ops.restores.find import WITH_DATA
from ops.restores.load import load
from ops.restores.names import scratch_name
from ops.restores.progress import Progress
from ops.restores.scratch import text_transaction
from ops.restores.source import find_source
from todo_app.config import Settings
from todo_app.database import own_connection, quote_identifier
from todo_app.storage import Storage
from todo_app.tenants.models import Tenant

USERS = "users"


def preview(archive: ArchiveRow, settings: Settings, *, is_new: bool) -> dict[str, Any]:
    """Compare an archive with the live tenant. The whole archive is read and checked.

    Args:
        archive: which one.
        settings: of this installation.
        is_new: whether it would be restored as a new tenant.

    Returns:
        The archive; by table, `archived` and `live` rows, None where there is no such table; and
        the people who were deleted since.

    Raises:
        AppError: the archive cannot be restored.
    """
    storage = Storage(settings.need("backup_url"))
    name = scratch_name()
    with own_connection() as connection:
        live = None if is_new else _live(connection, archive)
        source = find_source(connection, storage, settings, archive.name)
        with (
            opened(source.storage, source.expected, source.identity) as reading,
            # Nobody ever sees the people who are loaded here.
            text_transaction(connection, end="ROLLBACK"),
        ):
            has_users = any(table.name == USERS for table in reading.header.tables)
            only = [USERS] if has_users else []
            manifest = load(connection, reading, name, None, Progress(), only)
            deleted = []
            if live is not None and has_users and _has_users(connection, live):
                deleted = people.deleted_since(connection, live, name)
        return {
            "tenant": archive.slug,
            "archive": archive.name,
            "taken_at": archive.taken_at.isoformat(timespec="seconds"),
            "revision": archive.revision,
            "tables": _compare(connection, manifest, live),
            "deleted_people": [person._asdict() for person in deleted],
        }


def _live(connection: sa.Connection, archive: ArchiveRow) -> str | None:
    """The schema that people work in."""
    statement = sa.select(Tenant.schema_name).where(
        Tenant.uuid == archive.tenant_uuid, Tenant.state.in_(WITH_DATA)
    )
    return connection.execute(statement).scalar_one_or_none()


def _has_users(connection: sa.Connection, schema_name: str) -> bool:
    return any(table.name == USERS for table in copying.describe(connection, schema_name))


def _compare(
    connection: sa.Connection, manifest: Manifest, live: str | None
) -> list[dict[str, Any]]:
    counts = {} if live is None else _count(connection, live)
    names = sorted({*manifest.sums, *counts})
    return [
        {
            "table": name,
            "archived": manifest.sums[name].rows if name in manifest.sums else None,
            "live": counts.get(name),
        }
        for name in names
    ]


def _count(connection: sa.Connection, schema_name: str) -> dict[str, int]:
    schema = quote_identifier(schema_name)
    counts = {}
    for table in copying.describe(connection, schema_name):
        select = f"SELECT count(*) FROM {schema}.{quote_identifier(table.name)}"  # noqa: S608
        counts[table.name] = connection.exec_driver_sql(
            select, execution_options={"no_parameters": True}
        ).scalar_one()
    return counts
