"""Storage in a directory and in a bucket, each working and each failing."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from werkzeug.wrappers import Request, Response

from tests.ops.fleet import ROOT
from todo_app.config import ConfigError
from todo_app.storage import LEFT_BEHIND_AFTER, PART_BYTES, NotStoredError, Storage, StorageError

LARGE = 2 * PART_BYTES + 12_345
GIVEN_UP_AFTER = 15
"""Seconds in which a dead storage is reported."""

_numbers = itertools.count()


class S3:
    """An S3 server with a bucket. `fault` may answer a request in its place."""

    def __init__(self) -> None:
        self.fault: Callable[[Request], Response | None] = lambda request: None
        self.requests: list[str] = []
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.bucket = f"archives-{next(_numbers)}"
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="of-the-test",
        )
        self.client.create_bucket(Bucket=self.bucket)
        self.is_stopped = False
        self._werkzeug: Any = self._server._server
        self._app = self._werkzeug.app
        self._werkzeug.app = self._answer

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        self.requests.append(f"{request.method} {request.full_path}")
        answer = self.fault(request)
        if answer is None:
            return self._app(environ, start_response)
        request.get_data()  # else the client is cut off while it still sends
        return answer(environ, start_response)

    def stop(self) -> None:
        if not self.is_stopped:
            self.is_stopped = True
            self._server.stop()
            self._werkzeug.server_close()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    server = S3()
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-test")
    yield server
    server.client.close()
    server.stop()


@pytest.fixture(params=["directory", "bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "directory":
        return f"file://{tmp_path}/made/when%20needed"
    server: S3 = request.getfixturevalue("s3")
    return f"s3://{server.bucket}/under/here"


def write(storage: Storage, name: str, size: int = LARGE) -> bytes:
    piece = os.urandom(100_003)
    data = (piece * (size // len(piece) + 1))[:size]
    with storage.writing(name) as file:
        for start in range(0, size, 1_000_000):
            file.write(data[start : start + 1_000_000])
    return data


def read(storage: Storage, name: str) -> bytes:
    with storage.reading(name) as file:
        return b"".join(iter(lambda: file.read(77_777), b""))


PROGRAM = """
import os, sys, signal, resource
from todo_app.storage import LEFT_BEHIND_AFTER, NotStoredError, PART_BYTES, Storage, StorageError
storage = Storage(sys.argv[1])
def write(name, megabytes):
    with storage.writing(name) as file:
        for _ in range(megabytes):
            file.write(bytes(1_000_000))
"""


def in_process(url: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run code with a `storage`, and `write`, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM + code, url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def fail_in_the_middle(storage: Storage, name: str, size: int) -> None:
    with storage.writing(name) as file:
        file.write(bytes(size))
        raise ZeroDivisionError


def test_small_objects(url: str) -> None:
    storage = Storage(url)
    storage.put("a/b.json", b"one")
    storage.put("a/b.json", b"two")
    storage.put("empty", b"")

    assert storage.get("a/b.json") == b"two"
    assert storage.get("empty") == read(storage, "empty") == b""
    assert sorted(Storage(url).names()) == ["a/b.json", "empty"]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, LARGE])
def test_streams(url: str, size: int) -> None:
    storage = Storage(url)

    data = write(storage, "set/acme.tar", size)

    assert storage.get("set/acme.tar") == data
    assert read(storage, "set/acme.tar") == data
    assert list(storage.names("set")) == ["set/acme.tar"]


def test_names_of_a_folder(url: str) -> None:
    storage = Storage(url)
    for name in ("a/1", "a/b/2", "ab/3", "c"):
        storage.put(name, b"")

    assert sorted(storage.names("a")) == ["a/1", "a/b/2"]
    assert list(storage.names("none")) == []


def test_delete(url: str) -> None:
    storage = Storage(url)
    for name in ("a/1", "a/2", "b"):
        storage.put(name, b"")

    storage.delete(["never", "a/1", "neither", "a/2", "nor/this"])
    storage.delete([])

    assert list(storage.names()) == ["b"]


def test_what_is_not_there(url: str) -> None:
    storage = Storage(url)

    with pytest.raises(NotStoredError, match=r"set/none\.tar is not in the storage"):
        storage.get("set/none.tar")
    with pytest.raises(NotStoredError), storage.reading("set/none.tar"):
        pass
    with pytest.raises(StorageError):
        storage.put("../outside", b"")


def test_nothing_is_there_before_the_end(url: str) -> None:
    storage = Storage(url)
    with storage.writing("set/acme.tar") as file:
        file.write(bytes(LARGE))
        assert list(storage.names()) == []
        with pytest.raises(NotStoredError):
            storage.get("set/acme.tar")

    assert list(storage.names()) == ["set/acme.tar"]


@pytest.mark.parametrize("size", [10, LARGE])
def test_nothing_is_left_of_a_block_that_raises(url: str, size: int) -> None:
    storage = Storage(url)
    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle(storage, "set/acme.tar", size)

    assert list(storage.names()) == []
    assert write(storage, "set/acme.tar") == storage.get("set/acme.tar")


def test_what_was_there_stays_when_its_replacement_fails(url: str) -> None:
    storage = Storage(url)
    storage.put("set/acme.tar", b"before")
    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle(storage, "set/acme.tar", LARGE)

    assert storage.get("set/acme.tar") == b"before"


def test_nothing_is_listed_after_a_kill(url: str) -> None:
    killed = in_process(
        url,
        f"""
