"""Streams, encoded and decoded: all that can be done to them, and all that can be wrong."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.archives import codec
from ops.archives.codec import Counting, decoding, encoding, encrypt_with_passphrase
from ops.archives.errors import ArchiveDamagedError, NoIdentityError, TooLargeError, WrongKeyError
from ops.archives.keys import new_identity
from tests.ops.fleet import ROOT
from todo_app.errors import AppError, InvalidInputError
from todo_app.storage import StorageError

RECIPIENT, IDENTITY = new_identity()
TEXT = b"".join(b"%d\tA task\t\\N\n" % number for number in range(40))
LARGE = 3_000_000
"""More than the pipe and all buffers hold."""

with_and_without_key = pytest.mark.parametrize(
    ("recipient", "identity"), [(None, None), (RECIPIENT, IDENTITY)], ids=["plain", "encrypted"]
)


def open_files() -> set[str]:
    """What this process has open; pipes and sockets are told apart by their inodes."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed the others
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


@pytest.fixture(autouse=True)
def _no_thread_and_no_file_is_left() -> Iterator[None]:
    threads, files = set(threading.enumerate()), open_files()
    yield
    # What other tests of this process left may end meanwhile: only new ones are leaks.
    assert set(threading.enumerate()) <= threads
    assert open_files() <= files


def encode(data: bytes, recipient: str | None, *, step: int = 65_536) -> bytes:
    out = io.BytesIO()
    with encoding(out, recipient) as plain:
        for start in range(0, len(data), step):
            plain.write(data[start : start + step])
    return out.getvalue()


def decode(encoded: bytes, identity: bytes | None, *, step: int = 65_536) -> bytes:
    with decoding(io.BytesIO(encoded), identity) as plain:
        return b"".join(iter(lambda: plain.read(step), b""))


class Short:
    """Gives what it has in pieces of the lengths wanted."""

    def __init__(self, data: bytes, lengths: list[int]) -> None:
        self._file = io.BytesIO(data)
        self._lengths = lengths or [65_536]
        self._turn = 0

    def read(self, size: int = -1, /) -> bytes:
        self._turn += 1
        length = self._lengths[self._turn % len(self._lengths)]
        return self._file.read(min(length, size))


class Failing:
    """Works for so many bytes."""

    def __init__(self, works_for: int) -> None:
        self._left = works_for
        self.calls_after = 0

    def _count(self, size: int) -> None:
        if self._left < 0:
            self.calls_after += 1
        self._left -= size
        if self._left < 0:
            raise StorageError("The disk is full.")

    def write(self, data: bytes, /) -> int:
        self._count(len(data))
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        self._count(size)
        return self._data.read(size)

    _data = io.BytesIO()

    def over(self, data: bytes) -> Failing:
        self._data = io.BytesIO(data)
        return self


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=3000) | st.integers(0, 300_000).map(bytes), max_size=6),
    is_encrypted=st.booleans(),
    lengths=st.lists(st.integers(1, 70_000), max_size=4),
    sizes=st.lists(st.integers(1, 200_000), min_size=1, max_size=4),
)
def test_whatever_goes_in_comes_out(
    pieces: list[bytes], is_encrypted: bool, lengths: list[int], sizes: list[int]
) -> None:
    out = io.BytesIO()
    with encoding(out, RECIPIENT if is_encrypted else None) as plain:
        for piece in pieces:
            plain.write(piece)
    source = Short(out.getvalue(), lengths)

    got = bytearray()
    with decoding(source, IDENTITY if is_encrypted else None) as plain_again:
        turn = 0
        while data := plain_again.read(sizes[turn % len(sizes)]):
            assert len(data) <= sizes[turn % len(sizes)]
            got += data
            turn += 1
        assert plain_again.read(1) == b""

    assert bytes(got) == b"".join(pieces)


@with_and_without_key
def test_long_streams(recipient: str | None, identity: bytes | None) -> None:
    data = os.urandom(LARGE) + bytes(LARGE)
    encoded = encode(data, recipient)

    assert len(encoded) < LARGE * 1.01
    assert decode(encoded, identity) == data
    with decoding(io.BytesIO(encoded), identity) as plain:
        assert plain.read() == data
    assert (b"age-encryption.org" in encoded) == (recipient is not None)


def test_counting() -> None:
    out = io.BytesIO()
    counting = Counting(out)
    with encoding(counting, RECIPIENT) as plain:
        plain.write(TEXT)

    assert counting.bytes == len(out.getvalue())
    assert counting.sha256 == hashlib.sha256(out.getvalue()).hexdigest()


