"""Sends one POST to a customer's URL, without ever reaching a private address or waiting for long.

- A name is looked up once. If one of its addresses is not public, nothing is sent. The connection
  goes to an address that was judged, never to the name, so that an answer of DNS that changes in
  between (rebinding) changes nothing. The certificate has to be that of the name.
- No redirect is followed: it would be a second URL, from somebody else. No proxy of the environment
  is used, for a proxy would look the name up once more.
- The exchange has one deadline, from the look-up to the last byte, in a thread of its own: timeouts
  of a socket begin anew with each byte, and a look-up has none. When the time is over, the socket
  is shut down and the thread ends by itself.
- At most 64 KiB of an answer are read, and none of it is unpacked.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from http.client import HTTPException
from ipaddress import ip_address

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from todo_app.webhooks.addresses import Address, Target, UnsafeUrlError, is_public, parse_target

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
GRACE_SECONDS = 0.5
"""How long the thread may take to notice that its socket was shut down."""
MOST_ADDRESSES = 3
"""Of one name, that are tried when a connection cannot be made."""
MAX_ANSWER_BYTES = 64 * 1024
EXCERPT_LENGTH = 1000
MAX_HEADER_LENGTH = 100

USER_AGENT = "todo-backend-webhooks/1"

Resolver = Callable[[str, int], Sequence[str]]


class Failure(StrEnum):
    """Why there is no answer."""

    REFUSED = "refused"
    """The URL, or an address of its name, is not one that webhooks are sent to."""
    NAME = "name"
    """The name has no address."""
    CONNECTION = "connection"
    """No connection, or it broke."""
    TLS = "tls"
    """No encrypted connection: the certificate is another's, for one."""
    TIMEOUT = "timeout"
    """No answer in time."""
    ANSWER = "answer"
    """What came is no HTTP."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending one request. All of it may be shown to the customer.

    Args:
        seconds: how long it took.
        status: of the answer; None where there is none.
        failure: why there is none.
        reason: one sentence, where the request was not accepted.
        retry_after: what the answer's header Retry-After says.
        excerpt: the first 1,000 characters of the answer, without control characters.
        address: where the request was sent.
    """

    seconds: float
    status: int | None = None
    failure: Failure | None = None
    reason: str = ""
    retry_after: str = ""
    excerpt: str = ""
    address: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver has taken the request."""
        return self.status is not None and 200 <= self.status <= 299


class _NotSentError(Exception):
    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason


def look_up(name: str, port: int) -> list[str]:
    """The addresses of a name, those first that this machine reaches best.

    Raises:
        OSError: there is none.
    """
    # The full stop keeps the search domains of our own network out of it.
    found = socket.getaddrinfo(f"{name}.", port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@functools.cache
def default_tls() -> ssl.SSLContext:
    """TLS 1.2 or newer, with the certificates that this machine trusts."""
    return ssl.create_default_context()


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    is_allowed: Callable[[Address], bool] = is_public,
    resolve: Resolver = look_up,
    tls: ssl.SSLContext | None = None,
    connect_seconds: float = CONNECT_SECONDS,
    total_seconds: float = TOTAL_SECONDS,
) -> Attempt:
    """Send one POST. Whatever the receiver does, this returns in time, and does not raise.

    Args:
        url: of the customer; it is checked here too, for the rules may have changed since.
        body: JSON, as it was signed.
        headers: besides Host, Content-Type and User-Agent, such as those of `signing.sign`.
        is_allowed: judges each address.
        resolve: looks up a name.
        tls: whose certificates are believed; those that this machine trusts when left out.
        connect_seconds: for a connection, and again for its encryption.
        total_seconds: for everything, from the look-up on.
    """
    started = time.monotonic()
    try:
        target = parse_target(url, is_allowed)
    except UnsafeUrlError as error:
        return Attempt(0.0, failure=Failure.REFUSED, reason=error.detail)
    exchange = _Exchange(
        target, is_allowed, resolve, tls, connect_seconds, started, started + total_seconds
    )
    own = {
        "Host": target.authority,
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
        "Connection": "close",
    }
    return exchange.run(body, {**headers, **own})


class _Exchange:
    def __init__(
        self,
        target: Target,
        is_allowed: Callable[[Address], bool],
        resolve: Resolver,
        tls: ssl.SSLContext | None,
        connect_seconds: float,
        started: float,
        ends: float,
    ) -> None:
        self._target = target
        self._is_allowed = is_allowed
        self._resolve = resolve
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._started = started
        self._ends = ends
        self._address = ""
        self._lock = threading.Lock()
        self._is_over = False
        # A second handle of the connection: its number stays ours when the first one is closed.
        self._handle: socket.socket | None = None

    def run(self, body: bytes, headers: dict[str, str]) -> Attempt:
        done: Future[Attempt] = Future()

        def work() -> None:
            try:
                done.set_result(self._perform(body, headers))
            except BaseException as error:
                done.set_exception(error)

        threading.Thread(target=work, name="webhook", daemon=True).start()
        try:
            wait([done], self._ends - time.monotonic())
        finally:
            # Also where a time limit of the worker breaks in.
            self._give_up()
        wait([done], GRACE_SECONDS)
        return done.result() if done.done() else self._failed(Failure.TIMEOUT)

    def _give_up(self) -> None:
        with self._lock:
            self._is_over = True
            if self._handle is not None:
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def _perform(self, body: bytes, headers: dict[str, str]) -> Attempt:
        try:
            return self._send(self._addresses(), body, headers)
        except _NotSentError as error:
            return self._failed(error.failure, error.reason)
        except (OSError, HTTPError, HTTPException) as error:
            if self._is_over or isinstance(error, TimeoutError):
                return self._failed(Failure.TIMEOUT)
            return self._failed(*_told(error))

    def _addresses(self) -> list[str]:
        """Those of the host, all of which may be reached."""
        target = self._target
        if target.address is not None:
            return [target.host]
        try:
            found = list(self._resolve(target.host, target.port))
        except OSError:
            found = []
        if not found:
            raise _NotSentError(Failure.NAME, "The name of the host has no address.")
        # The address is not told: it may be one that only our network knows.
        if not all(self._is_allowed(ip_address(each)) for each in found):
            raise _NotSentError(
                Failure.REFUSED, "The name of the host has an address that is not public."
            )
        return found[:MOST_ADDRESSES]

    def _send(self, addresses: list[str], body: bytes, headers: dict[str, str]) -> Attempt:
        connection = self._connect(addresses)
        try:
            # A receiver may answer, and hang up, before it has read everything.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    "POST",
                    self._target.path,
                    body,
                    headers,
                    preload_content=False,
                    decode_content=False,
                )
            with connection.getresponse() as response:
                if self._is_over:
                    # The headers ended with the socket, so there may be more of them.
                    return self._failed(Failure.TIMEOUT)
                return self._answered(response)
        finally:
            self._let_go()
            connection.close()

    def _connect(self, addresses: list[str]) -> HTTPConnection:
        """Connect to the first address that takes it."""
        *others, last = addresses
        for address in others:
            with suppress(NewConnectionError, ConnectTimeoutError):
                return self._connect_to(address)
        return self._connect_to(last)

    def _connect_to(self, address: str) -> HTTPConnection:
        target = self._target
        timeout = min(self._connect_seconds, self._seconds_left())
        connection: HTTPConnection
        if target.scheme == "https":
            connection = HTTPSConnection(
                address,
                target.port,
                timeout=timeout,
                ssl_context=self._tls or default_tls(),
                server_hostname=target.host,
            )
        else:
            connection = HTTPConnection(address, target.port, timeout=timeout)
        try:
            connection.connect()
            self._hold(connection.sock)
            connection.timeout = self._seconds_left()
            connection.sock.settimeout(connection.timeout)
        except BaseException:
            self._let_go()
            connection.close()
            raise
        self._address = address
        return connection

    def _hold(self, connected: socket.socket) -> None:
        """Let this connection be shut down when the time is over."""
        with self._lock:
            if self._is_over:
                raise TimeoutError
            self._handle = socket.socket(fileno=os.dup(connected.fileno()))

    def _let_go(self) -> None:
        with self._lock:
            if self._handle is not None:
                self._handle.close()
                self._handle = None

    def _seconds_left(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _answered(self, response: HTTPResponse) -> Attempt:
        content = bytearray()
        # The answer is known by its status: its text may break off, or not come in time.
        with suppress(OSError, HTTPError, HTTPException):
            while len(content) < MAX_ANSWER_BYTES:
                piece = response.read1(MAX_ANSWER_BYTES - len(content), decode_content=False)
                if not piece:
                    break
                content += piece
        is_packed = response.headers.get("Content-Encoding", "identity").lower() != "identity"
        return Attempt(
            self._seconds(),
            status=response.status,
            reason=_worded(response.status),
            retry_after=_clean(response.headers.get("Retry-After", ""))[:MAX_HEADER_LENGTH],
            excerpt="" if is_packed else _excerpt(bytes(content)),
            address=self._address,
        )

    def _failed(self, failure: Failure, reason: str = "No answer came in time.") -> Attempt:
        return Attempt(self._seconds(), failure=failure, reason=reason, address=self._address)

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _told(error: Exception) -> tuple[Failure, str]:
    """The kind of an error, and a sentence about it that names nothing of ours."""
    # To urllib3 a connection that is refused is a kind of timeout.
    if isinstance(error, NewConnectionError):
        error = error.__cause__ if isinstance(error.__cause__, OSError) else OSError()
    if isinstance(error, ConnectTimeoutError):
        return Failure.TIMEOUT, "No connection could be made in time."
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            Failure.TLS,
            f"The certificate is not accepted: {_clean(error.verify_message).rstrip('.')}.",
        )
    if isinstance(error, ssl.SSLError):
        return Failure.TLS, f"The connection cannot be encrypted: {_clean(error.reason or '')}."
    if isinstance(error, OSError):
        return Failure.CONNECTION, f"The connection failed: {error.strerror or 'it broke'}."
    return Failure.ANSWER, "What came is no HTTP answer."


def _worded(status: int) -> str:
    if 200 <= status <= 299:
        return ""
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    if 300 <= status <= 399:
        return f"The answer is {phrase}. Redirects are not followed: change the URL."
    return f"The answer is {phrase}."


def _excerpt(content: bytes) -> str:
    # A character has at most four bytes.
    return _clean(content[: 4 * EXCERPT_LENGTH].decode(errors="replace"))[:EXCERPT_LENGTH]


def _clean(text: str) -> str:
    """A text whose control characters, the null byte among them, are spaces."""
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text).strip()