with storage.writing("set/acme.tar") as file:
    for _ in range({LARGE} // 1_000_000):
        file.write(bytes(1_000_000))
    os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    storage = Storage(url)
    assert list(storage.names()) == []
    assert write(storage, "set/acme.tar") == storage.get("set/acme.tar")
    assert list(storage.names()) == ["set/acme.tar"]


def test_sweep_removes_what_was_left_behind(tmp_path: Path) -> None:
    storage = Storage(f"file://{tmp_path}")
    storage.put("set/acme.tar", b"whole")
    old, new = tmp_path / "set" / "acme.tar#1", tmp_path / "set" / "globex.tar#1"
    old.write_bytes(b"half")
    new.write_bytes(b"being written")
    long_ago = time.time() - (LEFT_BEHIND_AFTER + timedelta(minutes=1)).total_seconds()
    os.utime(old, (long_ago, long_ago))
    os.utime(tmp_path / "set" / "acme.tar", (long_ago, long_ago))

    assert list(storage.names()) == ["set/acme.tar"]
    assert storage.sweep() == 1
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "acme.tar",
        "globex.tar#1",
    ]


def test_sweep_leaves_a_bucket_alone(s3: S3) -> None:
    assert Storage(f"s3://{s3.bucket}").sweep() == 0


def test_large_objects_go_to_a_bucket_in_parts(s3: S3) -> None:
    storage = Storage(f"s3://{s3.bucket}/under/here")

    write(storage, "acme.tar")

    parts = [line for line in s3.requests if "partNumber" in line]
    assert len(parts) == 3
    assert (
        s3.client.head_object(Bucket=s3.bucket, Key="under/here/acme.tar")["ContentLength"] == LARGE
    )


def test_requests_are_tried_again(s3: S3) -> None:
    storage = Storage(f"s3://{s3.bucket}")
    failures = {"POST": 1, "PUT": 2, "GET": 1, "HEAD": 1}

    def fail_at_first(request: Request) -> Response | None:
        failures[request.method] = left = failures.get(request.method, 0) - 1
        return Response("busy", 503) if left >= 0 else None

    s3.fault = fail_at_first

    assert write(storage, "acme.tar") == read(storage, "acme.tar")
    assert max(failures.values()) < 0


def test_an_upload_that_dies_in_the_middle(s3: S3) -> None:
    storage = Storage(f"s3://{s3.bucket}")
    s3.fault = lambda request: (
        Response("gone", 503) if request.args.get("partNumber") == "2" else None
    )

    with pytest.raises(StorageError, match=r"Cannot write set/acme\.tar to the storage: .*503"):
        write(storage, "set/acme.tar")

    s3.fault = lambda request: None
    assert list(storage.names()) == []
    assert write(storage, "set/acme.tar") == storage.get("set/acme.tar")


def test_an_upload_that_is_not_completed(s3: S3) -> None:
    storage = Storage(f"s3://{s3.bucket}")
    s3.fault = lambda request: (
        Response("gone", 500) if request.method == "POST" and "uploadId" in request.args else None
    )

    with pytest.raises(StorageError):
        write(storage, "acme.tar")

    assert list(storage.names()) == []


def test_a_server_that_goes_in_the_middle(s3: S3) -> None:
    storage = Storage(f"s3://{s3.bucket}")
    data = write(storage, "there.tar")
    started = time.monotonic()
    with storage.reading("there.tar") as file:
        assert file.read(1000) == data[:1000]
        with pytest.raises(StorageError, match=r"Cannot write acme\.tar"):
            go_in_the_middle(s3, storage, "acme.tar")
        with pytest.raises(StorageError, match=r"Cannot read there\.tar"):
            file.read()
    assert time.monotonic() - started < 2 * GIVEN_UP_AFTER

    with pytest.raises(StorageError, match=r"Cannot list the storage"):
        list(storage.names())
    with pytest.raises(StorageError, match=r"Cannot read there\.tar from the storage"):
        storage.get("there.tar")
    with pytest.raises(StorageError, match="Cannot delete from the storage"):
        storage.delete(["there.tar"])


def go_in_the_middle(s3: S3, storage: Storage, name: str) -> None:
    with storage.writing(name) as file:
        file.write(bytes(LARGE))
        s3.stop()
        file.write(bytes(LARGE))


