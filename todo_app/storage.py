"""Where archives and attachments lie: a directory, or a bucket of S3, Google Cloud or Azure."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, from_url

from todo_app.config import ConfigError
from todo_app.errors import NotFoundError, UnavailableError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore import WritableFile
    from obstore.store import ClientConfig, RetryConfig

SCHEMES = ("file", "s3", "gs", "az")

PART_BYTES = 8 * 1024 * 1024
"""What is sent at once. A store takes at most 10,000 parts: an archive may have 78 GiB."""
PARTS_AT_ONCE = 2
READ_BYTES = 4 * 1024 * 1024
NAMES_AT_ONCE = 1000

# The scheme of an endpoint is what its operator wrote: http is for a store nearby. A stream ends
# with the request that it comes from, hence the long timeout: it is for one part, not a file.
CLIENT: ClientConfig = {
    "allow_http": True,
    "connect_timeout": timedelta(seconds=3),
    "timeout": timedelta(seconds=60),
}
RETRIES: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=8),
    "backoff": {
        "init_backoff": timedelta(milliseconds=200),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}

HALF_WRITTEN = re.compile(r"#\d+$")
"""What obstore calls a file in a directory until it is whole; it does not list these."""
LEFT_BEHIND_AFTER = timedelta(days=2)

CREDENTIAL_SERVICES = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
"""Where a store looks for credentials when nothing in the environment has them."""
REASON_LENGTH = 400

FAULTS = (BaseError, OSError, ValueError)
"""What obstore raises; ValueError is for a name that no store takes."""


class StorageError(UnavailableError):
    """The storage does not do what it was asked; the text says why, as it worded it."""

    code = "storage-away"
    detail = "The storage cannot be used."


class NotStoredError(NotFoundError):
    """The storage has nothing of this name."""

    code = "not-stored"
    detail = "This is not in the storage."


class Storage:
    """A place for objects. Make it in the process that uses it: it does not survive a fork.

    Args:
        url: `file:///directory`, which is made if need be, `s3://bucket/prefix`,
            `gs://bucket/prefix` or `az://account/container/prefix`. Credentials and addresses come
            from the store's own variables, such as AWS_ACCESS_KEY_ID.
        setting: the setting that it comes from, for errors.

    Raises:
        ConfigError: this is no URL of a storage, or what it needs besides is not set.
        StorageError: the directory cannot be made.
    """

    def __init__(self, url: str, setting: str = "BACKUP_URL") -> None:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ConfigError(
                f"{setting} must be file:///directory, s3://bucket/prefix, gs://bucket/prefix"
                " or az://account/container/prefix"
            )
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigError(
                f"{setting} must have no user, query or fragment: the storage reads credentials"
                " from its own variables, such as AWS_ACCESS_KEY_ID"
            )
        try:
            if parts.scheme == "file":
                # What is in archives is for nobody else on this machine.
                Path(unquote(parts.path)).mkdir(mode=0o700, parents=True, exist_ok=True)
                self._store = from_url(url, automatic_cleanup=True)
            else:
                self._store = from_url(url, client_options=CLIENT, retry_config=RETRIES)
        except OSError as error:
            raise StorageError(
                f"{setting} cannot be opened: {error.strerror or _reason(error)}"
            ) from error
        except (BaseError, ValueError) as error:
            raise ConfigError(f"{setting} cannot be used: {_reason(error)}") from None
        self._directory = self._store.prefix if isinstance(self._store, LocalStore) else None

    @contextmanager
    def writing(self, name: str) -> Iterator[Upload]:
        """Write an object, piece by piece.

        It is in place, whole and durable, when the block ends. If the block raises, or the process
        dies, there is nothing. (A bucket keeps the parts of such an upload out of sight until its
        own rule for incomplete uploads removes them.)

        Raises:
            StorageError: it cannot be written; the text says why.
        """
        doing = f"write {name} to"
        with _faults(doing):
            upload = Upload(
                obstore.open_writer(
                    self._store, name, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
                ),
                doing,
            )
        try:
            yield upload
            upload._finish()
        finally:
            upload._let_go()
        self._make_durable(name, doing)

    def put(self, name: str, data: bytes) -> None:
        """Write a small object at once; one of this name is replaced.

        Raises:
            StorageError: it cannot be written.
        """
        doing = f"write {name} to"
        with _faults(doing):
            obstore.put(self._store, name, data, use_multipart=False)
        self._make_durable(name, doing)

    def create(self, name: str, data: bytes) -> bool:
        """Write a small object, unless there is one of this name.

        Returns:
            Whether it was written.

        Raises:
            StorageError: it cannot be written.
        """
        doing = f"write {name} to"
        with _faults(doing):
            try:
                obstore.put(self._store, name, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        self._make_durable(name, doing)
        return True

    def get(self, name: str) -> bytes:
        """Read a small object at once.

        Raises:
            NotStoredError: there is none of this name.
            StorageError: it cannot be read.
        """
        with _faults(f"read {name} from", name):
            return bytes(obstore.get(self._store, name).bytes())

    def part(self, name: str, start: int, length: int) -> bytes:
        """Read a part of an object, at least one byte long, at once.

        Raises:
            NotStoredError: there is none of this name.
            StorageError: it cannot be read, or is shorter.
        """
        with _faults(f"read {name} from", name):
            data = bytes(obstore.get_range(self._store, name, start=start, length=length))
        if len(data) != length:
            raise StorageError(f"{name} is shorter in the storage than it was.")
        return data

    def size(self, name: str) -> int:
        """Bytes of an object.

        Raises:
            NotStoredError: there is none of this name.
            StorageError: the storage does not answer.
        """
        with _faults(f"read {name} from", name):
            return int(obstore.head(self._store, name)["size"])

    def copy(self, name: str, to: str) -> None:
        """Copy an object within the storage; one of the new name is replaced.

        Raises:
            NotStoredError: there is none of this name.
            StorageError: it cannot be copied.
        """
        doing = f"copy {name} in"
        with _faults(doing, name):
            obstore.copy(self._store, name, to)
        self._make_durable(to, doing)

    @contextmanager
    def reading(self, name: str) -> Iterator[IO[bytes]]:
        """Read an object, piece by piece.

        Raises:
            NotStoredError: there is none of this name.
            StorageError: it cannot be read, now or by the time its end is asked for.
        """
        with _faults(f"read {name} from", name):
            size = obstore.head(self._store, name)["size"]
        pieces = _Pieces(self, name, size)
        with closing(io.BufferedReader(pieces, READ_BYTES)) as file:
            yield file

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names of all objects that are whole, or of those in a folder, in no order.

        Raises:
            StorageError: they cannot be listed.
        """
        with _faults("list"):
            for some in obstore.list(self._store, prefix or None, chunk_size=NAMES_AT_ONCE):
                for found in some:
                    yield found["path"]

    def stored_before(self, prefix: str, moment: datetime) -> Iterator[str]:
        """Names of the whole objects in a folder that are older than a moment, in no order.

        Raises:
            StorageError: they cannot be listed.
        """
        with _faults("list"):
            for some in obstore.list(self._store, prefix, chunk_size=NAMES_AT_ONCE):
                for found in some:
                    if found["last_modified"] < moment:
                        yield found["path"]

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders that are right inside of another one.

        Raises:
            StorageError: they cannot be listed.
        """
        with _faults("list"):
            found = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
        return [each.rsplit("/", 1)[-1] for each in found]

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that do not exist are none to delete.

        Raises:
            StorageError: one cannot be deleted; others may be gone by then.
        """
        wanted = list(names)
        with _faults("delete from"):
            try:
                obstore.delete(self._store, wanted)
            except FileNotFoundError:
                # Some stores stop at the first name that does not exist.
                for name in wanted:
                    self._delete_if_there(name)

    def _delete_if_there(self, name: str) -> None:
        try:
            obstore.delete(self._store, name)
        except FileNotFoundError as error:
            if not _is_missing(error):
                raise

    def sweep(self) -> int:
        """Remove what killed processes have left half-written in a directory.

        In a bucket, a rule of its own does this.

        Returns:
            How many files.

        Raises:
            StorageError: one cannot be removed.
        """
        if self._directory is None:
            return 0
        before = time.time() - LEFT_BEHIND_AFTER.total_seconds()
        swept = 0
        with _faults("tidy"):
            for path in self._directory.rglob("*#*"):
                # One that is being written may be put in place meanwhile.
                with suppress(FileNotFoundError):
                    if HALF_WRITTEN.search(path.name) and path.stat().st_mtime < before:
                        path.unlink()
                        swept += 1
        return swept

    def _make_durable(self, name: str, doing: str) -> None:
        """Wait for the disk: a directory's files would not survive a power cut otherwise."""
        if self._directory is None:
            return
        with _faults(doing):
            path = self._directory / name
            for each in (path, path.parent):
                file = os.open(each, os.O_RDONLY)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)