@with_and_without_key
def test_every_cut_is_found(recipient: str | None, identity: bytes | None) -> None:
    encoded = encode(TEXT, recipient)

    for length in range(len(encoded)):
        with pytest.raises((ArchiveDamagedError, NoIdentityError)):
            decode(encoded[:length], identity)


@with_and_without_key
@pytest.mark.parametrize("more", [b"\0", b"\n", b"x" * 100_000, "itself"])
def test_what_follows_the_end_is_found(
    recipient: str | None, identity: bytes | None, more: bytes | str
) -> None:
    encoded = encode(TEXT, recipient)

    with pytest.raises(ArchiveDamagedError):
        decode(encoded + (encoded if isinstance(more, str) else more), identity)


def test_every_flipped_bit_of_an_encrypted_stream_is_found() -> None:
    encoded = encode(TEXT, RECIPIENT)

    for changed in flipped(encoded):
        with pytest.raises((ArchiveDamagedError, WrongKeyError)):
            decode(changed, IDENTITY)


def test_every_flipped_bit_of_a_frame_is_found_or_changes_nothing() -> None:
    encoded = encode(TEXT, None)

    harmless = []
    for number, changed in enumerate(flipped(encoded)):
        try:
            decoded = decode(changed, None)
        except ArchiveDamagedError:
            continue
        assert decoded == TEXT
        harmless.append((number // 8, number % 8))

    # Bits that the format does not use, or whose values mean the same for this text: of the header,
    # the window's size. The hash of the file as a whole, which the catalogue has, covers these.
    assert {place for place, _ in harmless[:2]} <= {4, 5}
    assert len(harmless) <= 16


def flipped(data: bytes) -> Iterator[bytes]:
    for place in range(len(data)):
        for bit in range(8):
            yield data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]


@with_and_without_key
@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_a_flip_in_a_long_stream(
    recipient: str | None, identity: bytes | None, place: float
) -> None:
    encoded = bytearray(encode(os.urandom(LARGE), recipient))
    encoded[int(len(encoded) * place)] ^= 4

    with pytest.raises(ArchiveDamagedError):
        decode(bytes(encoded), identity)


def test_a_reader_that_goes_on_is_told_again() -> None:
    encoded = encode(os.urandom(LARGE), None)[:-1]
    with decoding(io.BytesIO(encoded), None) as plain:
        with pytest.raises(ArchiveDamagedError, match="cut"):
            plain.read()
        with pytest.raises(ArchiveDamagedError):
            plain.read(1)


def test_other_keys() -> None:
    encoded = encode(TEXT, RECIPIENT)

    with pytest.raises(WrongKeyError, match="another key"):
        decode(encoded, new_identity()[1])
    with pytest.raises(WrongKeyError, match="not a secret age key"):
        decode(encoded, b"\xff")
    with pytest.raises(NoIdentityError):
        decode(encoded, None)
    with pytest.raises(ArchiveDamagedError):
        decode(encode(TEXT, None), IDENTITY)
    with pytest.raises(InvalidInputError, match="public age key"), encoding(io.BytesIO(), "age1"):
        pass


def test_a_frame_that_wants_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    encoded = frame.compress(TEXT) + frame.flush()

    with pytest.raises(ArchiveDamagedError, match="memory"):
        decode(encoded, None)


@with_and_without_key
def test_a_consumer_that_stops(recipient: str | None, identity: bytes | None) -> None:
    encoded = encode(os.urandom(LARGE), recipient)

    with decoding(io.BytesIO(encoded), identity):
        pass
    with decoding(io.BytesIO(encoded), identity) as plain:
        assert plain.read(10)
    with pytest.raises(ZeroDivisionError), decoding(io.BytesIO(encoded), identity) as plain:
        raise ZeroDivisionError(plain.read(10))


@with_and_without_key
@pytest.mark.parametrize("size", [0, 10, LARGE])
def test_a_producer_that_raises(recipient: str | None, identity: bytes | None, size: int) -> None:
    out = io.BytesIO()
    with pytest.raises(ZeroDivisionError), encoding(out, recipient) as plain:
        raise ZeroDivisionError(plain.write(os.urandom(size)))

    with pytest.raises((ArchiveDamagedError, NoIdentityError)):
        decode(out.getvalue(), identity)


@with_and_without_key
@pytest.mark.parametrize("works_for", [0, 100, 300, 1_000_000, LARGE - 1])
def test_an_output_that_fails(
    recipient: str | None, identity: bytes | None, works_for: int
) -> None:
    out = Failing(works_for)
    data = os.urandom(LARGE)

    with pytest.raises(StorageError, match="The disk is full"):
        write_all(out, recipient, data)
    assert not out.calls_after


def write_all(out: Failing, recipient: str | None, data: bytes) -> None:
    with encoding(out, recipient) as plain:
        for start in range(0, len(data), 100_000):
            plain.write(data[start : start + 100_000])


@with_and_without_key
def test_an_output_that_fails_at_the_very_end(
    recipient: str | None, identity: bytes | None
) -> None:
    with pytest.raises(StorageError), encoding(Failing(1), recipient) as plain:
        plain.write(b"x")


@with_and_without_key
@pytest.mark.parametrize("works_for", [0, 100_000, 1_000_000])
def test_a_source_that_fails(recipient: str | None, identity: bytes | None, works_for: int) -> None:
    source = Failing(works_for).over(encode(os.urandom(LARGE), recipient))

    with (
        pytest.raises(StorageError, match="The disk is full"),
        decoding(source, identity) as plain,
    ):
        plain.read()
    assert not source.calls_after


MEMORY = """
import io, os, sys
from ops.archives.codec import decoding, encoding
from ops.archives.keys import new_identity

class Nowhere:
    def write(self, data):
        pass

def most():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024

recipient, identity = new_identity() if sys.argv[1] == "encrypted" else (None, None)
before = most()
noise, zeros, out = os.urandom(2**20), bytes(2**23), io.BytesIO()
with encoding(Nowhere(), recipient) as plain:
    for _ in range(256):
        plain.write(noise)
with encoding(out, recipient) as plain:
    for _ in range(128):
        plain.write(zeros)
out.seek(0)
with decoding(out, identity) as plain:
    assert sum(map(len, iter(lambda: plain.read(2**18), b""))) == 2**30
print(before, most())
"""


@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_memory_does_not_grow_with_the_stream(kind: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", MEMORY, kind],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    before, most = map(int, result.stdout.split())
    assert most - before < 60
    assert most < 180  # MiB, most of them the program itself


def test_other_threads_run_while_a_stream_waits() -> None:
    """Neither side may hold the interpreter's lock while it waits for the other."""
    waiting, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def write(self, data: object, /) -> int:
            waiting.set()
            assert go_on.wait(10)
            return super().write(data)  # type: ignore[arg-type]

    def other() -> None:
        if waiting.wait(10):
            go_on.set()

    thread = threading.Thread(target=other)
    thread.start()
    out = Slow()
    with encoding(out, RECIPIENT) as plain:
        assert sum(range(1_000_000))  # it waits for data
        plain.write(os.urandom(LARGE))  # it waits for the output, and we for it
    thread.join()

    assert len(decode(out.getvalue(), IDENTITY)) == LARGE


def test_a_passphrase() -> None:
    out = io.BytesIO()
    encrypt_with_passphrase(Short(TEXT, [7, 100]), out, "correct horse")

    assert pyrage.passphrase.decrypt(out.getvalue(), "correct horse") == TEXT
    with pytest.raises(pyrage.DecryptError):
        pyrage.passphrase.decrypt(out.getvalue(), "wrong horse")


def test_a_passphrase_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "PASSPHRASE_BYTES", 2**20)
    out = io.BytesIO()

    with pytest.raises(TooLargeError, match="larger than 1 MiB"):
        encrypt_with_passphrase(io.BytesIO(bytes(2**20 + 1)), out, "correct horse")
    with pytest.raises(InvalidInputError, match="passphrase"):
        encrypt_with_passphrase(io.BytesIO(b""), out, "")

    assert out.getvalue() == b""


def test_age_and_zstd_read_it(tmp_path: Path) -> None:
    age, zstd = shutil.which("age"), shutil.which("zstd")
    if age is None or zstd is None:
        pytest.skip("age and zstd are not installed")
    (tmp_path / "key").write_bytes(IDENTITY)
    data = TEXT * 10_000
    (tmp_path / "encoded").write_bytes(encode(data, RECIPIENT))

    frame = subprocess.run(
        [age, "--decrypt", "-i", tmp_path / "key", tmp_path / "encoded"],
        capture_output=True,
        check=True,
    ).stdout
    assert subprocess.run([zstd, "-d"], input=frame, capture_output=True).stdout == data

    made_by_hand = subprocess.run([zstd, "-19"], input=data, capture_output=True).stdout
    encrypted = subprocess.run(
        [age, "--encrypt", "-r", RECIPIENT], input=made_by_hand, capture_output=True
    ).stdout
    assert decode(encrypted, IDENTITY) == data


def test_errors_can_be_shown() -> None:
    for error in (ArchiveDamagedError(), WrongKeyError(), NoIdentityError(), TooLargeError()):
        assert isinstance(error, AppError)
        assert error.detail.endswith(".")
