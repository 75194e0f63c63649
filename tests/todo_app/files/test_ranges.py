"""Parts of a file, as RFC 9110 has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_app.files.ranges import Part, RangeNotSatisfiableError, part_of

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "start", "length", "content_range"),
    [
        ("bytes=0-0", 0, 1, "bytes 0-0/10"),
        ("bytes=0-4", 0, 5, "bytes 0-4/10"),
        ("bytes=5-", 5, 5, "bytes 5-9/10"),
        ("bytes=9-9", 9, 1, "bytes 9-9/10"),
        ("bytes=0-99", 0, 10, "bytes 0-9/10"),
        ("bytes=5-999999999999999999", 5, 5, "bytes 5-9/10"),
        ("bytes=-3", 7, 3, "bytes 7-9/10"),
        ("bytes=-10", 0, 10, "bytes 0-9/10"),
        ("bytes=-99", 0, 10, "bytes 0-9/10"),
        (" Bytes=0-4 ", 0, 5, "bytes 0-4/10"),
    ],
)
def test_one_part(header: str, start: int, length: int, content_range: str) -> None:
    part = part_of(header, 10)
    assert part == Part(start, length, 10)
    assert part.content_range == content_range


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=4-3",
        "bytes=0-1,3-4",
        "bytes=0-1,",
        "bytes 0-1",
        "items=0-1",
        "bytes=0--1",
        "bytes=+1-2",
        "bytes=1.0-2",
        "bytes=0x1-2",
        "bytes=\u0660-\u0661",
        "bytes=" + "9" * 5000 + "-",
        "bytes=0-1\n2",
    ],
)
def test_what_is_not_understood_gets_the_whole_file(header: str | None) -> None:
    assert part_of(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=99-", "bytes=-0"])
def test_what_begins_after_the_end(header: str) -> None:
    with pytest.raises(RangeNotSatisfiableError) as caught:
        part_of(header, 10)
    assert caught.value.status == 416
    assert caught.value.headers["Content-Range"] == "bytes */10"


def test_an_empty_file_has_no_parts() -> None:
    assert part_of("bytes=-5", 0) is None
    for header in ("bytes=0-", "bytes=0-0", "bytes=-0"):
        with pytest.raises(RangeNotSatisfiableError):
            part_of(header, 0)


def test_a_part_of_another_version_is_not_sent() -> None:
    assert part_of("bytes=0-1", 10, etag=ETAG, if_range=ETAG) == Part(0, 2, 10)
    for other in ('"abd"', 'W/"abc"', "Tue, 03 Feb 2026 12:00:00 GMT", ""):
        assert part_of("bytes=0-1", 10, etag=ETAG, if_range=other) is None
        assert part_of("bytes=99-", 10, etag=ETAG, if_range=other) is None
    assert part_of("bytes=0-1", 10, etag='W/"abc"', if_range='W/"abc"') is None


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 40))
def test_a_part_is_what_python_slices(size: int, first: int, last: int) -> None:
    content = bytes(range(size))
    for header, wanted in (
        (f"bytes={first}-{last}", content[first : last + 1]),
        (f"bytes={first}-", content[first:]),
        (f"bytes=-{last}", content[-last:] if last else b""),
    ):
        try:
            part = part_of(header, size)
        except RangeNotSatisfiableError:
            assert wanted == b""
            continue
        if part is not None:
            assert content[part.start : part.start + part.length] == wanted
            assert part.length == len(wanted) > 0
        else:
            assert size == 0 or first > last


@given(st.text(max_size=30), st.integers(0, 100))
def test_no_header_breaks_it(header: str, size: int) -> None:
    try:
        part = part_of(f"bytes={header}", size)
    except RangeNotSatisfiableError:
        return
    assert part is None or 0 <= part.start < part.start + part.length <= size
