"""Pictures of users: what comes in is made anew, and what is none is refused."""

from __future__ import annotations

import io
import struct
import uuid
import zlib
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from werkzeug.test import TestResponse

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, at_once, statuses
from tests.todo_app.people import records_of, robot_of

SECRET = "Taken at home"
BAD = "urn:todo:problem:bad-image"


def picture(
    form: str = "PNG", size: tuple[int, int] = (40, 20), mode: str = "RGB", **options: Any
) -> bytes:
    """An encoded picture."""
    out = io.BytesIO()
    color = {"RGB": (200, 10, 10), "RGBA": (200, 10, 10, 128), "CMYK": (1, 2, 3, 4)}.get(mode, 1)
    Image.new(mode, size, color).save(out, form, **options)
    return out.getvalue()


def put(person: Person, target: Person, body: bytes, kind: str = "image/png") -> TestResponse:
    return person.call("PUT", f"/users/{target.uuid}/avatar", data=body, content_type=kind)


def stored(person: Person) -> Image.Image:
    answer = person.get(f"/users/{person.uuid}/avatar")
    assert answer.status_code == 200
    assert answer.content_type == "image/webp"
    return Image.open(io.BytesIO(answer.data))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def huge_png(width: int, height: int) -> bytes:
    """A small file that says to be a large picture, and is."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(width // 8 + 1) * min(height, 10_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", rows)
        + png_chunk(b"IEND", b"")
    )


@pytest.fixture
def person(company: Company) -> Person:
    return company.add_person("read_only")


@pytest.mark.parametrize(
    ("form", "kind", "mode"),
    [
        ("PNG", "image/png", "RGB"),
        ("PNG", "image/png", "RGBA"),
        ("PNG", "image/png", "P"),
        ("PNG", "image/png", "1"),
        ("PNG", "image/png", "I;16"),
        ("JPEG", "image/jpeg", "RGB"),
        ("JPEG", "image/jpeg", "L"),
        ("JPEG", "image/jpeg", "CMYK"),
        ("WEBP", "image/webp", "RGBA"),
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (40, 700), (256, 256)])
def test_any_picture_becomes_a_small_square(
    person: Person, form: str, kind: str, mode: str, size: tuple[int, int]
) -> None:
    assert person.get("/users/me").json["has_avatar"] is False
    assert put(person, person, picture(form, size, mode), kind).status_code == 204
    image = stored(person)
    assert (image.size, image.format) == ((256, 256), "WEBP")
    assert person.get("/users/me").json["has_avatar"] is True


def test_metadata_is_left_out_and_the_picture_is_upright(person: Person) -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET
    exif[0x0112] = 6
    wide = Image.new("RGB", (200, 200), "white")
    wide.paste("red", (0, 0, 200, 100))
    out = io.BytesIO()
    wide.save(out, "JPEG", exif=exif, comment=SECRET.encode())
    assert SECRET.encode() in out.getvalue()
    assert put(person, person, out.getvalue(), "image/jpeg").status_code == 204
    answer = person.get(f"/users/{person.uuid}/avatar")
    assert SECRET.encode() not in answer.data
    image = Image.open(io.BytesIO(answer.data)).convert("RGB")
    assert not dict(Image.open(io.BytesIO(answer.data)).getexif())
    # The red upper half is the right half once the picture is turned.
    right, left = image.getpixel((200, 128)), image.getpixel((50, 128))
    assert isinstance(right, tuple)
    assert isinstance(left, tuple)
    assert right[1] < 100 < left[1]


def test_an_etag_saves_the_transfer(person: Person) -> None:
    path = f"/users/{person.uuid}/avatar"
    put(person, person, picture())
    first = person.get(path)
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    headers = {"If-None-Match": first.headers["ETag"]}
    assert (person.get(path, headers=headers).status_code, person.get(path).data) == (
        304,
        first.data,
    )
    put(person, person, picture(size=(10, 300), mode="RGBA"))
    assert person.get(path, headers=headers).status_code == 200


def test_a_picture_is_taken_away(app: Flask, company: Company, person: Person) -> None:
    path = f"/users/{person.uuid}/avatar"
    put(person, person, picture())
    for _ in range(2):
        assert person.delete(path).status_code == 204
    assert_problem(person.get(path), 404)
    told = records_of(app, company, person.uuid)
    assert told == ["user.added", "avatar.changed", "avatar.deleted"]


def test_who_may_change_whose_picture(company: Company, people: dict[str, Person]) -> None:
    user, admin = people["user"], people["admin"]
    person = company.add_person()
    assert put(admin, person, picture()).status_code == 204
    assert person.get(f"/users/{person.uuid}/avatar").status_code == 200
    assert user.get(f"/users/{person.uuid}/avatar").status_code == 200
    for answer in (
        put(user, person, picture()),
        user.delete(f"/users/{person.uuid}/avatar"),
        put(admin, company, picture()),
        admin.delete(f"/users/{company.uuid}/avatar"),
    ):
        assert_problem(answer, 403)
    assert_problem(company.get(f"/users/{company.uuid}/avatar"), 404)
    assert admin.delete(f"/users/{person.uuid}/avatar").status_code == 204


def test_another_tenants_picture_is_404(
    company: Company, stranger: Company, person: Person
) -> None:
    put(person, person, picture())
    for target in (person.uuid, str(uuid.uuid4())):
        path = f"/users/{target}/avatar"
        for answer in (
            stranger.get(path),
            stranger.delete(path),
            stranger.call("PUT", path, data=picture(), content_type="image/png"),
        ):
            assert_problem(answer, 404)
    assert stored(person).size == (256, 256)


def test_without_a_session(company: Company, person: Person) -> None:
    path = f"/users/{person.uuid}/avatar"
    for method in ("GET", "PUT", "DELETE"):
        answer = company.client.open(path, method=method, headers={"tenant": company.slug})
        assert_problem(answer, 401)
    robot = robot_of(company)
    assert_problem(robot.delete(path), 403)
    assert_problem(put(robot, person, picture()), 403)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(b"", "image/png", id="empty"),
        pytest.param(b"x" * 1000, "image/png", id="no picture"),
        pytest.param(picture()[:40], "image/png", id="cut"),
        pytest.param(picture()[:-30], "image/png", id="cut at the end"),
        pytest.param(picture(), "image/jpeg", id="another type"),
        pytest.param(picture("GIF"), "image/png", id="GIF"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png", id="SVG"),
        pytest.param(huge_png(60_000, 60_000), "image/png", id="3,600 megapixels"),
        pytest.param(huge_png(9_600, 9_600), "image/png", id="92 megapixels"),
        pytest.param(huge_png(8_000, 2_200), "image/png", id="just too many pixels"),
        pytest.param(huge_png(0, 10), "image/png", id="no pixels"),
        pytest.param(huge_png(2_000_000_000, 1), "image/png", id="too wide"),
    ],
)
def test_what_is_no_usable_picture(person: Person, body: bytes, kind: str) -> None:
    assert assert_problem(put(person, person, body, kind), 422)["type"] == BAD
    assert person.get("/users/me").json["has_avatar"] is False


@pytest.mark.parametrize(
    "kind", ["image/gif", "image/svg+xml", "application/json", "text/html", "image/*", ""]
)
def test_other_types_are_415(person: Person, kind: str) -> None:
    assert_problem(put(person, person, picture(), kind), 415)


def test_a_body_of_two_megabytes_and_no_more(person: Person) -> None:
    limit = 2 * 1024 * 1024
    padded = picture() + b"\0" * limit
    assert put(person, person, padded[:limit]).status_code == 204
    assert_problem(put(person, person, padded[: limit + 1]), 413)


def test_many_at_once_leave_one(app: Flask, person: Person) -> None:
    bodies = [picture(size=(20 + n, 20)) for n in range(4)]
    answers = at_once(app, *[(person, lambda own, b=body: put(own, own, b)) for body in bodies])
    assert statuses(answers) == [204] * 4
    assert stored(person).size == (256, 256)


def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(acme: Company) -> None:
    """Each scan is a few bytes, and has the whole picture gone through once more."""
    body = picture("JPEG", (64, 64), progressive=True)
    assert put(acme, acme, body, "image/jpeg").status_code == 204
    last = body[body.rindex(b"\xff\xda") : -2]
    bomb = body[:-2] + last * 60 + body[-2:]
    assert assert_problem(put(acme, acme, bomb, "image/jpeg"), 422)["type"] == BAD
