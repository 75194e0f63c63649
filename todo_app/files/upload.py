"""Receives the body of a request as a file: checked, then stored, with no transaction open.

It is spooled on its way, because its name in the storage depends on all of it: what is refused, or
stops in the middle, never comes near the storage.
"""

from __future__ import annotations

import io
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app, request
from werkzeug.exceptions import HTTPException

from todo_app.auth import current_user
from todo_app.config import Settings
from todo_app.errors import AppError
from todo_app.files import service
from todo_app.files.intake import Intake
from todo_app.files.service import Stored
from todo_app.files.store import Store
from todo_app.line import aside
from todo_app.tenancy import current_tenant

IN_MEMORY_BYTES = 1024 * 1024
"""What is larger is spooled to the disk."""
READ_BYTES = 64 * 1024


class IncompleteError(AppError):
    """The body ends before the length that it says it has, or in the middle of a chunk."""

    status = 400
    code = "incomplete-body"
    detail = "The file has not come whole."


@contextmanager
def received(task_uuid: uuid.UUID) -> Iterator[Stored]:
    """The body of the current request, which lies in the storage while the block runs.

    It stays there if the block makes use of it. Where it cannot be known whether it did, as when
    the connection was lost, it stays until the nightly sweep.

    Args:
        task_uuid: the task that it is for, which has to be one that the caller may write.

    Raises:
        FileTooLargeError, FileTypeError, IncompleteError: it is not taken.
        AppError: as of `service.check_may_add` and of `store.Store`.
    """
    settings: Settings = current_app.config["SETTINGS"]
    store = Store(settings, current_tenant().uuid)
    length = request.content_length
    intake = Intake(request.content_type, settings.attachment_max_bytes)
    intake.check_length(length)
    service.check_may_add(current_user(), task_uuid, length or 0, settings.attachments_quota)
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
        for piece in intake.pass_through(_pieces(settings)):
            file.write(piece)
        # A server may take the end of the connection for the end of the body.
        if length is not None and intake.size != length:
            raise IncompleteError
        file.seek(0)
        known = service.known_key(intake.sha256)
        key = known or uuid.uuid4()
        with aside():
            # After a restore a row may have outlived its content.
            if known is None or not store.has(known, intake.size):
                store.put(key, file)
    stored = Stored(intake.sha256, intake.size, intake.media_type, key, is_new=known is None)
    try:
        yield stored
    except (AppError, HTTPException):
        # Raised before the end of the transaction.
        _discard(store, stored)
        raise
    if not stored.is_wanted:
        _discard(store, stored)


def _discard(store: Store, stored: Stored) -> None:
    if stored.is_new:
        store.discard([stored.key])


def _pieces(settings: Settings) -> Iterator[bytes]:
    length = request.content_length
    if length is not None and length <= settings.max_body_bytes:
        # Read before the caller was looked up, as every small body.
        source = io.BytesIO(request.get_data())
    else:
        # One more than is taken, so that the intake is what refuses it.
        request.max_content_length = settings.attachment_max_bytes + 1
        source = request.stream  # type: ignore[assignment]
    try:
        while piece := source.read(READ_BYTES):
            yield piece
    except OSError:
        raise IncompleteError from None
