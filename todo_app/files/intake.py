"""Takes an attachment piece by piece: its size, its type and its hash are known when it has passed.

Archives are files like others: they are stored and never opened, so a ZIP bomb is as small as it
was sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from todo_app.errors import AppError
from todo_app.files.types import HEAD_BYTES, check_type


class FileTooLargeError(AppError):
    """A file that is larger than may be sent."""

    status = 413
    code = "file-too-large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A file may have at most {limit:,} bytes.")


class Intake:
    """One file on its way in.

    Args:
        declared: the media type that its sender gives, if any.
        limit: the most bytes that it may have.
    """

    def __init__(self, declared: str | None, limit: int) -> None:
        self._declared = declared
        self._limit = limit
        self._hash = hashlib.sha256()
        self.size = 0
        self.media_type = ""

    @property
    def sha256(self) -> str:
        """The hash of what has passed, in hexadecimal."""
        return self._hash.hexdigest()

    def check_length(self, content_length: int | None) -> None:
        """Refuse a file before it is read, where its length is given.

        Raises:
            FileTooLargeError: it says itself that it is too large.
        """
        if content_length is not None and content_length > self._limit:
            raise FileTooLargeError(self._limit)

    def pass_through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Hand on what comes, checked. Nothing is handed on before the type is known to be right.

        `size`, `sha256` and `media_type` are those of the file when this has ended. What was handed
        on is to be thrown away when it raises.

        Args:
            pieces: the file; its pieces may be of any size.

        Raises:
            FileTooLargeError: more came than may.
            FileTypeError: see `types.check_type`.
        """
        head = b""
        for piece in pieces:
            self.size += len(piece)
            if self.size > self._limit:
                raise FileTooLargeError(self._limit)
            self._hash.update(piece)
            if self.media_type:
                yield piece
                continue
            head += piece
            if len(head) >= HEAD_BYTES:
                self.media_type = check_type(self._declared, head[:HEAD_BYTES])
                yield head
        if not self.media_type:
            self.media_type = check_type(self._declared, head)
            yield head
