"""Reads archives from the first to the last byte."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from ops.archives.errors import ArchiveDamagedError, KeyForgottenError, NoIdentityError
from ops.archives.keys import unwrap
from ops.archives.models import ArchiveRow, TenantKey
from ops.archives.reader import Expected, opened
from ops.runs.claims import Item, Outcome
from ops.runs.models import DONE, FAILED, SKIPPED
from ops.runs.work import Perform
from todo_app.config import Settings
from todo_app.database import own_connection
from todo_app.errors import AppError, first_line
from todo_app.storage import NotStoredError, Storage, StorageError


def expected(row: ArchiveRow | Any) -> Expected:
    """What the catalogue knows of an archive."""
    return Expected(row.name, row.tenant_uuid, row.bytes, row.sha256)


def identity_of(connection: sa.Connection, settings: Settings, tenant_uuid: uuid.UUID) -> bytes:
    """The secret key of a tenant's archives.

    Raises:
        KeyForgottenError: it was destroyed.
        NoIdentityError: the operators' own key is not there to open it with.
        WrongKeyError: that is not the one that it was kept for.
    """
    this = TenantKey.tenant_uuid == tenant_uuid
    key = connection.execute(sa.select(TenantKey.wrapped).where(this)).one_or_none()
    if key is None:
        raise NoIdentityError("The key of this tenant is not in the catalogue: rescan the storage.")
    return unwrap(key.wrapped, settings.backup_identity)


def verify(connection: sa.Connection, storage: Storage, settings: Settings, name: str) -> int:
    """Read an archive and note what was found.

    Args:
        connection: in autocommit mode.
        storage: where it lies.
        settings: with the operators' key.
        name: of the archive.

    Returns:
        Rows that it holds.

    Raises:
        AppError: it cannot be read, or is not what was written.
    """
    row = connection.execute(sa.select(ArchiveRow.__table__).where(_named(name))).one_or_none()
    if row is None:
        raise NotStoredError("It is no longer in the catalogue.")
    identity = identity_of(connection, settings, row.tenant_uuid) if row.is_encrypted else None
    noted: dict[str, Any] = {"verified_at": sa.func.now(), "error": None}
    try:
        with opened(storage, expected(row), identity) as archive:
            return archive.finish().rows
    except ArchiveDamagedError as error:
        noted["error"] = error.detail
        raise
    except BaseException:
        # A file that is away may be back tomorrow: that says nothing against the archive.
        noted = {}
        raise
    finally:
        if noted:
            connection.execute(sa.update(ArchiveRow).where(_named(name)).values(noted))


def _named(name: str) -> sa.ColumnElement[bool]:
    return ArchiveRow.name == name


@contextmanager
def verifying(settings: Settings) -> Iterator[Perform]:
    """What verifies one archive after the other."""
    storage = Storage(settings.need("backup_url"))
    with own_connection() as connection:

        def verify_next(item: Item) -> Outcome:
            name = item.result["archive"]
            try:
                rows = verify(connection, storage, settings, name)
            except KeyForgottenError as error:
                return Outcome(SKIPPED, error.detail)
            except (AppError, sa.exc.DBAPIError) as error:
                return Outcome(FAILED, first_line(error), retry=isinstance(error, StorageError))
            return Outcome(DONE, result={"rows": rows})

        yield verify_next