def test_an_object_that_is_deleted_while_it_is_read(url: str) -> None:
    storage = Storage(url)
    write(storage, "acme.tar")
    with storage.reading("acme.tar") as file:
        file.read(1)
        storage.delete(["acme.tar"])
        with pytest.raises(NotStoredError):
            file.read()


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_a_dead_endpoint(s3: S3, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    storage = Storage("s3://bucket/prefix")
    started = time.monotonic()

    with pytest.raises(StorageError) as raised:
        storage.put("a", b"")

    assert time.monotonic() - started < GIVEN_UP_AFTER
    assert raised.value.status == 503
    assert "\n" not in raised.value.detail
    assert "of-the-test" not in raised.value.detail


def test_a_bucket_that_does_not_exist(s3: S3) -> None:
    storage = Storage("s3://none-of-ours")

    for use in (
        lambda: storage.put("a", b""),
        lambda: storage.get("a"),
        lambda: list(storage.names()),
        lambda: storage.delete(["a"]),
        lambda: write(storage, "a"),
    ):
        with pytest.raises(StorageError, match="it answers NoSuchBucket: The specified bucket"):
            use()


def test_no_rights_in_a_bucket(s3: S3) -> None:
    storage = Storage(f"s3://{s3.bucket}")
    s3.fault = lambda request: Response(
        "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", 403
    )

    for use in (
        lambda: storage.put("a", b""),
        lambda: storage.get("a"),
        lambda: read(storage, "a"),
    ):
        with pytest.raises(StorageError, match=r"storage: "):
            use()


def test_no_credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    # Not the real one: on a machine in the cloud that has credentials.
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/none")
    started = time.monotonic()

    with pytest.raises(StorageError, match="no credentials in the environment"):
        Storage(f"s3://{s3.bucket}").put("a", b"")

    assert time.monotonic() - started < GIVEN_UP_AFTER


def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        storage = Storage(f"file://{disk}")
        storage.put("set/other.tar", b"there")
        for size in (5_000_000, LARGE):
            with pytest.raises(StorageError, match=r"Cannot write set/acme.tar .*No space left"):
                write(storage, "set/acme.tar", size)
        with pytest.raises(StorageError, match="No space left"):
            storage.put("set/acme.tar", bytes(5_000_000))

        assert list(storage.names()) == ["set/other.tar"]
        wait_for(lambda: [path.name for path in (disk / "set").iterdir()] == ["other.tar"])
        # A removed file keeps its room until the last thread has let go of it.
        wait_for(lambda: os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > 3_000_000)
        assert write(storage, "set/acme.tar", 1_000_000) == storage.get("set/acme.tar")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    result = in_process(
        url,
        """
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
for megabytes in 9, 40:
    try:
        write("set/acme.tar", megabytes)
    except StorageError as error:
        print(error.detail)
""",
    )

    assert result.stdout.count("Cannot write set/acme.tar to the storage:") == 2, result.stderr
    assert "File too large" in result.stdout
    assert list(Storage(url).names()) == []


def test_no_rights_in_a_directory(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    Storage(url).put("set/acme.tar", b"")
    for directory in (tmp_path, tmp_path / "set"):
        directory.chmod(0o500)
    result = in_process(
        url,
        """
if os.geteuid() == 0:
    os.setuid(65534)
for use in (
    lambda: storage.put("set/b", b""),
    lambda: storage.delete(["set/acme.tar"]),
    lambda: write("set/c", 20),
):
    try:
        use()
    except StorageError as error:
        print(error.detail)
""",
    )
    for directory in (tmp_path, tmp_path / "set"):
        directory.chmod(0o700)

    assert result.stdout.count("Permission denied") == 3, result.stdout + result.stderr
    assert list(Storage(url).names()) == ["set/acme.tar"]


def test_a_place_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="BACKUP_URL cannot be opened: Not a directory"):
        Storage(f"file://{tmp_path}/file/below")

    storage = Storage(f"file://{tmp_path}")
    with pytest.raises(StorageError):
        storage.put("file/below", b"")
    with pytest.raises(StorageError):
        write(storage, "file/below")
    assert list(storage.names()) == ["file"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/backups",
        "file://host/dir",
        "s3:bucket",
        "s3://",
        "memory:///",
        "https://example.com/bucket",
        "s3://key:se-cret@bucket/prefix",
        "s3://bucket?region=se-cret",
        "az://container/prefix",
    ],
)
def test_bad_urls(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ConfigError, match="BACKUP_URL") as raised:
        Storage(url)

    assert "\n" not in str(raised.value)
    assert "se-cret" not in str(raised.value)


def test_an_ended_upload_takes_nothing(tmp_path: Path) -> None:
    storage = Storage(f"file://{tmp_path}")
    with storage.writing("acme.tar") as file:
        file.write(b"1")
    with pytest.raises(StorageError, match="The upload has ended"):
        file.write(b"2")

    assert storage.get("acme.tar") == b"1"


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
