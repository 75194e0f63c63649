"""Files added over the API, and a look at what lies in the storage."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import Company, Person
from tests.todo_app.helpers import inside
from tests.todo_app.todos.shapes import add_list, add_task, path_of
from todo_app.database import db
from todo_app.files.models import Content
from todo_app.tenancy import current_tenant

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


def files_of_task(person: Person, **more: Any) -> str:
    """The files of a fresh task in a fresh list."""
    todo_list = add_list(person, "Files", **more)
    return f"{path_of(add_task(person, todo_list['uuid']))}/attachments"


def send(
    person: Person,
    path: str,
    content: Any,
    name: str = "a.txt",
    content_type: str | None = "application/octet-stream",
    **kwargs: Any,
) -> TestResponse:
    """Add a file."""
    where = f"{path}?name={quote(name)}"
    return person.call("POST", where, data=content, content_type=content_type, **kwargs)


def add_file(person: Person, path: str, content: bytes, name: str = "a.txt") -> dict[str, Any]:
    """Add a file; the answer as JSON."""
    answer = send(person, path, content, name)
    assert answer.status_code == 201, answer.text
    file: dict[str, Any] = answer.json
    return file


def content_of(person: Person, path: str, file: dict[str, Any], **kwargs: Any) -> TestResponse:
    """Download a file."""
    return person.get(f"{path}/{file['uuid']}/content", **kwargs)


def place(app: Flask, slug: str) -> Path:
    """The directory of a tenant's contents."""
    url = app.config["SETTINGS"].attachments_url
    with inside(app, slug):
        tenant = current_tenant()
    return Path(unquote(urlsplit(url).path)) / str(tenant.uuid)


def objects(app: Flask, slug: str) -> set[str]:
    """What lies in the storage for a tenant, half-written things included."""
    directory = place(app, slug)
    return {each.name for each in directory.iterdir()} if directory.exists() else set()


def contents(app: Flask, company: Company) -> dict[uuid.UUID, bool]:
    """By key, whether a file refers to a content."""
    with inside(app, company.slug):
        rows = db.session.execute(sa.select(Content.key, Content.unused_since))
        return {row.key: row.unused_since is None for row in rows}


def in_pieces(content: bytes, size: int) -> Iterator[bytes]:
    """A content, piece by piece."""
    return (content[start : start + size] for start in range(0, len(content), size))
