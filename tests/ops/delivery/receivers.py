"""Receivers of webhooks on loopback, which behave as a test says; and certificates for them."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = Callable[["Receiver", socket.socket], None]


@dataclass
class Receiver:
    """A server, and the requests that have reached it."""

    port: int
    behave: Behaviour
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    hung_up: threading.Event = field(default_factory=threading.Event)
    tls: ssl.SSLContext | None = None
    threads: list[threading.Thread] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        while not self.over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self.talk, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def talk(self, connection: socket.socket) -> None:
        connection.settimeout(2)
        # Whoever hangs up early is what these tests are about.
        with suppress(OSError), connection:
            if self.tls is None:
                self.behave(self, connection)
            else:
                with self.tls.wrap_socket(connection, server_side=True) as encrypted:
                    self.behave(self, encrypted)
        self.hung_up.set()


@contextmanager
def receiver(
    behave: Behaviour, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind((host, port))
        listener.listen(16)
        server = Receiver(listener.getsockname()[1], behave, tls=tls)
        thread = threading.Thread(target=server.serve, args=(listener,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            listener.shutdown(socket.SHUT_RDWR)
            for each in (thread, *server.threads):
                each.join()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body


def answering(*parts: bytes) -> Behaviour:
    """Reads the request and sends an answer."""

    def behave(server: Receiver, connection: socket.socket) -> None:
        server.requests.append(read_request(connection))
        connection.sendall(b"".join(parts))

    return behave


def answer(status: str = "204 No Content", body: bytes = b"", **headers: str) -> Behaviour:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return answering("\r\n".join(lines).encode(), b"\r\n\r\n", body)


def dripping(start: bytes, drops: bytes = b"x", every: float = 0.05) -> Behaviour:
    """Sends a beginning, and then a byte now and then for ever."""

    def behave(server: Receiver, connection: socket.socket) -> None:
        server.requests.append(read_request(connection))
        connection.sendall(start)
        while not server.over.wait(every):
            connection.sendall(drops)

    return behave


def flooding(start: bytes, piece: bytes) -> Behaviour:
    """Sends a beginning, and then one piece after the other for ever."""

    def behave(server: Receiver, connection: socket.socket) -> None:
        server.requests.append(read_request(connection))
        connection.sendall(start)
        while not server.over.is_set():
            connection.sendall(piece)

    return behave


def silent(server: Receiver, connection: socket.socket) -> None:
    """Takes the connection, and never reads or writes."""
    server.over.wait(10)


class Authority:
    """Makes certificates that a client can be told to believe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self._certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def client(self) -> ssl.SSLContext:
        pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)

    def server(self, host: str, days: int = 1) -> ssl.SSLContext:
        """What a server of this name or address has; one of -1 days has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject: x509.GeneralName
        try:
            subject = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            subject = x509.DNSName(host)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
        certificate = (
            self._builder(name, key.public_key(), days)
            .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._directory / f"{x509.random_serial_number()}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, days: int = 1
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=days))
        )
