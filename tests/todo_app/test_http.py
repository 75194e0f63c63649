"""What every answer has: problem documents, request ids, headers, limits."""

from __future__ import annotations

import dataclasses
import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import Company
from todo_app import create_app, logs
from todo_app.config import Settings
from todo_app.database import db

PROBLEM = "application/problem+json"


@pytest.fixture
def with_settings(app: Flask, settings: Settings) -> Iterator[Callable[..., Flask]]:
    """Makes applications; asked for before `capsys`, it gives the logs their stream back."""

    def make(**changes: object) -> Flask:
        return create_app(dataclasses.replace(settings, **changes))

    yield make
    logs.configure(settings)


def test_an_unknown_path_is_a_problem_document(client: FlaskClient) -> None:
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.content_type) == (404, PROBLEM)
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_a_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    answer = client.put("/auth/login")
    assert (answer.status_code, answer.content_type) == (405, PROBLEM)
    assert "POST" in answer.headers["Allow"]


def test_an_unexpected_error_tells_the_client_nothing_and_the_log_all(
    with_settings: Callable[..., Flask], capsys: pytest.CaptureFixture[str]
) -> None:
    app = with_settings(log_level="INFO")

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("secret detail")

    answer = app.test_client().get("/broken")
    assert (answer.status_code, answer.content_type) == (500, PROBLEM)
    assert "secret detail" not in answer.text
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (error,) = [line for line in lines if line["event"] == "unexpected error"]
    assert error["request_id"] == answer.json["request_id"]
    assert error["exception"][0]["exc_value"] == "secret detail"
    assert "locals" not in json.dumps(error)


def test_a_clients_request_id_is_kept_if_it_is_a_sane_one(client: FlaskClient) -> None:
    given = uuid.uuid4().hex
    answer = client.get("/health", headers={"X-Request-ID": given})
    assert answer.headers["X-Request-ID"] == given
    answer = client.get("/health", headers={"X-Request-ID": "x" * 500})
    assert len(answer.headers["X-Request-ID"]) == 32


