"""A tenant's own newest archive, for its administrators to keep."""

from __future__ import annotations

import io
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
import structlog

from ops.archives.codec import encrypt_with_passphrase
from ops.archives.errors import StorageError
from ops.archives.models import ArchiveRow
from ops.archives.reader import repack
from ops.archives.storage import Storage
from ops.backups.verify import expected, identity_of
from todo_app.config import Settings
from todo_app.database import db
from todo_app.errors import NotFoundError, UnavailableError

log = structlog.get_logger(__name__)


class NotOfferedError(UnavailableError):
    """This installation has no archives to give, or no key to open them."""

    code = "downloads-not-offered"
    detail = "This service offers no downloads of backups."


class BusyError(UnavailableError):
    """This process prepares another download."""

    code = "downloads-busy"
    detail = "Another backup is being prepared; try again in some seconds."


def download(settings: Settings, tenant_uuid: uuid.UUID, passphrase: str) -> tuple[str, bytes]:
    """The newest good archive of a tenant, encrypted with a passphrase.

    Args:
        settings: of the storage, and the operators' key.
        tenant_uuid: of the tenant.
        passphrase: what the file is encrypted with, and nothing else.

    Returns:
        A name for the file, and what is in it: age's format, around a tar compressed with zstd.

    Raises:
        NotOfferedError: there is no storage, or no key.
        BusyError: another download is being prepared.
        NotFoundError: there is no archive yet.
        TooLargeError: it is too large to be encrypted in memory.
        StorageError, ArchiveDamagedError: it cannot be read.
    """
    if not settings.backup_url:
        raise NotOfferedError
    newest = (
        sa.select(ArchiveRow)
        .where(ArchiveRow.tenant_uuid == tenant_uuid, ArchiveRow.error.is_(None))
        .order_by(ArchiveRow.taken_at.desc())
        .limit(1)
    )
    row = db.session.scalars(newest).one_or_none()
    if row is None:
        raise NotFoundError("There is no backup of this company yet.")
    if row.is_encrypted and not settings.backup_identity:
        raise NotOfferedError
    identity = None
    if row.is_encrypted:
        identity = identity_of(db.session.connection(), settings, tenant_uuid)
    with _one_at_a_time():
        packed, locked = io.BytesIO(), io.BytesIO()
        try:
            repack(Storage(settings.backup_url), expected(row), identity, packed)
        except StorageError:
            log.exception("backup not downloaded")
            # Where the storage is, is nothing for a tenant to read.
            raise StorageError from None
        packed.seek(0)
        encrypt_with_passphrase(packed, locked, passphrase)
        return f"{row.slug}-{row.taken_at:%Y-%m-%d}.tar.zst.age", locked.getvalue()


_busy = threading.Lock()


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Keep the memory that age's passphrases cost from being spent many times over."""
    if not _busy.acquire(blocking=False):
        raise BusyError
    try:
        yield
    finally:
        _busy.release()
