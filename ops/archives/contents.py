"""The contents of a tenant's files on their way into an archive."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy as sa
import structlog

from ops.archives.manifest import Header
from todo_app.files.models import Content
from todo_app.files.service import is_used
from todo_app.files.store import PIECE_BYTES, object_name
from todo_app.storage import NotStoredError, Storage

log = structlog.get_logger(__name__)


class FileContent(NamedTuple):
    """One of them."""

    key: str
    size: int
    pieces: Iterator[bytes]


class Contents:
    """Those to which a file refers, of which no two are in memory at once.

    Args:
        connection: in the transaction of the archive, with the tenant's schema as its search_path.
        header: of the archive.
        storage: where they lie.
    """

    def __init__(self, connection: sa.Connection, header: Header, storage: Storage) -> None:
        self._storage = storage
        self._tenant_uuid = uuid.UUID(str(header.tenant["uuid"]))
        self._rows: list[tuple[uuid.UUID, int]] = []
        # Tenants of older revisions have no files.
        if any(table.name == Content.__tablename__ for table in header.tables):
            found = sa.select(Content.key, Content.size).where(is_used()).order_by(Content.key)
            self._rows = [(row.key, row.size) for row in connection.execute(found)]

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __iter__(self) -> Iterator[FileContent]:
        """Each in turn, to be read to its end. What is missing already cannot be kept any more."""
        for key, size in self._rows:
            name = object_name(self._tenant_uuid, key)
            try:
                is_whole = self._storage.size(name) == size
                has_any = size and is_whole
                first = self._storage.part(name, 0, min(size, PIECE_BYTES)) if has_any else b""
            except NotStoredError:
                is_whole = False
            if not is_whole:
                log.error("content of a file is gone, or was cut", name=name)
                continue
            yield FileContent(str(key), size, self._pieces(name, first, size))

    def _pieces(self, name: str, piece: bytes, size: int) -> Iterator[bytes]:
        position = 0
        while piece:
            yield piece
            position += len(piece)
            length = min(size - position, PIECE_BYTES)
            piece = self._storage.part(name, position, length) if length else b""