def test_security_headers(client: FlaskClient) -> None:
    for path in ("/health", "/nowhere", "/docs/"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        policy = headers["Content-Security-Policy"]
        assert "default-src" in policy
        for directive in ("object-src", "base-uri", "frame-ancestors"):
            assert f"{directive} 'none'" in policy


def test_browsers_are_told_to_use_tls_and_to_keep_nothing(client: FlaskClient) -> None:
    plain = client.get("/nowhere")
    assert plain.headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" not in plain.headers
    answer = client.get("/nowhere", base_url="https://localhost")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


def test_the_documentation_is_served_by_ourselves(client: FlaskClient) -> None:
    page = client.get("/docs/")
    assert page.status_code == 200
    assert "http://" not in page.text.replace("http://localhost", "")
    assert "https://" not in page.text
    with client.get("/docs/swagger-ui-bundle.js") as bundle:
        assert bundle.status_code == 200
    assert client.get("/openapi.json").json["openapi"].startswith("3.1")


def test_cors_is_off_unless_an_origin_is_allowed(
    client: FlaskClient, with_settings: Callable[..., Flask]
) -> None:
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    assert "Access-Control-Allow-Origin" not in client.options("/users/", headers=headers).headers
    allowed = with_settings(cors_origins=("https://app.example.com",)).test_client()
    answer = allowed.options("/users/", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    headers["Origin"] = "https://evil.example.com"
    assert "Access-Control-Allow-Origin" not in allowed.options("/users/", headers=headers).headers


@pytest.mark.parametrize("path", ["/users/%00", "/users/?search=%00", "/auth/verify/a%00b"])
def test_null_bytes_in_an_address_are_400(acme: Company, path: str) -> None:
    answer = acme.get(path)
    assert (answer.status_code, answer.content_type) == (400, PROBLEM)


def test_sign_in_is_limited_by_address(with_settings: Callable[..., Flask]) -> None:
    client = with_settings(auth_rate_limit="3 per minute").test_client()
    address = {"REMOTE_ADDR": f"10.0.0.{uuid.uuid4().int % 250}"}
    body = {"email": "a@example.com", "password": "x"}
    for expected in (404, 404, 404, 429):
        answer = client.post(
            "/auth/login", json=body, headers={"tenant": "nobody"}, environ_base=address
        )
        assert answer.status_code == expected
    assert answer.content_type == PROBLEM
    assert int(answer.headers["Retry-After"]) > 0
    assert client.get("/health", environ_base=address).status_code == 200


@pytest.mark.parametrize(("proxies", "last_status"), [(1, 404), (0, 429)])
def test_only_trusted_proxies_tell_a_clients_address(
    with_settings: Callable[..., Flask], proxies: int, last_status: int
) -> None:
    app = with_settings(auth_rate_limit="2 per minute", trusted_proxies=proxies, redis_url="")
    client = app.test_client()
    body = {"email": "a@example.com", "password": "x"}
    for number in range(3):
        headers = {"tenant": "nobody", "X-Forwarded-For": f"10.1.0.{number}"}
        status = client.post("/auth/login", json=body, headers=headers).status_code
    assert status == last_status


def test_sign_in_goes_on_while_the_broker_is_away(with_settings: Callable[..., Flask]) -> None:
    app = with_settings(auth_rate_limit="100 per minute", redis_url="redis://127.0.0.1:1/0")
    answer = app.test_client().post("/auth/login", json={}, headers={"tenant": "nobody"})
    assert answer.status_code in (404, 422)


def test_health_tells_what_is_missing(with_settings: Callable[..., Flask]) -> None:
    assert with_settings().test_client().get("/health/ready").status_code == 200
    away = with_settings(
        database_url="postgresql://u:secret@127.0.0.1:1/x", redis_url="redis://127.0.0.1:1/0"
    ).test_client()
    assert away.get("/health").status_code == 200
    answer = away.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json["checks"] == {"database": "unreachable", "broker": "unreachable"}
    assert "secret" not in answer.text


def test_a_database_that_is_away_is_503(with_settings: Callable[..., Flask]) -> None:
    client = with_settings(database_url="postgresql://u:secret@127.0.0.1:1/x").test_client()
    answer = client.post(
        "/auth/login", json={"email": "a@b.de", "password": "x"}, headers={"tenant": "acme"}
    )
    assert (answer.status_code, answer.content_type) == (503, PROBLEM)
    assert int(answer.headers["Retry-After"]) > 0
    assert "127.0.0.1" not in answer.text


def test_a_busy_pool_is_503_in_time(with_settings: Callable[..., Flask], acme: Company) -> None:
    app = with_settings(pool_size=1, pool_timeout=1)
    with app.app_context(), db.engines[None].connect():
        answer = app.test_client().get("/users/", headers=acme.headers)
    assert (answer.status_code, answer.content_type) == (503, PROBLEM)


def test_a_version_of_endless_digits_matches_nothing(acme: Company) -> None:
    headers = {"If-Match": '"' + "9" * 5_000 + '-0"'}
    assert acme.patch("/users/me", {"first_name": "Ada"}, headers=headers).status_code == 412


@pytest.mark.parametrize("is_long", [True, False])
@pytest.mark.parametrize(
    ("method", "path", "media_type"),
    [
        ("POST", "/lists/", "application/json"),
        ("POST", "/users/import", "text/csv"),
        ("PUT", "/users/{}/avatar", "image/png"),
    ],
)
def test_who_sends_slowly_holds_no_connection(
    app: Flask, acme: Company, method: str, path: str, media_type: str, is_long: bool
) -> None:
    with app.app_context():
        pool = db.engine.pool
    held: list[int] = []

    class Body:
        def __init__(self, data: bytes) -> None:
            self.data = io.BytesIO(data)

        def read(self, *size: int) -> bytes:
            held.append(pool.checkedout())  # type: ignore[attr-defined]
            return self.data.read(*size)

    body = b" " * (app.config["MAX_CONTENT_LENGTH"] + 1 if is_long else 1)
    environ = {"wsgi.input": Body(body), "CONTENT_LENGTH": str(len(body))}
    answer = acme.call(
        method, path.format(acme.uuid), environ_overrides=environ, content_type=media_type
    )
    assert answer.status_code in (400, 413, 422)
    # What is too long for JSON is not even read.
    assert set(held) == (set() if answer.status_code == 413 else {0})


def test_who_sends_slowly_has_no_place_in_the_line(app: Flask) -> None:
    places = app.config["SETTINGS"].pool_size
    begun, go_on = threading.Semaphore(0), threading.Event()

    class Body:
        def read(self, *_: int) -> bytes:
            begun.release()
            go_on.wait(10)
            return b""

    def send(_: int) -> int:
        environ = {"wsgi.input": Body(), "CONTENT_LENGTH": "9"}
        post = app.test_client().post
        return post(
            "/auth/login", environ_overrides=environ, content_type="application/json"
        ).status_code

    with ThreadPoolExecutor(places + 1) as pool:
        slow = pool.map(send, range(places))
        assert all(begun.acquire(timeout=10) for _ in range(places))
        other = pool.submit(lambda: app.test_client().get("/auth/reset-password/x").status_code)
        try:
            assert other.result(5) == 200
        finally:
            go_on.set()
        assert set(slow) == {400}
