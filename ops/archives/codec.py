"""Compression and encryption of streams of any length, in bounded memory.

The formats are zstd's and age's own. pyrage pulls and pushes by itself, so it runs in a thread with
a pipe between; its errors are raised where the stream is written or read, and it ends with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from typing import Any, Protocol, Self

import pyrage
import zstandard
from pyrage.x25519 import Identity, Recipient

from ops.archives.copying import Readable
from ops.archives.errors import ArchiveDamagedError, NoIdentityError, TooLargeError, WrongKeyError
from ops.archives.keys import NO_MATCH
from todo_app.errors import InvalidInputError, first_line

LEVEL = 2
"""A tenth faster than 3, for three hundredths more bytes."""
WINDOW_BYTES = 8 * 1024 * 1024
"""Most that a frame may want of our memory; ours want 2 MiB."""
AGE_MAGIC = b"age-encryption.org/v1"

READ_BYTES = 64 * 1024
PIPE_BYTES = 1024 * 1024
"""So that neither end of a pipe waits for the other all the time."""
STEP_BYTES = 256
"""What is decompressed at once. Zeros come out 32,768 times as long: 8 MiB."""

PASSPHRASE_BYTES = 64 * 1024 * 1024
"""Largest file that can be encrypted with a passphrase: pyrage does so in memory only."""


class Writable(Protocol):
    """Something to write bytes to."""

    def write(self, data: bytes, /) -> object:
        """Take all of them."""


class Counting:
    """Passes on what is written, and knows how many bytes and which hash that makes."""

    def __init__(self, out: Writable) -> None:
        self._out = out
        self._hash = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Hash of all that was written, in hexadecimal digits."""
        return self._hash.hexdigest()

    def write(self, data: bytes, /) -> int:
        """Take all of `data`."""
        self._out.write(data)
        self._hash.update(data)
        self.bytes += len(data)
        return len(data)


@contextmanager
def encoding(out: Writable, recipient: str | None) -> Iterator[Writable]:
    """Compress, and encrypt, what is written.

    Args:
        out: where it goes; written to in another thread until the block ends, and not closed. Only
            if the block ends without an error is it whole.
        recipient: public age key that may read it; None leaves it unencrypted.

    Raises:
        InvalidInputError: the recipient is no public age key.
        Exception: whatever `out` raises, as it is.
    """
    if recipient is None:
        with _compressing(out) as plain:
            yield plain
        return
    try:
        recipients = [Recipient.from_str(recipient)]
    except pyrage.RecipientError:
        raise InvalidInputError("The recipient is not a public age key.") from None

    with _Encrypting(out, recipients) as pipe, _compressing(pipe) as plain:
        yield plain


@contextmanager
def decoding(source: Readable, identity: bytes | None) -> Iterator[Readable]:
    """The reverse of `encoding`.

    Only what has been read to its end, where `read` returns nothing, is known to be whole.

    Args:
        source: read in another thread until that end or the end of the block, and not closed.
        identity: secret age key; None for what is not encrypted.

    Raises:
        ArchiveDamagedError: it is cut, changed, or followed by something.
        WrongKeyError: it is encrypted for another key.
        NoIdentityError: it is encrypted, and there is no key.
        Exception: whatever `source` raises, as it is.
    """
    if identity is None:
        yield _Decompressing(source)
        return
    try:
        identities = [Identity.from_str(identity.decode())]
    except (pyrage.IdentityError, UnicodeError):
        raise WrongKeyError("This is not a secret age key.") from None
    with _Decrypting(source, identities) as pipe:
        yield _Decompressing(pipe)


def encrypt_with_passphrase(source: Readable, out: Writable, passphrase: str) -> None:
    """Encrypt for somebody who has no key, with a passphrase (age's scrypt).

    It takes about a second of a processor, and 256 MiB or more of memory, whatever the size: that
    is what makes guessing expensive.

    Raises:
        TooLargeError: there is more than PASSPHRASE_BYTES to encrypt; nothing was written.
        InvalidInputError: the passphrase is empty.
    """
    if not passphrase:
        raise InvalidInputError("A passphrase is needed.")
    data = bytearray()
    while more := source.read(READ_BYTES):
        data += more
        if len(data) > PASSPHRASE_BYTES:
            raise TooLargeError(
                f"It is larger than {PASSPHRASE_BYTES // 2**20} MiB, which is the most that can be"
                " encrypted with a passphrase."
            )
    out.write(pyrage.passphrase.encrypt(bytes(data), passphrase))


@contextmanager
def _compressing(out: Writable) -> Iterator[Writable]:
    stream = _Compressing(out)
    yield stream
    stream.end()


class _Compressing:
    """A zstd frame in the making."""

    def __init__(self, out: Writable) -> None:
        self._out = out
        self._zstd = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()

    def write(self, data: bytes, /) -> int:
        self._pass_on(self._zstd.compress(data))
        return len(data)

    def end(self) -> None:
        self._pass_on(self._zstd.flush())

    def _pass_on(self, data: bytes) -> None:
        if data:
            self._out.write(data)


