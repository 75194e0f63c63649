import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ops.local.files import free_port
from ops.local.probes import CeleryNodes, answers, log_in


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        allowed = self.path == "/open" or self.headers["Authorization"] == "Basic bWU6bWluZQ=="
        self._answer(200 if allowed else 401, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = body == {"email": "ada", "password": "right"} and self.headers["tenant"] == "acme"
        answer = {"token": "secret"} if right else []
        self._answer(200 if body["password"] != "wrong" else 401, answer)

    def _answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_answers(port: int) -> None:
    assert answers(port, "/open")
    assert not answers(port, "/closed")
    assert answers(port, "/closed", "me:mine")
    assert not answers(free_port(), "/open")


def test_log_in(port: int) -> None:
    assert log_in(port, "acme", "ada", "right") == "secret"
    assert log_in(port, "acme", "ada", "wrong") is None
    assert log_in(port, "globex", "ada", "right") is None  # an answer without a token
    assert log_in(free_port(), "acme", "ada", "right") is None


def test_something_else_than_http_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        assert not answers(server.getsockname()[1], "/")
        thread.join()


def test_no_worker_without_a_broker() -> None:
    with closing(CeleryNodes(f"redis://127.0.0.1:{free_port()}/0")) as nodes:
        assert not nodes.worker()
        assert not nodes.beat()
