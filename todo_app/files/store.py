"""The contents of files in their storage: `<tenant's uuid>/<key>` below ATTACHMENTS_URL."""

from __future__ import annotations

import functools
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

import structlog

from todo_app.config import Settings
from todo_app.errors import AppError, UnavailableError
from todo_app.storage import NotStoredError, Storage, StorageError

PIECE_BYTES = 1024 * 1024
SETTING = "ATTACHMENTS_URL"

log = structlog.get_logger(__name__)


class NoFilesError(AppError):
    """This installation has no place for files."""

    status = 501
    code = "no-files"
    detail = "Files are not kept here."


class ContentGoneError(AppError):
    """A file whose content is no longer in the storage, as after a restore of long ago."""

    status = 410
    code = "content-gone"
    detail = "The content of this file is no longer there."


class FilesAwayError(UnavailableError):
    """The storage does not answer, or refuses."""

    code = "files-away"
    detail = "Files are not available for the moment; try again."


def object_name(tenant_uuid: uuid.UUID, key: uuid.UUID) -> str:
    """Name of a content in the storage."""
    return f"{tenant_uuid}/{key}"


def open_storage(settings: Settings) -> Storage | None:
    """The storage of files; None where none is set.

    Raises:
        ConfigError: it cannot be used.
        StorageError: its directory cannot be made.
    """
    # A storage does not survive a fork.
    url = settings.attachments_url
    return _opened(url, os.getpid()) if url else None


@functools.lru_cache(maxsize=8)
def _opened(url: str, process_id: int) -> Storage:
    return Storage(url, SETTING)


class Store:
    """The contents of one tenant's files, for its requests: no error tells where they lie.

    Raises:
        NoFilesError: there is no storage.
    """

    def __init__(self, settings: Settings, tenant_uuid: uuid.UUID) -> None:
        with _hidden():
            storage = open_storage(settings)
        if storage is None:
            raise NoFilesError
        self._storage = storage
        self._tenant_uuid = tenant_uuid

    def put(self, key: uuid.UUID, file: IO[bytes]) -> None:
        """Store a content; it is there when this ends, whole, or not at all.

        Raises:
            FilesAwayError
        """
        with _hidden(), self._storage.writing(self._name(key)) as upload:
            while piece := file.read(PIECE_BYTES):
                upload.write(piece)

    def has(self, key: uuid.UUID, size: int) -> bool:
        """Whether a content is there, whole.

        Raises:
            FilesAwayError
        """
        with suppress(ContentGoneError), _hidden():
            return self._storage.size(self._name(key)) == size
        return False

    def pieces(self, key: uuid.UUID, start: int, length: int) -> Iterator[bytes]:
        """A part of a content. The first piece is read before this returns.

        Raises:
            ContentGoneError, FilesAwayError
        """
        first = self._read(key, start, min(length, PIECE_BYTES))
        return self._from(first, key, start, length)

    def discard(self, keys: Iterable[uuid.UUID]) -> None:
        """Delete contents to which nothing refers; where that fails, the nightly sweep does it."""
        try:
            self._storage.delete([self._name(key) for key in keys])
        except StorageError as error:
            log.warning("files left behind", reason=error.detail)

    def _from(self, piece: bytes, key: uuid.UUID, start: int, length: int) -> Iterator[bytes]:
        end = start + length
        while piece:
            yield piece
            start += len(piece)
            piece = self._read(key, start, min(end - start, PIECE_BYTES))

    def _read(self, key: uuid.UUID, start: int, length: int) -> bytes:
        if not length:
            return b""
        with _hidden():
            return self._storage.part(self._name(key), start, length)

    def _name(self, key: uuid.UUID) -> str:
        return object_name(self._tenant_uuid, key)


@contextmanager
def _hidden() -> Iterator[None]:
    """Tell the log what is wrong with the storage, and clients only that something is."""
    try:
        yield
    except NotStoredError as error:
        log.error("content of a file is gone", reason=error.detail)
        raise ContentGoneError from None
    except StorageError as error:
        log.error("storage of files is away", reason=error.detail)
        raise FilesAwayError from None
