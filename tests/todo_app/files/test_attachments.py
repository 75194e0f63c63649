"""`/tasks/{uuid}/attachments`: what is taken, what is refused, and who may."""

from __future__ import annotations

import hashlib
import io
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from tests.factories import Company, Person
from tests.ops.restores.keeping import settings_of
from tests.todo_app.files.kit import (
    PNG,
    add_file,
    content_of,
    contents,
    files_of_task,
    objects,
    send,
)
from tests.todo_app.helpers import BAD_QUERIES, assert_problem, at_once, inside, statuses
from tests.todo_app.lists.kit import share
from todo_app.activity.models import Change
from todo_app.config import ConfigError, Settings
from todo_app.database import current_session, db
from todo_app.files import upload

MIB = 1024 * 1024


@pytest.fixture
def path(company: Company) -> str:
    return files_of_task(company)


def test_a_file_is_added_read_and_deleted(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    content = b"Hello, \x00 bytes" * 10
    answer = send(acme, path, content, "Über uns.bin")
    assert answer.status_code == 201
    file = answer.json
    assert file["name"] == "Über uns.bin"
    assert (file["size"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert file["media_type"] == "application/octet-stream"
    assert file["created_by"]["uuid"] == acme.uuid
    assert file["task_uuid"] in path
    assert acme.get(f"{path}/{file['uuid']}").json == file
    assert acme.get(path).json["items"] == [file]
    assert acme.get(f"{path}?search=über").json["total"] == 1
    assert acme.get(f"{path}?search=%25").json["total"] == 0
    read = content_of(acme, path, file)
    assert (read.status_code, read.data) == (200, content)
    assert acme.delete(f"{path}/{file['uuid']}").status_code == 204
    assert_problem(acme.get(f"{path}/{file['uuid']}"), 404)
    assert_problem(content_of(acme, path, file), 404)
    assert_problem(acme.delete(f"{path}/{file['uuid']}"), 404)
    assert acme.get(path).json["total"] == 0
    # What it held is kept for restores, and counts no more.
    assert list(contents(app, acme).values()) == [False]
    assert len(objects(app, acme.slug)) == 1
    assert acme.get("/files/usage").json["used_bytes"] == 0


def test_a_download_cannot_run_and_says_what_it_is(company: Company, path: str) -> None:
    page = add_file(company, path, b"<html><script>alert(1)</script></html>", 'a"b.html')
    answer = content_of(company, path, page)
    assert answer.headers.getlist("Content-Security-Policy") == ["default-src 'none'; sandbox"]
    assert answer.headers.getlist("Cache-Control") == ["private, no-cache"]
    assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert answer.headers["Content-Disposition"].startswith("attachment")
    picture = add_file(company, path, PNG, "a.png")
    answer = content_of(company, path, picture)
    assert (answer.content_type, answer.data) == ("image/png", PNG)
    assert answer.headers["Content-Disposition"].startswith("inline")


def test_parts_and_conditions(company: Company, path: str) -> None:
    content = bytes(range(256)) * 8192
    file = add_file(company, path, content)

    def get(**headers: str) -> Any:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return content_of(company, path, file, headers=names)

    etag = get().headers["ETag"]
    assert etag == f'"{file["sha256"]}"'
    part = get(Range="bytes=1048570-1048585")
    assert (part.status_code, part.data) == (206, content[1048570:1048586])
    assert part.headers["Content-Range"] == f"bytes 1048570-1048585/{len(content)}"
    assert part.content_length == 16
    assert get(Range="bytes=-5").data == content[-5:]
    assert get(Range="bytes=100-").data == content[100:]
    assert get(Range="bytes=0-1", If_Range=etag).status_code == 206
    whole = get(Range="bytes=0-1", If_Range='"other"')
    assert (whole.status_code, whole.data) == (200, content)
    refused = assert_problem(get(Range=f"bytes={len(content)}-"), 416)
    assert refused["type"].endswith("range-not-satisfiable")
    for tag in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        same = get(If_None_Match=tag)
        assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", etag)
    assert get(If_None_Match='"other"').status_code == 200
    url = f"{path}/{file['uuid']}/content"
    head = company.call("HEAD", url)
    assert (head.status_code, head.data, head.content_length) == (200, b"", len(content))


def test_an_empty_file_is_one(company: Company, path: str) -> None:
    file = add_file(company, path, b"", "empty.txt")
    assert (file["size"], content_of(company, path, file).data) == (0, b"")


def test_equal_contents_are_stored_once(app: Flask, acme: Company) -> None:
    path, other = files_of_task(acme), files_of_task(acme)
    first = add_file(acme, path, b"same", "a.txt")
    second = add_file(acme, other, b"same", "b.txt")
    assert first["uuid"] != second["uuid"]
    assert len(objects(app, acme.slug)) == 1
    assert acme.get("/files/usage").json["used_bytes"] == 4
    acme.delete(f"{path}/{first['uuid']}")
    assert content_of(acme, other, second).data == b"same"
    assert list(contents(app, acme).values()) == [True]
    acme.delete(f"{other}/{second['uuid']}")
    # What is not in use may be about to go, so the same bytes do not lean on it.
    third = add_file(acme, path, b"same", "c.txt")
    assert list(contents(app, acme).values()) == [True]
    assert content_of(acme, path, third).data == b"same"
    assert len(objects(app, acme.slug)) == 1


def test_tenants_share_no_contents(app: Flask, acme: Company, globex: Company) -> None:
    for company in (acme, globex):
        add_file(company, files_of_task(company), b"same in both")
        assert len(objects(app, company.slug)) == 1
    assert not objects(app, acme.slug) & objects(app, globex.slug)


def test_equal_files_at_one_instant(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    content = b"racing" * 50_000
    answers = at_once(app, *[(acme, lambda person: send(person, path, content))] * 6)
    assert statuses(answers) == [201] * 6
    assert len(objects(app, acme.slug)) == 1
    assert acme.get(path).json["total"] == 6
    assert all(content_of(acme, path, answer.json).data == content for answer in answers)


def test_the_quota_holds_at_one_instant(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    bodies = [bytes([65 + number]) * 1000 for number in range(6)]
    with settings_of(app, attachments_quota=3500):
        answers = at_once(
            app, *[(acme, lambda person, body=body: send(person, path, body)) for body in bodies]
        )
        assert statuses(answers) == [201] * 3 + [409] * 3
        refused = next(answer for answer in answers if answer.status_code == 409)
        assert assert_problem(refused, 409)["type"].endswith("quota-exceeded")
        assert acme.get("/files/usage").json == {"used_bytes": 3000, "quota_bytes": 3500}
        assert len(objects(app, acme.slug)) == 3
        file = acme.get(path).json["items"][0]
        acme.delete(f"{path}/{file['uuid']}")
        assert send(acme, path, b"Z" * 1000).status_code == 201
    with settings_of(app, attachments_quota=0):
        assert acme.get("/files/usage").json["quota_bytes"] is None


def test_a_file_of_the_limit_is_taken_and_one_byte_more_is_not(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    with settings_of(app, attachment_max_bytes=2 * MIB):
        file = add_file(acme, path, b"x" * (2 * MIB))
        assert len(content_of(acme, path, file).data) == 2 * MIB
        answer = send(acme, path, b"x" * (2 * MIB + 1))
        assert assert_problem(answer, 413)["type"].endswith("file-too-large")
        chunked = {"Transfer-Encoding": "chunked"}
        for size, status in ((2 * MIB, 201), (2 * MIB + 1, 413)):
            body = io.BytesIO(b"y" * size)
            environ = {"wsgi.input_terminated": True}
            answer = acme.call(
                "POST",
                f"{path}?name=a",
                input_stream=body,
                headers=chunked,
                environ_overrides=environ,
            )
            assert answer.status_code == status, answer.text
    assert len(objects(app, acme.slug)) == 2


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        pytest.param(b"MZ" + bytes(200), "application/octet-stream", id="program"),
        pytest.param(b"\x7fELF" + bytes(200), "image/png", id="program called a picture"),
        pytest.param(PNG, "application/pdf", id="picture called a PDF"),
        pytest.param(b"<html></html>", "image/png", id="page called a picture"),
        pytest.param(b"text", "application/x-msdownload", id="type that is not taken"),
        pytest.param(b"--x\r\n\r\n", "multipart/form-data; boundary=x", id="form"),
    ],
)
def test_wrong_types_are_refused(
    app: Flask, acme: Company, content: bytes, content_type: str
) -> None:
    path = files_of_task(acme)
    answer = send(acme, path, content, content_type=content_type)
    assert assert_problem(answer, 415)["type"].endswith("file-type")
    assert objects(app, acme.slug) == set()


def test_a_bomb_is_as_small_as_it_was_sent(app: Flask, acme: Company) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("zeros", bytes(64 * MIB))
    bomb = out.getvalue()
    path = files_of_task(acme)
    file = add_file(acme, path, bomb, "bomb.zip")
    assert (file["size"], file["media_type"]) == (len(bomb), "application/zip")
    assert acme.get("/files/usage").json["used_bytes"] == len(bomb)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\a\\b.txt", "b.txt"),
        ("a\r\nSet-Cookie: x=y.txt", "aSet-Cookie_ x=y.txt"),
        ("exe.\u202egpj", "exe.gpj"),
        ("..", "file"),
    ],
)
def test_names_are_only_names(company: Company, path: str, name: str, kept: str) -> None:
    file = add_file(company, path, b"x", name)
    assert file["name"] == kept
    assert "\n" not in content_of(company, path, file).headers["Content-Disposition"]


@pytest.mark.parametrize("query", ["", "?name=", "?name=%20", "?name=" + "a" * 1001, "?x=1&name=a"])
def test_bad_queries_of_an_upload(app: Flask, company: Company, path: str, query: str) -> None:
    before = objects(app, company.slug)
    answer = company.call("POST", f"{path}{query}", data=f"text {uuid.uuid4()}")
    assert_problem(answer, 422)
    assert objects(app, company.slug) == before


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_queries(company: Company, path: str, query: str) -> None:
    assert_problem(company.get(f"{path}?{query}"), 422)


def test_others_see_nothing(company: Company, stranger: Company, path: str) -> None:
    file = add_file(company, path, b"secret")
    one = f"{path}/{file['uuid']}"
    for method, where in (
        ("GET", path),
        ("GET", one),
        ("GET", f"{one}/content"),
        ("DELETE", one),
    ):
        assert_problem(stranger.call(method, where), 404)
    assert_problem(send(stranger, path, b"x"), 404)
    assert_problem(send(stranger, path, b"x" * (2 * MIB)), 404)


def test_files_of_private_lists(app: Flask, company: Company) -> None:
    path = files_of_task(company, visibility="private")
    file = add_file(company, path, b"private", "private.txt")
    one = f"{path}/{file['uuid']}"
    person = company.add_person()
    for method, where in (("GET", path), ("GET", one), ("GET", f"{one}/content"), ("DELETE", one)):
        assert_problem(person.call(method, where), 404)
    assert_problem(send(person, path, b"x"), 404)
    task = company.get(path.removesuffix("/attachments")).json
    share(company, {"uuid": task["list"]["uuid"]}, person, "read")
    assert content_of(person, path, file).data == b"private"
    assert_problem(send(person, path, b"x"), 403)
    assert_problem(person.delete(one), 403)
    share(company, {"uuid": task["list"]["uuid"]}, person, "write")
    assert send(person, path, b"x").status_code == 201
    assert person.delete(one).status_code == 204


def test_readers_only_read(company: Company, people: dict[str, Person], path: str) -> None:
    file = add_file(company, path, b"x")
    reader = people["read_only"]
    assert content_of(reader, path, file).data == b"x"
    assert_problem(send(reader, path, b"y"), 403)
    assert_problem(reader.delete(f"{path}/{file['uuid']}"), 403)


def test_files_go_with_their_task(company: Company, path: str) -> None:
    file = add_file(company, path, b"x")
    task = path.removesuffix("/attachments")
    company.delete(task)
    for where in (path, f"{path}/{file['uuid']}", f"{path}/{file['uuid']}/content"):
        assert_problem(company.get(where), 404)
    assert_problem(send(company, path, b"y"), 404)
    assert company.post(f"{task}/restore").status_code == 200
    assert content_of(company, path, file).data == b"x"


def test_a_file_belongs_to_its_task(company: Company, path: str) -> None:
    file = add_file(company, path, b"x")
    other = files_of_task(company)
    assert_problem(company.get(f"{other}/{file['uuid']}"), 404)
    assert_problem(company.delete(f"{other}/{file['uuid']}"), 404)
    assert_problem(company.get(f"{path}/{uuid.uuid4()}"), 404)


def test_nothing_is_added_to_an_archived_list(company: Company, path: str) -> None:
    task = company.get(path.removesuffix("/attachments")).json
    assert company.post(f"/lists/{task['list']['uuid']}/archive").status_code == 200
    assert_problem(send(company, path, b"x" * (2 * MIB)), 409)


def test_the_same_key_adds_one_file(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    key = {"Idempotency-Key": "once"}
    large = b"a" * (2 * MIB)
    first = send(acme, path, large, headers=key)
    again = send(acme, path, large, headers=key)
    assert (first.status_code, again.status_code, again.json) == (201, 201, first.json)
    other = send(acme, path, b"b" * (2 * MIB), headers=key)
    assert assert_problem(other, 409)["type"].endswith("idempotency-key-reused")
    assert acme.get(path).json["total"] == 1
    assert len(objects(app, acme.slug)) == 1
    answers = at_once(
        app, *[(acme, lambda p: send(p, path, b"c", headers={"Idempotency-Key": "race"}))] * 4
    )
    assert statuses(answers) == [201] * 4
    assert len({answer.json["uuid"] for answer in answers}) == 1
    assert len(objects(app, acme.slug)) == 2


def test_no_transaction_is_open_while_a_file_comes(
    app: Flask, acme: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    pieces = upload._pieces

    def watched(settings: Any) -> Iterator[bytes]:
        for piece in pieces(settings):
            seen.append(current_session().in_transaction())
            yield piece

    monkeypatch.setattr(upload, "_pieces", watched)
    path = files_of_task(acme)
    for content in (b"small", b"x" * (2 * MIB)):
        assert send(acme, path, content, headers={"Idempotency-Key": "k"[: len(content)]})
    assert seen
    assert not any(seen)


def test_changes_are_told(app: Flask, acme: Company) -> None:
    path = files_of_task(acme)
    file = add_file(acme, path, b"x")

    def is_gone() -> bool:
        of_file = sa.select(Change.is_deleted).where(
            Change.kind == "attachment", Change.uuid == uuid.UUID(file["uuid"])
        )
        with inside(app, acme.slug):
            return db.session.scalars(of_file).one()

    assert not is_gone()
    acme.delete(f"{path}/{file['uuid']}")
    assert is_gone()


def test_without_a_storage_there_are_no_files(app: Flask, company: Company, path: str) -> None:
    file = add_file(company, path, b"x")
    with settings_of(app, attachments_url=""):
        assert assert_problem(send(company, path, b"y"), 501)["type"].endswith("no-files")
        assert_problem(content_of(company, path, file), 501)
        assert company.get(path).json["items"] == [file]


def test_a_storage_that_is_away_is_503_and_says_nothing_of_itself(
    app: Flask, company: Company, path: str, tmp_path: Any
) -> None:
    file = add_file(company, path, b"x")
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    for url in (blocked.as_uri(), f"{blocked.as_uri()}/below"):
        with settings_of(app, attachments_url=url):
            for answer in (send(company, path, b"y"), content_of(company, path, file)):
                assert answer.status_code in (503, 410), answer.text
                assert_problem(answer, answer.status_code)
                assert str(tmp_path) not in answer.text
    assert company.get(path).json["total"] == 1


def test_content_that_is_gone_is_410(
    app: Flask, company: Company, path: str, tmp_path: Any
) -> None:
    file = add_file(company, path, b"x")
    with settings_of(app, attachments_url=tmp_path.as_uri()):
        answer = content_of(company, path, file)
        assert assert_problem(answer, 410)["type"].endswith("content-gone")


def test_files_and_archives_have_places_of_their_own() -> None:
    with pytest.raises(ConfigError, match="ATTACHMENTS_URL"):
        Settings.from_env({"BACKUP_URL": "s3://all/todo", "ATTACHMENTS_URL": "s3://all/todo/"})


def test_an_expired_token_sends_nothing(company: Company, path: str) -> None:
    nobody = replace(company, token=f"{company.token[:-4]}AAAA")
    assert_problem(send(nobody, path, b"x"), 401)
