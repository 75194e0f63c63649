"""Files in a bucket, and what happens when it is away."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import boto3
import pytest
from flask import Flask
from moto.server import ThreadedMotoServer

from ops.restores.files import Home, delete_all, provide
from tests.factories import Company
from tests.ops.restores.keeping import settings_of
from tests.todo_app.files.kit import add_file, content_of, contents, files_of_task, send
from tests.todo_app.helpers import assert_problem, inside
from todo_app.config import Settings
from todo_app.database import own_connection
from todo_app.files.store import open_storage
from todo_app.tenancy import current_tenant

BUCKET = "files"
LARGE = os.urandom(5_000_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedMotoServer]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def bucket(app: Flask, server: ThreadedMotoServer) -> Iterator[Settings]:
    with settings_of(app, attachments_url=f"s3://{BUCKET}/{uuid.uuid4()}") as settings:
        yield settings


def names(settings: Settings) -> list[str]:
    storage = open_storage(settings)
    assert storage is not None
    return list(storage.names())


def test_files_lie_in_a_bucket(app: Flask, bucket: Settings, acme: Company) -> None:
    path = files_of_task(acme)
    small, large = add_file(acme, path, b"small"), add_file(acme, path, LARGE)
    empty = add_file(acme, path, b"")
    assert len(names(bucket)) == 3
    assert content_of(acme, path, small).data == b"small"
    assert content_of(acme, path, large).data == LARGE
    assert content_of(acme, path, empty).data == b""
    part = content_of(acme, path, large, headers={"Range": "bytes=4000000-4999998"})
    assert (part.status_code, part.data) == (206, LARGE[4_000_000:4_999_999])
    with inside(app, acme.slug):
        tenant = current_tenant()
    storage = open_storage(bucket)
    assert storage is not None
    copy = Home(storage, uuid.uuid4())
    with app.app_context(), own_connection() as connection:
        assert provide(connection, acme.schema_name, copy, tenant.uuid) == 0
    assert copy.keys() == {str(key) for key in contents(app, acme)}
    delete_all(bucket, copy.tenant_uuid)
    assert len(names(bucket)) == 3


def test_a_bucket_that_is_away_is_503(
    app: Flask, bucket: Settings, server: ThreadedMotoServer, acme: Company
) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, b"x")
    server.stop()
    for answer in (send(acme, path, b"y"), content_of(acme, path, file)):
        problem = assert_problem(answer, 503)
        assert problem["type"].endswith("files-away")
        assert "127.0.0.1" not in answer.text
    assert acme.get(path).json["total"] == 1
