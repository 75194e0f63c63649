"""Deletes the contents of files to which nothing refers any more."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ops.archives.models import ArchiveRow, TenantKey
from ops.restores.files import delete_all
from todo_app.config import Settings
from todo_app.database import db
from todo_app.files.models import Content
from todo_app.files.service import LOCK, is_used, mark_unused
from todo_app.files.store import object_name, open_storage
from todo_app.storage import Storage
from todo_app.tenants.models import Tenant

OLDEST_REVISION = "0005"
"""Of tenants that have files."""
ROWS_AT_ONCE = 1_000
STORED_BEFORE_ROW = timedelta(days=2)
"""Longest that a content may lie there before its row is written, as while a restore runs."""

_IN_USE_AGAIN = (
    sa.update(Content).where(Content.unused_since.is_not(None), is_used()).values(unused_since=None)
)


def sweep(
    connection: sa.Connection, schema_name: str, tenant_uuid: uuid.UUID, settings: Settings
) -> int:
    """Delete a tenant's contents that have been unused for ATTACHMENTS_KEEP_DAYS.

    So that a restore or an `undo` of these days finds them. What uploads and restores have left
    behind that were killed goes, too.

    Args:
        connection: an own one, in autocommit mode; the caller holds the tenant.
        schema_name: of the tenant, at OLDEST_REVISION at least.
        tenant_uuid: of the tenant.
        settings: with the storage.

    Returns:
        How many are gone.

    Raises:
        StorageError, sqlalchemy.exc.DBAPIError: the next time goes on with it.
    """
    storage = open_storage(settings)
    if storage is None:
        return 0
    inside = connection.execution_options(schema_translate_map={None: schema_name})
    try:
        _mark(inside, schema_name)
        deleted = 0
        for keys in _forgotten(inside, timedelta(days=settings.attachments_keep_days)):
            storage.delete(object_name(tenant_uuid, key) for key in keys)
            deleted += len(keys)
        return deleted + _sweep_left_behind(inside, storage, tenant_uuid)
    finally:
        connection.execution_options(schema_translate_map=None)


def _mark(connection: sa.Connection, schema_name: str) -> None:
    """Note what has become unused since, as with a task that was deleted for good."""
    connection.exec_driver_sql("BEGIN")
    try:
        lock = sa.func.pg_advisory_xact_lock(LOCK, sa.func.hashtext(schema_name))
        connection.execute(sa.select(lock))
        connection.execute(mark_unused())
        connection.execute(_IN_USE_AGAIN)
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def _forgotten(connection: sa.Connection, keep: timedelta) -> Iterator[list[uuid.UUID]]:
    """Delete rows of contents whose time is over; gives their keys, some at a time."""
    is_over = Content.unused_since < sa.func.now() - keep
    some = sa.select(Content.sha256).where(is_over, ~is_used()).limit(ROWS_AT_ONCE)
    rows = sa.delete(Content).where(Content.sha256.in_(some.with_for_update(skip_locked=True)))
    while keys := list(connection.scalars(rows.returning(Content.key))):
        yield keys


def _sweep_left_behind(connection: sa.Connection, storage: Storage, tenant_uuid: uuid.UUID) -> int:
    """Delete objects without a row. What is half-written is none, and goes by `Storage.sweep`."""
    before = datetime.now(UTC) - STORED_BEFORE_ROW
    deleted = 0
    for names in _batches(storage.stored_before(str(tenant_uuid), before)):
        keys = {object_name(tenant_uuid, key) for key in _known(connection, names)}
        orphans = [name for name in names if name not in keys]
        storage.delete(orphans)
        deleted += len(orphans)
    return deleted


def _known(connection: sa.Connection, names: Iterable[str]) -> list[uuid.UUID]:
    keys = [uuid.UUID(name.rsplit("/", 1)[-1]) for name in names if _is_key(name)]
    return list(connection.scalars(sa.select(Content.key).where(Content.key.in_(keys))))


def _is_key(name: str) -> bool:
    try:
        uuid.UUID(name.rsplit("/", 1)[-1])
    except ValueError:
        return False
    return True


def _batches(names: Iterator[str]) -> Iterator[list[str]]:
    while some := list(itertools.islice(names, ROWS_AT_ONCE)):
        yield some


def sweep_gone(settings: Settings) -> int:
    """Delete the contents of tenants that are gone and of which no archive is left.

    An archive may only name them, and could not be restored whole without them.

    Returns:
        How many tenants' they were.

    Raises:
        StorageError
    """
    storage = open_storage(settings)
    if storage is None:
        return 0
    storage.sweep()
    there = {uuid.UUID(name) for name in storage.folders("") if _is_key(name)}
    gone = there - _alive(Tenant.uuid, there) - _alive(ArchiveRow.tenant_uuid, there, ~_IS_SHUT)
    for tenant_uuid in gone:
        delete_all(settings, tenant_uuid)
    return len(gone)


_IS_SHUT = ArchiveRow.is_encrypted & sa.exists().where(
    TenantKey.tenant_uuid == ArchiveRow.tenant_uuid, TenantKey.forgotten_at.is_not(None)
)
"""Nobody can open such an archive any more: it keeps nothing alive."""


def _alive(column: Any, among: set[uuid.UUID], *which: sa.ColumnElement[bool]) -> set[uuid.UUID]:
    return set(db.session.scalars(sa.select(column).where(column.in_(among), *which).distinct()))
