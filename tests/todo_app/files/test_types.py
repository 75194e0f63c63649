"""The type of an attachment is what its content says."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from todo_app.files.types import KIND_OF, KINDS, UNKNOWN, FileTypeError, check_type, kind_of

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def picture(form: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, form)
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "a")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return out.getvalue()


CONTENTS = {
    "png": picture("PNG"),
    "jpeg": picture("JPEG"),
    "gif": picture("GIF"),
    "webp": picture("WEBP"),
    "bmp": picture("BMP"),
    "tiff": picture("TIFF"),
    "heif": b"\0\0\0\x18ftypheic\0\0\0\0",
    "pdf": b"%PDF-1.7\n1 0 obj\n",
    "mp3": b"ID3\x04\0\0",
    "wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "flac": b"fLaC\0\0\0\x22",
    "ogg": b"OggS\0\x02",
    "mp4": b"\0\0\0\x18ftypisom\0\0\0\0",
    "webm": b"\x1aE\xdf\xa3\x9fB\x86",
    "zip": zipped(),
    "ole": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0",
    "gzip": b"\x1f\x8b\x08\0\0",
    "bzip2": b"BZh91AY&SY\0",
    "xz": b"\xfd7zXZ\0\0",
    "zstd": zstandard.compress(b"hello"),
    "7z": b"7z\xbc\xaf\x27\x1c\0\x04",
    "rar": b"Rar!\x1a\x07\x01\0",
    "tar": tarred(),
    "rtf": rb"{\rtf1\ansi hello}",
    "text": b"hello",
}

PROGRAMS = [
    b"MZ\x90\0\x03\0\0\0",
    b"\x7fELF\x02\x01\x01\0",
    b"\xcf\xfa\xed\xfe\x07\0\0\x01",
    b"\xca\xfe\xba\xbe\0\0\0\x34",
    b"\0asm\x01\0\0\0",
    b"dex\n035\0",
    b"MZ" + tarred()[2:],
]


def test_every_kind_has_an_example() -> None:
    assert CONTENTS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_a_content(kind: str) -> None:
    assert kind_of(CONTENTS[kind]) == kind


@pytest.mark.parametrize("media_type", KIND_OF)
def test_a_declared_type_agrees_with_its_content_only(media_type: str) -> None:
    for kind, content in CONTENTS.items():
        if kind == KIND_OF[media_type]:
            assert check_type(media_type, content) == media_type
        else:
            with pytest.raises(FileTypeError):
                check_type(media_type, content)


@pytest.mark.parametrize("declared", [None, "", UNKNOWN, "Application/Octet-Stream; x=y"])
def test_without_a_type_the_content_tells(declared: str | None) -> None:
    assert check_type(declared, CONTENTS["png"]) == "image/png"
    assert check_type(declared, CONTENTS["zip"]) == "application/zip"
    assert check_type(declared, b"a,b\n1,2\n") == "text/plain"
    assert check_type(declared, b"\x01\x02\x03") == UNKNOWN


def test_parameters_and_case_do_not_matter() -> None:
    assert check_type("Text/CSV; charset=utf-8", b"a,b\n") == "text/csv"
    assert check_type(DOCX.upper(), CONTENTS["zip"]) == DOCX


@pytest.mark.parametrize("declared", [None, UNKNOWN, "image/png", "application/zip", "text/plain"])
@pytest.mark.parametrize("content", PROGRAMS)
def test_programs_are_refused_whatever_they_are_called(content: bytes, declared: str) -> None:
    with pytest.raises(FileTypeError) as caught:
        check_type(declared, content)
    assert caught.value.status == 415


def test_types_that_are_not_taken() -> None:
    for declared in ("application/x-msdownload", "application/java-archive", "image/x-y", "a", "/"):
        with pytest.raises(FileTypeError):
            check_type(declared, b"hello")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        "Zażółć\r\n\tgęślą".encode(),
        "Zażółć".encode("cp1250"),
        "\ufeffa;b".encode(),
        "a;b".encode("utf-16"),
        b"\x1b[31mred\x1b[0m",
        b"MZ is a text too",
        b"BMW, Audi",
        b"BZh is no archive",
        b"ID3 tags are explained here",
        b"GIF89a is a format",
        b"RIFF and raff",
    ],
)
def test_texts(content: bytes) -> None:
    assert check_type("text/plain", content) == "text/plain"
    assert check_type("text/x-python", content) == "text/plain"
    assert check_type(None, content) == "text/plain"


@pytest.mark.parametrize(
    "content", [b"\0", b"hello\0", b"\x01", b"RIFF\0\0\0\0WEB", b"RIFX\0\0\0\0WAVE"]
)
def test_what_is_neither_text_nor_known(content: bytes) -> None:
    assert kind_of(content) is None
    with pytest.raises(FileTypeError):
        check_type("text/plain", content)


def test_markup_is_a_text_of_its_own_type() -> None:
    assert check_type("text/html", b"<script>alert(1)</script>") == "text/html"
    assert check_type("image/svg+xml", b"<svg onload='alert(1)'/>") == "image/svg+xml"
    with pytest.raises(FileTypeError):
        check_type("image/png", b"<svg onload='alert(1)'/>")


@given(st.text(max_size=40), st.binary(max_size=300))
def test_whatever_comes_is_judged(declared: str, content: bytes) -> None:
    try:
        media_type = check_type(declared, content)
    except FileTypeError:
        return
    assert media_type == UNKNOWN or media_type in KIND_OF
