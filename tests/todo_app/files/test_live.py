"""Uploads as servers see them: lengths that lie, clients that vanish, a server that is killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import pytest
from flask import Flask

from ops.local.files import free_port
from ops.roles import command
from tests.factories import Company, register, wait_until
from tests.live import ROOT, gunicorn
from tests.todo_app.files.kit import files_of_task, in_pieces, objects

MIB = 1024 * 1024

Begin = Callable[..., http.client.HTTPConnection]


@pytest.fixture(scope="module")
def url(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gunicorn({**environment, "POOL_SIZE": "2"}, tmp_path_factory.mktemp("api")) as url:
        yield url


@pytest.fixture
def company(app: Flask) -> Company:
    return register(app.test_client(), "Live")


@pytest.fixture
def path(company: Company) -> str:
    return files_of_task(company)


@pytest.fixture
def begin(company: Company, path: str) -> Iterator[Begin]:
    """Sends the head of an upload."""
    with ExitStack() as stack:

        def send_head(url: str, **headers: str) -> http.client.HTTPConnection:
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
            stack.enter_context(closing(connection))
            connection.putrequest("POST", f"{path}?name=a.bin")
            for name, value in {**company.headers, **headers}.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            return connection

        yield send_head


def nothing_is_left(app: Flask, company: Company, path: str) -> bool:
    return company.get(path).json["total"] == 0 and objects(app, company.slug) == set()


def hang_up(connection: http.client.HTTPConnection) -> None:
    connection.sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("sent", [0, 10, 3 * MIB])
def test_a_body_that_is_shorter_than_it_says_is_not_taken(
    app: Flask, url: str, begin: Begin, company: Company, path: str, sent: int
) -> None:
    length = 200 if sent < 200 else 4 * MIB
    connection = begin(url, Content_Length=str(length))
    connection.send(b"x" * sent)
    hang_up(connection)
    answer = connection.getresponse()
    assert answer.status == 400
    assert json.loads(answer.read())["type"].endswith("incomplete-body")
    assert nothing_is_left(app, company, path)


def test_a_body_that_ends_in_the_middle_of_a_chunk_is_not_taken(
    app: Flask, url: str, begin: Begin, company: Company, path: str
) -> None:
    connection = begin(url, Transfer_Encoding="chunked")
    connection.send(b"100000\r\n" + b"x" * 1000)
    hang_up(connection)
    assert connection.getresponse().status == 400
    assert nothing_is_left(app, company, path)


def test_a_body_that_is_longer_than_it_says_is_cut_there(
    url: str, begin: Begin, company: Company, path: str
) -> None:
    connection = begin(url, Content_Length="5")
    connection.send(b"12345" + b"6" * 1000)
    answer = connection.getresponse()
    assert answer.status == 201
    assert json.loads(answer.read())["size"] == 5


def test_what_says_that_it_is_too_large_is_refused_unread(
    app: Flask, url: str, begin: Begin, company: Company, path: str
) -> None:
    connection = begin(url, Content_Length=str(10**12))
    began = time.monotonic()
    assert connection.getresponse().status == 413
    assert time.monotonic() - began < 5
    assert nothing_is_left(app, company, path)


def test_chunks_without_a_length_are_taken(
    url: str, begin: Begin, company: Company, path: str
) -> None:
    content = os.urandom(3 * MIB)
    connection = begin(url, Transfer_Encoding="chunked")
    for piece in in_pieces(content, 100_000):
        connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    connection.send(b"0\r\n\r\n")
    answer = connection.getresponse()
    file = json.loads(answer.read())
    assert (answer.status, file["size"]) == (201, len(content))
    where = f"{path}/{file['uuid']}/content"
    connection.request("GET", where, headers={**company.headers, "Range": "bytes=1000000-"})
    part = connection.getresponse()
    assert (part.status, part.read()) == (206, content[1_000_000:])
    assert part.headers["Content-Length"] == str(len(content) - 1_000_000)


def test_slow_senders_hold_up_nobody(url: str, begin: Begin, company: Company, path: str) -> None:
    """More of them than there are connections to the database, and places in the line."""
    slow = [begin(url, Content_Length=str(2 * MIB)) for _ in range(8)]
    for connection in slow:
        connection.send(b"x" * 1000)
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)) as quick:
        quick.request("GET", path, headers=company.headers)
        assert quick.getresponse().status == 200
    rest = b"x" * (2 * MIB - 1000)

    def finish(connection: http.client.HTTPConnection) -> int:
        connection.send(rest)
        return connection.getresponse().status

    with ThreadPoolExecutor(len(slow)) as pool:
        assert list(pool.map(finish, slow)) == [201] * len(slow)


def test_a_server_that_is_killed_in_the_middle_leaves_nothing(
    app: Flask, environment: dict[str, str], begin: Begin, company: Company, path: str
) -> None:
    port = free_port()
    own = {**environment, "BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1"}
    server = subprocess.Popen(command("api", own), env=own, cwd=ROOT, start_new_session=True)
    try:
        wait_until(lambda: is_open(port), 60)
        connection = begin(f"http://127.0.0.1:{port}", Content_Length=str(8 * MIB))
        connection.send(b"x" * (4 * MIB))
    finally:
        # The workers, too.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        connection.getresponse()
    assert nothing_is_left(app, company, path)
    assert company.get("/files/usage").json["used_bytes"] == 0


def is_open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