class Upload:
    """An object that is being written."""

    def __init__(self, file: WritableFile, doing: str) -> None:
        self._file: WritableFile | None = file
        self._doing = doing

    def write(self, data: bytes, /) -> int:
        """Take all of `data`.

        Raises:
            StorageError: it cannot be written.
        """
        if self._file is None:
            raise StorageError("The upload has ended.")
        try:
            with _faults(self._doing):
                return self._file.write(data)
        except StorageError:
            self._let_go()
            raise

    def _finish(self) -> None:
        """Put the object in place."""
        if self._file is None:
            raise StorageError("The upload has ended.")
        with _faults(self._doing):
            self._file.close()

    def _let_go(self) -> None:
        """Give up what has not been put in place: obstore does so when nobody holds the file."""
        self._file = None


class _Pieces(io.RawIOBase):
    """An object, read by ranges: a request has an end before its timeout, and is tried again."""

    def __init__(self, storage: Storage, name: str, size: int) -> None:
        self._storage = storage
        self._name = name
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        wanted = min(len(view), self._size - self._position)
        if not wanted:
            return 0
        with _faults(f"read {self._name} from", self._name):
            data = obstore.get_range(
                self._storage._store, self._name, start=self._position, length=wanted
            )
        got = len(data)
        view[:got] = memoryview(data)
        self._position += got
        return got


@contextmanager
def _faults(doing: str, name: str | None = None) -> Iterator[None]:
    """Word what obstore raises; `name` is of an object that has to be there."""
    try:
        yield
    except FAULTS as error:
        if name is not None and isinstance(error, FileNotFoundError) and _is_missing(error):
            raise NotStoredError(f"{name} is not in the storage.") from None
        raise StorageError(f"Cannot {doing} the storage: {_reason(error)}") from error


def _is_missing(error: FileNotFoundError) -> bool:
    """Whether an object is missing, and not the place where it should be."""
    return not re.search("NoSuchBucket|ContainerNotFound|bucket does not exist", str(error))


def _reason(error: Exception) -> str:
    """The cause as the storage words it, in one line."""
    text = str(error).partition("\n\nDebug source:")[0]
    if any(service in text for service in CREDENTIAL_SERVICES):
        return (
            "there are no credentials in the environment"
            " (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or those of the store in use)"
        )
    said = re.search(r"<Code>([^<]*)</Code>\s*<Message>([^<]*)</Message>", text)
    if said:
        return f"it answers {said[1]}: {said[2]}"
    first = (text.strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\s+", " ", first)[:REASON_LENGTH]
