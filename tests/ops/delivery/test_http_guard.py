"""Requests to customers' URLs reach public addresses only, and end in time, whatever answers."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ops.delivery import http_guard
from ops.delivery.http_guard import Attempt, Failure
from tests.factories import wait_until
from tests.ops.delivery import receivers
from tests.ops.delivery.receivers import Authority, Receiver, answer, receiver
from todo_app.webhooks.addresses import Address

NAME = "hooks.example.com"
BODY = b'{"type":"task.created"}'
SHORT = 0.6
"""Seconds of a test's deadline."""
SLACK = 1.0
"""Seconds that a busy machine may take longer."""
LATE = b"HTTP/1.1 200 OK\r\n"


def is_loopback(address: Address) -> bool:
    return address.is_loopback


def to_loopback(name: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def post(port: int, scheme: str = "http", host: str = NAME, **options: Any) -> Attempt:
    given = {"is_allowed": is_loopback, "resolve": to_loopback, **options}
    return http_guard.post(f"{scheme}://{host}:{port}/in?a=1", BODY, {"webhook-id": "m1"}, **given)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


# The good path


def test_what_is_sent_and_what_is_kept() -> None:
    with receiver(answer("200 OK", b"thank you", Retry_After="7")) as server:
        attempt = post(server.port)
    assert attempt.is_accepted
    assert (attempt.status, attempt.failure, attempt.reason) == (200, None, "")
    assert (attempt.excerpt, attempt.retry_after, attempt.address) == (
        "thank you",
        "7",
        "127.0.0.1",
    )
    assert 0 < attempt.seconds < SLACK
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /in?a=1 HTTP/1.1"
    assert body == BODY
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers == {
        "Host": f"{NAME}:{server.port}",
        "User-Agent": http_guard.USER_AGENT,
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
        "Connection": "close",
        "Accept-Encoding": "identity",
        "webhook-id": "m1",
    }


def test_an_answer_in_chunks_is_read() -> None:
    start = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with receiver(receivers.answering(start, chunks)) as server:
        attempt = post(server.port)
    assert (attempt.status, attempt.excerpt) == (202, "abcde")


def test_the_next_address_is_tried_where_one_does_not_connect() -> None:
    with socket.socket() as refusing:  # its port is nobody else's, and it does not listen
        refusing.bind(("127.0.0.1", 0))
        port = refusing.getsockname()[1]
        with receiver(answer(), host="127.0.0.2", port=port):
            attempt = post(port, resolve=lambda *_: ["127.0.0.1", "127.0.0.2"])
    assert attempt.is_accepted
    assert attempt.address == "127.0.0.2"


def test_an_address_of_ipv6_is_connected_to() -> None:
    with receiver(answer(), host="::1") as server:
        assert post(server.port, resolve=lambda *_: ["::1"]).is_accepted
        assert post(server.port, host="[::1]").is_accepted
    assert f"Host: [::1]:{server.port}".encode() in server.requests[1]


# Private addresses


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%lo"],
        ["fd00:ec2::254"],
        ["64:ff9b::7f00:1"],
        ["93.184.216.34", "10.0.0.1"],
        ["2606:2800:220:1::1", "fd00::1"],
    ],
)
def test_a_name_with_an_address_that_is_not_public_is_refused(addresses: list[str]) -> None:
    with receiver(answer()) as server:
        attempt = http_guard.post(
            f"http://{NAME}:{server.port}/", BODY, {}, resolve=lambda *_: addresses
        )
    assert attempt.failure is Failure.REFUSED
    assert server.connections == 0
    assert not any(address in attempt.reason for address in addresses)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_spellings_of_a_private_address_are_refused(host: str) -> None:
    with receiver(answer()) as server:
        attempt = http_guard.post(f"http://{host}:{server.port}/", BODY, {})
    assert attempt.failure is Failure.REFUSED
    assert server.connections == 0


def test_a_name_is_looked_up_once_and_never_by_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    asked: list[str] = []
    real = socket.getaddrinfo

    def spy(host: str, *args: Any, **options: Any) -> Any:
        asked.append(host)
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", spy)
    with receiver(answer()) as server:
        attempt = post(server.port, resolve=lambda *_: next(answers))
    assert attempt.is_accepted
    assert attempt.address == "127.0.0.1"
    assert next(answers) == ["10.0.0.1"]
    assert [ipaddress.ip_address(host) for host in asked]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiver(answer()) as inside:
        there = f"http://127.0.0.1:{inside.port}/"
        with receiver(answer(f"{status} Elsewhere", Location=there)) as server:
            attempt = post(server.port)
    assert (attempt.status, attempt.is_accepted) == (status, False)
    assert "Redirects are not followed" in attempt.reason
    assert inside.connections == 0


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(answer()) as proxy, receiver(answer()) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
        assert post(server.port).is_accepted
    assert proxy.connections == 0


