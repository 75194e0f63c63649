"""Attachments are checked and hashed while they pass."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
import zipfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_app.files.intake import FileTooLargeError, Intake
from todo_app.files.types import HEAD_BYTES, FileTypeError

MIB = 1024 * 1024


def taken(intake: Intake, pieces: list[bytes]) -> bytes:
    return b"".join(intake.pass_through(pieces))


@given(st.lists(st.text("ab\n", max_size=3000).map(str.encode), max_size=8))
def test_what_passes_is_what_came(pieces: list[bytes]) -> None:
    intake = Intake("text/plain", MIB)
    content = b"".join(pieces)
    assert taken(intake, pieces) == content
    assert intake.size == len(content)
    assert intake.sha256 == hashlib.sha256(content).hexdigest()
    assert intake.media_type == "text/plain"


def test_a_file_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert len(taken(Intake(None, 10), [b"12345", b"67890"])) == 10
    with pytest.raises(FileTooLargeError) as caught:
        taken(Intake(None, 10), [b"12345", b"67890", b"1"])
    assert caught.value.status == 413
    assert "10 bytes" in caught.value.detail


def test_a_file_that_is_too_large_is_not_read_to_its_end() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 65536
            yield b"x" * 65536

    passed = io.BytesIO()
    with pytest.raises(FileTooLargeError):
        passed.writelines(Intake(None, MIB).pass_through(endless()))
    assert passed.tell() <= MIB
    assert read == MIB + 65536


def test_a_length_that_is_given_is_believed_where_it_is_too_large() -> None:
    intake = Intake(None, 10)
    intake.check_length(None)
    intake.check_length(10)
    with pytest.raises(FileTooLargeError):
        intake.check_length(11)


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_nothing_passes_before_the_type_is_known(size: int) -> None:
    content = b"<html>" + b"x" * 20_000
    pieces = (content[at : at + size] for at in range(0, len(content), size))
    passed = io.BytesIO()
    with pytest.raises(FileTypeError):
        passed.writelines(Intake("image/png", MIB).pass_through(pieces))
    assert passed.tell() == 0


def test_the_type_is_that_of_the_beginning_however_it_is_cut() -> None:
    content = b"\x89PNG\r\n\x1a\n" + b"\0" * 2 * HEAD_BYTES
    for pieces in ([content], [content[at : at + 1] for at in range(len(content))]):
        intake = Intake(None, MIB)
        assert taken(intake, pieces) == content
        assert intake.media_type == "image/png"


def test_a_zip_bomb_is_as_small_as_it_was_sent() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 50 * MIB)
    bomb = out.getvalue()
    intake = Intake("application/zip", MIB)
    tracemalloc.start()
    try:
        assert taken(intake, [bomb]) == bomb
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()
    assert intake.size < 100_000