class _Decompressing:
    """What is in a single zstd frame, which has to be all that the source has."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._zstd = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).decompressobj()
        self._compressed = memoryview(b"")
        self._plain = memoryview(b"")
        self._has_begun = False
        self._has_failed = False

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(READ_BYTES), b""))
        if self._has_failed:
            raise ArchiveDamagedError
        self._has_failed = True
        while not self._plain and not self._zstd.eof:
            self._plain = memoryview(self._decompress_some())
        self._has_failed = False
        data = bytes(self._plain[:size])
        self._plain = self._plain[size:]
        return data

    def _decompress_some(self) -> bytes:
        if not self._compressed:
            self._compressed = memoryview(self._source.read(READ_BYTES))
            self._check_beginning()
        step, self._compressed = self._compressed[:STEP_BYTES], self._compressed[STEP_BYTES:]
        if not step:
            raise ArchiveDamagedError("The archive has been cut.")
        try:
            data = self._zstd.decompress(step)
        except zstandard.ZstdError as error:
            raise ArchiveDamagedError(f"The archive is damaged: {first_line(error)}") from None
        if self._zstd.eof and (
            self._zstd.unused_data or self._compressed or self._source.read(READ_BYTES)
        ):
            raise ArchiveDamagedError("Something follows the end of the archive.")
        return data

    def _check_beginning(self) -> None:
        first = bytes(self._compressed[: len(AGE_MAGIC)])
        if not self._has_begun and first and AGE_MAGIC.startswith(first):
            raise NoIdentityError("The archive is encrypted, and its key is not known.")
        self._has_begun = True


class _Keeping:
    """A stream that remembers its first error: pyrage rewords some and loses others."""

    def __init__(self, stream: Readable | Writable) -> None:
        self._stream: Any = stream
        self.error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        data: bytes = self._keep(self._stream.read, size)
        return data

    def write(self, data: bytes, /) -> int:
        self._keep(self._stream.write, data)
        return len(data)

    def flush(self) -> None:
        """pyrage asks for it; what the stream holds back is its own matter."""

    def _keep(self, call: Callable[[Any], Any], argument: object) -> Any:
        if self.error is not None:
            raise self.error
        try:
            return call(argument)
        except BaseException as error:
            self.error = error
            raise


class _Age:
    """pyrage in a thread, at one end of a pipe; the other end is ours.

    Leaving the block ends the thread, whatever it is doing.
    """

    def __init__(self, stream: Readable | Writable) -> None:
        self._stream = _Keeping(stream)
        reader, writer = os.pipe()
        with suppress(OSError, AttributeError):  # not on every system, and not above its limit
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._reader, self._writer = FileIO(reader, "rb"), FileIO(writer, "wb")
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="age", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except RuntimeError:
            self._reader.close()
            self._writer.close()
            raise
        return self

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._failure = error

    def _work(self) -> None:
        raise NotImplementedError


class _Encrypting(_Age):
    """What is written here goes to a stream, encrypted."""

    def __init__(self, out: Writable, recipients: Sequence[Recipient]) -> None:
        super().__init__(out)
        self._recipients = recipients
        self._is_given_up = False

    def _work(self) -> None:
        with self._reader:
            pyrage.encrypt_io(self, self._stream, self._recipients)

    def read(self, size: int) -> bytes:
        """What pyrage is to encrypt next."""
        data = self._reader.read(size)
        if not data and self._is_given_up:
            raise OSError("given up")
        return data

    def write(self, data: bytes, /) -> int:
        """Take all of `data`."""
        left = memoryview(data)
        try:
            while left:
                left = left[self._writer.write(left) :]
        except BrokenPipeError:
            self._end()
            raise
        return len(data)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._end()
            return
        self._is_given_up = True
        self._writer.close()
        self._thread.join()

    def _end(self) -> None:
        """Wait for the thread, and raise what went wrong there."""
        self._writer.close()
        self._thread.join()
        failure = self._stream.error or self._failure
        if failure is not None:
            raise failure


class _Decrypting(_Age):
    """What is read here comes from a stream, decrypted."""

    def __init__(self, source: Readable, identities: Sequence[Identity]) -> None:
        super().__init__(source)
        self._identities = identities

    def _work(self) -> None:
        with self._writer:
            pyrage.decrypt_io(self._stream, self, self._identities)

    def write(self, data: bytes) -> int:
        """Take some of what pyrage has decrypted."""
        return self._writer.write(data)

    def flush(self) -> None:
        """pyrage asks for it; a pipe holds nothing back."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; none at the end, if all was well up to there."""
        data = self._reader.read(size)
        if not data:
            self._thread.join()
            self._check()
        return data

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._thread.join()

    def _check(self) -> None:
        if self._stream.error is not None:
            raise self._stream.error
        if self._failure is None:
            return
        if NO_MATCH in str(self._failure):
            raise WrongKeyError("The archive is encrypted for another key.")
        raise ArchiveDamagedError(f"The archive is damaged: {first_line(self._failure)}")
