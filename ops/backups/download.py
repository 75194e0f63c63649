"""A tenant's own newest archive, for its administrators to keep."""

from __future__ import annotations

import io
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ops.archives.codec import PASSPHRASE_BYTES, encrypt_with_passphrase
from ops.archives.errors import TooLargeError
from ops.archives.models import ArchiveRow
from ops.archives.reader import Expected, repack
from ops.backups.verify import expected, identity_of
from todo_app.config import Settings
from todo_app.database import db
from todo_app.errors import NotFoundError, UnavailableError
from todo_app.storage import Storage, StorageError

log = structlog.get_logger(__name__)


class NotOfferedError(UnavailableError):
    """This installation has no archives to give, or no key to open them."""

    code = "downloads-not-offered"
    detail = "This service offers no downloads of backups."


class BusyError(UnavailableError):
    """This process prepares another download."""

    code = "downloads-busy"
    detail = "Another backup is being prepared; try again in some seconds."


class Choice(NamedTuple):
    """An archive to be given out, and what opens it."""

    slug: str
    taken_at: datetime
    expected: Expected
    identity: bytes | None


def choose(settings: Settings, tenant_uuid: uuid.UUID) -> Choice:
    """The newest good archive of a tenant.

    Raises:
        NotOfferedError: there is no storage, or no key.
        NotFoundError: there is no archive yet.
        TooLargeError: it is too large to be encrypted in memory.
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
    if row.bytes > PASSPHRASE_BYTES:
        raise TooLargeError(f"The backup has more than {PASSPHRASE_BYTES // 2**20} MiB.")
    if row.is_encrypted and not settings.backup_identity:
        raise NotOfferedError
    identity = None
    if row.is_encrypted:
        identity = identity_of(db.session.connection(), settings, tenant_uuid)
    return Choice(row.slug, row.taken_at, expected(row), identity)


def download(settings: Settings, choice: Choice, passphrase: str) -> tuple[str, bytes]:
    """An archive, encrypted with a passphrase and nothing else; needs no transaction.

    Returns:
        A name for the file, and what is in it: age's format, around a tar compressed with zstd.

    Raises:
        BusyError: another download is being prepared.
        StorageError, ArchiveDamagedError: it cannot be read.
    """
    with _one_at_a_time():
        packed, locked = io.BytesIO(), io.BytesIO()
        try:
            repack(Storage(settings.backup_url), choice.expected, choice.identity, packed)
        except StorageError:
            log.exception("backup not downloaded")
            # Where the storage is, is nothing for a tenant to read.
            raise StorageError from None
        packed.seek(0)
        encrypt_with_passphrase(packed, locked, passphrase)
        return f"{choice.slug}-{choice.taken_at:%Y-%m-%d}.tar.zst.age", locked.getvalue()


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