def test_a_name_without_an_address() -> None:
    def nothing(name: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert post(8080, resolve=nothing).failure is Failure.NAME
    assert post(8080, resolve=lambda *_: []).failure is Failure.NAME


def test_an_error_of_ours_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="no-address"):
        post(8080, resolve=lambda *_: ["no-address"])


def test_a_name_is_looked_up_without_search_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def spy(host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))
        return [stream, stream, (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", spy)
    assert http_guard.look_up(NAME, 443) == ["192.0.2.1", "::1"]
    assert asked == [f"{NAME}."]


# The deadline


def assert_in_time(attempt: Attempt) -> None:
    assert SHORT - 0.1 <= attempt.seconds < SHORT + SLACK


def assert_no_thread_left() -> None:
    wait_until(lambda: all(thread.name != "webhook" for thread in threading.enumerate()), 5)


def reads_and_says_nothing(server: Receiver, connection: socket.socket) -> None:
    server.requests.append(receivers.read_request(connection))
    server.over.wait(10)


@pytest.mark.parametrize(
    "behave",
    [
        receivers.silent,
        reads_and_says_nothing,
        receivers.dripping(b""),
        receivers.dripping(LATE + b"X-Long: "),
        receivers.dripping(LATE, b"X-More: 1\r\n"),
        receivers.dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silent", "reads", "drips", "drips-a-header", "drips-headers", "drips-continue"],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_answer_in_time(behave: receivers.Behaviour, scheme: str, authority: Authority) -> None:
    tls = authority.server(NAME) if scheme == "https" else None
    with receiver(behave, tls=tls) as server:
        started = time.monotonic()
        attempt = post(server.port, scheme, tls=authority.client(), total_seconds=SHORT)
        assert time.monotonic() - started < SHORT + SLACK
        assert behave in (receivers.silent, reads_and_says_nothing) or server.hung_up.wait(5)
        assert_no_thread_left()
    assert attempt.failure is Failure.TIMEOUT
    assert attempt.status is None
    assert_in_time(attempt)


def test_an_endless_rush_of_interim_answers_ends_in_time() -> None:
    flood = receivers.flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
    with receiver(flood) as server:
        attempt = post(server.port, total_seconds=SHORT)
        assert_no_thread_left()
    assert attempt.failure is Failure.TIMEOUT


def test_an_answer_without_end_of_headers_is_refused() -> None:
    with receiver(receivers.flooding(LATE, b"X-More: 1\r\n" * 100)) as server:
        attempt = post(server.port)
    assert attempt.failure is Failure.ANSWER


def test_a_handshake_that_never_ends() -> None:
    with receiver(receivers.silent) as server:
        attempt = post(server.port, "https", connect_seconds=0.3)
        assert attempt.failure is Failure.TIMEOUT
        assert attempt.seconds < 0.3 + SLACK
        attempt = post(server.port, "https", total_seconds=SHORT)
        assert_in_time(attempt)
        assert attempt.failure is Failure.TIMEOUT


def test_a_handshake_that_drips() -> None:
    def behave(server: Receiver, connection: socket.socket) -> None:
        connection.recv(65536)
        # The beginning of a record of 16,000 bytes.
        connection.sendall(b"\x16\x03\x03\x3e\x80")
        while not server.over.wait(0.05):
            connection.sendall(b"\x00")

    with receiver(behave) as server:
        attempt = post(server.port, "https", total_seconds=SHORT)
        assert_in_time(attempt)
        assert_no_thread_left()
    assert attempt.failure is Failure.TIMEOUT


def test_a_receiver_that_does_not_read() -> None:
    with receiver(receivers.silent) as server:
        attempt = http_guard.post(
            f"http://{NAME}:{server.port}/",
            b" " * 32_000_000,
            {},
            is_allowed=is_loopback,
            resolve=to_loopback,
            total_seconds=SHORT,
        )
        assert_in_time(attempt)
        assert_no_thread_left()
    assert attempt.failure is Failure.TIMEOUT


def test_a_connection_that_is_never_made() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            attempt = post(port, connect_seconds=0.3)
        finally:
            for each in waiting:
                each.close()
    assert attempt.failure is Failure.TIMEOUT
    assert attempt.reason == "No connection could be made in time."
    assert attempt.seconds < 0.3 + SLACK


def test_a_look_up_that_hangs_sends_nothing_later() -> None:
    go_on = threading.Event()

    def slowly(name: str, port: int) -> list[str]:
        go_on.wait(10)
        return ["127.0.0.1"]

    with receiver(answer()) as server:
        attempt = post(server.port, resolve=slowly, total_seconds=0.2)
        go_on.set()
        assert_no_thread_left()
    assert attempt.failure is Failure.TIMEOUT
    assert attempt.seconds < 0.2 + SLACK
    assert server.requests in ([], [b""])


def test_a_time_limit_of_the_worker_ends_the_exchange_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class LimitError(Exception):
        pass

    def broken_into(*_: Any) -> None:
        wait_until(lambda: bool(server.requests), 5)
        raise LimitError

    with receiver(receivers.dripping(b"")) as server:
        monkeypatch.setattr(http_guard, "wait", broken_into)
        with pytest.raises(LimitError):
            post(server.port)
        assert server.hung_up.wait(5)
        assert_no_thread_left()


# Answers


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_text_that_drips_does_not_undo_the_status(scheme: str, authority: Authority) -> None:
    start = LATE + b"Content-Length: 1000\r\n\r\nthank you"
    tls = authority.server(NAME) if scheme == "https" else None
    with receiver(receivers.dripping(start), tls=tls) as server:
        attempt = post(server.port, scheme, tls=authority.client(), total_seconds=SHORT)
        assert server.hung_up.wait(5)
    assert attempt.is_accepted
    assert attempt.excerpt.startswith("thank you")
    assert_in_time(attempt)


@pytest.mark.parametrize("length", [b"Content-Length: 10000000000\r\n", b""])
def test_of_a_huge_answer_the_beginning_is_read(length: bytes) -> None:
    sent = 0

    def behave(server: Receiver, connection: socket.socket) -> None:
        nonlocal sent
        server.requests.append(receivers.read_request(connection))
        connection.sendall(LATE + length + b"\r\n")
        while not server.over.is_set():
            sent += connection.send(b"y" * 65536)

    with receiver(behave) as server:
        attempt = post(server.port)
        assert server.hung_up.wait(5)
    assert attempt.is_accepted
    assert attempt.excerpt == "y" * 1000
    assert attempt.seconds < SLACK
    # What the buffers of two sockets hold, and no more.
    assert sent < 32_000_000


def test_a_packed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    with receiver(answer("200 OK", bomb, Content_Encoding="gzip")) as server:
        attempt = post(server.port)
    assert attempt.is_accepted
    assert attempt.excerpt == ""


def test_an_excerpt_can_be_shown_and_stored() -> None:
    text = "a\x00b\x1b[31mc\u202ed\r\né".encode() + b"\xff"
    with receiver(answer("500 Oops", text, Retry_After="1\x07" + "0" * 500)) as server:
        attempt = post(server.port)
    assert attempt.excerpt == "a b [31mc d \né\ufffd"
    assert attempt.reason == "The answer is 500 Internal Server Error."
    assert len(attempt.retry_after) == http_guard.MAX_HEADER_LENGTH


def test_a_status_that_nobody_knows() -> None:
    with receiver(answer("799 What")) as server:
        attempt = post(server.port)
    assert (attempt.status, attempt.reason) == (799, "The answer is 799.")


@pytest.mark.parametrize(
    ("sent", "failure"),
    [(b"SSH-2.0-OpenSSH_9.2\r\n", Failure.ANSWER), (b"", Failure.CONNECTION)],
)
def test_what_is_no_answer(sent: bytes, failure: Failure) -> None:
    with receiver(receivers.answering(sent)) as server:
        attempt = post(server.port)
    assert (attempt.failure, attempt.status) == (failure, None)


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        attempt = post(taken.getsockname()[1])
    assert attempt.failure is Failure.CONNECTION
    assert attempt.reason == "The connection failed: Connection refused."


# Certificates


def test_the_certificate_is_that_of_the_name(authority: Authority) -> None:
    asked: list[str] = []
    tls = authority.server(NAME)
    tls.sni_callback = lambda _, name, __: asked.append(str(name))
    with receiver(answer(), tls=tls) as server:
        attempt = post(server.port, "https", tls=authority.client())
    assert attempt.is_accepted
    assert asked == [NAME]
    assert f"Host: {NAME}:{server.port}".encode() in server.requests[0]


def test_the_certificate_of_an_address(authority: Authority) -> None:
    with receiver(answer(), tls=authority.server("127.0.0.1")) as server:
        attempt = post(server.port, "https", host="127.0.0.1", tls=authority.client())
    assert attempt.is_accepted


@pytest.mark.parametrize(("host", "days"), [("other.example.com", 1), ("127.0.0.1", 1), (NAME, -1)])
def test_another_certificate_is_not_accepted(host: str, days: int, authority: Authority) -> None:
    with receiver(answer(), tls=authority.server(host, days)) as server:
        attempt = post(server.port, "https", tls=authority.client())
    assert attempt.failure is Failure.TLS
    assert attempt.reason.startswith("The certificate is not accepted: ")
    assert server.requests == []


def test_a_certificate_of_nobody_known_is_not_accepted(
    authority: Authority, tmp_path: Path
) -> None:
    with receiver(answer(), tls=Authority(tmp_path).server(NAME)) as server:
        by_default = post(server.port, "https")
        of_another = post(server.port, "https", tls=authority.client())
    assert (by_default.failure, of_another.failure) == (Failure.TLS, Failure.TLS)
    assert server.requests == []


def test_a_server_without_encryption() -> None:
    with receiver(lambda _, connection: connection.sendall(LATE)) as server:
        attempt = post(server.port, "https")
    assert attempt.failure is Failure.TLS


def test_certificates_are_checked_by_default() -> None:
    context = http_guard.default_tls()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
