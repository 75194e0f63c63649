"""Parts of a file, by the header Range (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from todo_app.errors import AppError

RANGE = re.compile(
    r"bytes=(?:(?P<first>[0-9]{1,18})-(?P<last>[0-9]{0,18})|-(?P<suffix>[0-9]{1,18}))"
)


class RangeNotSatisfiableError(AppError):
    """The part that is asked for begins after the end of the file."""

    status = 416
    code = "range-not-satisfiable"
    detail = "The file has no such part."

    def __init__(self, size: int) -> None:
        super().__init__(headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file, at least one byte long.

    Args:
        start: its first byte, counted from 0.
        length: how many bytes.
        size: those of the whole file.
    """

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """The header Content-Range of the answer."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


def part_of(
    header: str | None, size: int, *, etag: str = "", if_range: str | None = None
) -> Part | None:
    """The part of a file that a request asks for; None when all of it is to be sent, with 200.

    All of it is sent where there is no such header, or one that is not understood, or several
    parts are asked for: a server may leave the header alone.

    Args:
        header: Range.
        size: bytes of the file.
        etag: of the file, with its quotes.
        if_range: the header If-Range: the part is sent only if this is the file's ETag.

    Raises:
        RangeNotSatisfiableError: the part begins after the end.
    """
    match = RANGE.fullmatch(header.strip().lower()) if header else None
    if match is None or not _is_current(if_range, etag):
        return None
    if match["suffix"]:
        length = min(int(match["suffix"]), size)
        if int(match["suffix"]) == 0:
            raise RangeNotSatisfiableError(size)
        # No header can name a part of an empty file.
        return Part(size - length, length, size) if size else None
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else size - 1
    if match["last"] and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiableError(size)
    return Part(first, min(last, size - 1) - first + 1, size)


def _is_current(if_range: str | None, etag: str) -> bool:
    """Whether the client has parts of this very file; a date, or a weak tag, cannot tell."""
    return if_range is None or (if_range.strip() == etag and etag.startswith('"'))
