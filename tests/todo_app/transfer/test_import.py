"""POST /users/import: everybody or nobody, and a report that says why."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem, at_once, inside, statuses
from todo_app.accounts.models import User
from todo_app.audit.models import AuditEntry
from todo_app.database import db, transaction
from todo_app.outbox import OutboxMessage
from todo_app.registration.members import schemas_of
from todo_app.tenancy import control_plane, operations
from todo_app.tenants.models import Tenant
from todo_app.transfer import service

HEADER = ("first_name", "last_name", "email", "phone", "role", "language", "timezone")
SHORT = ("first_name", "last_name", "email", "role")


def a_file(
    *rows: Sequence[str], header: Sequence[str] = SHORT, delimiter: str = ",", end: str = "\r\n"
) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([header, *rows])
    return text.getvalue().encode()


def person(email: str | None = None, role: str = "user") -> tuple[str, ...]:
    return ("Grace", "Hopper", email or f"{secrets.token_hex(8)}@example.com", role)


def send(who: Person, body: bytes, query: str = "", **headers: str) -> TestResponse:
    return who.call(
        "POST", f"/users/import{query}", data=body, content_type="text/csv", headers=headers
    )


def problems(answer: TestResponse) -> dict[str, Any]:
    errors: dict[str, Any] = assert_problem(answer, 422)["errors"]
    return errors["csv"]


def count(who: Person) -> int:
    number: int = who.get("/users/count").json["count"]
    return number


def outbox_of(app: Flask, email: str) -> list[dict[str, Any]]:
    with app.app_context(), operations():
        statement = sa.select(OutboxMessage.payload).where(
            OutboxMessage.payload["to"].astext == email
        )
        return list(db.session.scalars(statement))


def test_people_come_in_with_all_that_is_said_of_them(app: Flask, acme: Company) -> None:
    first, second = person(), person(role="admin")
    body = a_file(
        (*first[:3], "+48 22 100", "user", "pl", "Europe/Warsaw"),
        (*second[:3], "", "admin", "", ""),
        header=HEADER,
    )
    assert (
        acme.patch("/settings/", {"language": "fr", "timezone": "Europe/Paris"}).status_code == 200
    )
    answer = send(acme, body)
    assert (answer.status_code, answer.json) == (201, {"imported": 2, "lines": 2})
    found = acme.get(f"/users/?search={first[2]}").json["items"][0]
    user = acme.get(f"/users/{found['uuid']}").json
    said = (user["phone"], user["role"]["name"], user["language"], user["timezone"])
    assert said == ("+48 22 100", "user", "pl", "Europe/Warsaw")
    assert (user["is_active"], user["is_verified"]) == (True, False)
    with inside(app, acme.slug):
        other = db.session.scalars(sa.select(User).where(User.email == second[2])).one()
        assert (other.phone, other.language, other.timezone) == (None, "fr", "Europe/Paris")
        assert other.password_hash == "!"
        uuids = db.session.scalars(sa.select(User.uuid)).all()
        assert len(set(uuids)) == 3
        entry = db.session.scalars(
            sa.select(AuditEntry).where(AuditEntry.action == "user.imported")
        ).one()
        assert entry.details == {"users": 2, "roles": {"user": 1, "admin": 1}, "notified": False}
    with app.app_context(), control_plane():
        # Nobody has shown yet that the address is theirs.
        assert schemas_of(first[2]) == []
    assert outbox_of(app, first[2]) == []


def test_nobody_signs_in_without_a_password_of_their_own(acme: Company) -> None:
    someone = person()
    assert send(acme, a_file(someone)).status_code == 201
    for password in ("!", "", "correct horse battery"):
        answer = acme.client.post(
            "/auth/login",
            json={"email": someone[2], "password": password},
            headers={"tenant": acme.slug},
        )
        assert answer.status_code in (401, 422)


def test_they_are_told_where_that_is_wished(app: Flask, acme: Company) -> None:
    one, two = person(), person()
    body = a_file((*one, "pl"), (*two, "de"), header=(*SHORT, "language"))
    assert send(acme, body, "?notify=true").status_code == 201
    (polish,), (german,) = outbox_of(app, one[2]), outbox_of(app, two[2])
    assert polish["subject"].startswith("Twoje konto w Acme")
    assert german["subject"].startswith("Ihr Konto bei Acme")
    assert acme.slug in german["text"]
    assert "{" not in german["text"] + polish["text"]


def test_a_dry_run_only_checks(app: Flask, acme: Company) -> None:
    someone = person()
    answer = send(acme, a_file(someone), "?dry_run=true&notify=true")
    assert (answer.status_code, answer.json) == (200, {"imported": 0, "lines": 1})
    assert count(acme) == 1
    assert outbox_of(app, someone[2]) == []
    assert problems(send(acme, a_file(person("x")), "?dry_run=true")) == {
        "2": {"email": ["Not a valid email address."]}
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_files_as_spreadsheets_write_them(
    acme: Company, delimiter: str, end: str, mark: bytes
) -> None:
    body = a_file(person(), person(), delimiter=delimiter, end=end)
    answer = send(acme, mark + body + end.encode() * 3)
    assert (answer.status_code, answer.json) == (201, {"imported": 2, "lines": 2})


def test_everybody_or_nobody_and_each_line_is_told(acme: Company) -> None:
    twice = secrets.token_hex(8)
    body = a_file(
        person(),
        ("", "Hopper", "x", "user"),
        ("G" * 101, "Hopper", f"{twice}@example.com", "nobody"),
        ("Grace", " ", f"{twice.upper()}@EXAMPLE.com", "user"),
        ("Grace", "Hopper", acme.email.upper(), "user"),
        ("Grace", "Hopper"),
    )
    answer = send(acme, body)
    assert problems(answer) == {
        "3": {
            "first_name": ["Length must be between 1 and 100."],
            "email": ["Not a valid email address."],
        },
        "4": {
            "first_name": ["Length must be between 1 and 100."],
            "role": ["There is no such role."],
        },
        "5": {
            "last_name": ["Length must be between 1 and 100."],
            "email": ["Stands in line 4, too."],
        },
        "6": {"email": ["Another user has this email address."]},
        "7": {"line": ["Has 2 cells, not 4."]},
    }
    assert answer.json["errors"]["counts"] == {"bad_lines": 5, "lines": 6}
    assert count(acme) == 1


def test_lines_are_counted_as_an_editor_counts_them(acme: Company) -> None:
    body = (
        b'first_name,last_name,email,role\n"two\nlines",Hopper,a@example.com,user\n\nG,H,x,user\n'
    )
    assert set(problems(send(acme, body))) == {"5"}


def test_a_header_of_a_million_columns_gets_a_short_answer(acme: Company) -> None:
    names = b",".join(b"%d" % n for n in range(500_000))
    for body in (names, b"," * 5_000_000, b"\n" * 5_000_000, b"x," * 2_000_000 + b"\n1,2"):
        answer = send(acme, body)
        assert len(problems(answer)["1"]) < 30
        assert len(answer.data) < 5_000


def test_only_the_first_hundred_lines_are_told(acme: Company) -> None:
    answer = send(acme, a_file(*[person("x")] * 250))
    assert list(problems(answer)) == [str(n) for n in range(2, 102)]
    assert answer.json["errors"]["counts"] == {"bad_lines": 250, "lines": 250}


GOOD = a_file(person("good@example.com"))


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        pytest.param(b"", "1", "email", id="empty"),
        pytest.param(b"\xef\xbb\xbf", "1", "email", id="only a mark"),
        pytest.param(b"\n\n\n", "1", "email", id="only empty lines"),
        pytest.param(a_file(), "1", "line", id="only a header"),
        pytest.param(a_file(header=(*SHORT, "password")), "1", "password", id="unknown column"),
        pytest.param(a_file(header=(*SHORT, "email")), "1", "email", id="column twice"),
        pytest.param(a_file(header=SHORT[1:]), "1", "first_name", id="missing column"),
        pytest.param(GOOD + "Łódź".encode("cp1250"), "3", "line", id="wrong encoding"),
        pytest.param(GOOD.decode().encode("utf-16"), "1", "line", id="UTF-16"),
        pytest.param(GOOD + b"a,b\xed\xa0\x80,c,d", "3", "line", id="surrogate"),
        pytest.param(GOOD + b"a,\x00,c,d", "3", "line", id="null byte"),
        pytest.param(GOOD + b'a,"b,c,d', "3", "line", id="quote never closed"),
        pytest.param(GOOD + b'a,"b"b,c,d', "3", "line", id="text behind a quote"),
        pytest.param(GOOD + b'"' + b"a" * 200_000 + b'",b,c,d', "3", "line", id="huge cell"),
        pytest.param(b"PK\x03\x04\x14\x00\x06\x00", "1", "line", id="a spreadsheet"),
    ],
)
def test_files_that_are_none(acme: Company, body: bytes, line: str, column: str) -> None:
    assert column in problems(send(acme, body))[line]
    assert count(acme) == 1


class Endless(io.RawIOBase):
    """A body that tells how much of it was read."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.left = size
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        number = min(len(buffer), self.left)
        buffer[:number] = b"a" * number
        self.left -= number
        self.taken += number
        return number


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("key", [None, "k"])
def test_200_mb_are_refused_without_being_read(
    acme: Company, chunked: bool, key: str | None
) -> None:
    body = Endless(200_000_000)
    headers = {"Idempotency-Key": key} if key else {}
    length = {"wsgi.input_terminated": True} if chunked else {}
    environ: dict[str, Any] = {"wsgi.input": body, **length}
    if not chunked:
        environ["CONTENT_LENGTH"] = "200000000"
    answer = acme.call(
        "POST",
        "/users/import",
        content_type="text/csv",
        headers=headers,
        environ_overrides=environ,
    )
    assert_problem(answer, 413)
    assert body.taken <= (service.MAX_BYTES + 1_000_000 if chunked else 0)


def test_too_many_lines(acme: Company) -> None:
    body = a_file(*[("G", "H", f"{n}@example.com", "user") for n in range(10_001)])
    assert assert_problem(send(acme, body), 413)["type"] == "urn:todo:problem:too-many-lines"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "", "application/xml", "text/csv; charset=iso-8859-2"],
)
def test_only_csv_is_taken(acme: Company, content_type: str) -> None:
    answer = acme.call("POST", "/users/import", data=GOOD, content_type=content_type)
    assert_problem(answer, 415)


@pytest.mark.parametrize("query", ["dry_run=1", "dry_run=", "notify=yes", "x=1"])
def test_queries_that_it_does_not_take(acme: Company, query: str) -> None:
    assert "query" in assert_problem(send(acme, GOOD, f"?{query}"), 422)["errors"]


def test_who_may_import(app: Flask, acme: Company, globex: Company) -> None:
    stranger = Person(app.test_client(), acme.slug, "", "", "")
    assert_problem(send(stranger, GOOD), 401)
    for role in ("user", "read_only"):
        assert_problem(send(acme.add_person(role), GOOD), 403)
    assert_problem(send(globex, GOOD, tenant=acme.slug), 403)
    admin = acme.add_person("admin")
    before = count(acme)
    for role in ("admin", "master_admin"):
        assert_problem(send(admin, a_file(person(), person(role=role))), 403)
    assert count(acme) == before
    assert send(admin, a_file(person(), person(role="read_only"))).status_code == 201


def test_people_of_other_companies_and_deleted_ones_do_not_matter(
    acme: Company, globex: Company
) -> None:
    someone = person()
    assert send(globex, a_file(someone)).status_code == 201
    assert send(acme, a_file(someone)).status_code == 201
    found = acme.get(f"/users/?search={someone[2]}").json["items"][0]["uuid"]
    assert acme.delete(f"/users/{found}").status_code == 204
    assert send(acme, a_file(someone)).status_code == 201


def test_the_account_limit_holds(app: Flask, acme: Company) -> None:
    with app.app_context(), operations(), transaction():
        db.session.execute(
            sa.update(Tenant).where(Tenant.slug == acme.slug).values(account_limit=3)
        )
    answer = send(acme, a_file(person(), person(), person()))
    assert assert_problem(answer, 409)["type"] == "urn:todo:problem:account-limit"
    assert send(acme, a_file(person(), person())).status_code == 201


def test_the_same_file_twice_at_once_comes_in_once(app: Flask, acme: Company) -> None:
    rows = [person() for _ in range(300)]
    forwards, backwards = a_file(*rows), a_file(*reversed(rows))
    answers = at_once(
        app,
        (acme, lambda own: send(own, forwards)),
        (acme, lambda own: send(own, backwards)),
        (acme, lambda own: send(own, a_file(rows[150], person()))),
    )
    assert statuses(answers) in ([201, 422, 422], [201, 409, 422], [201, 409, 409])
    assert count(acme) in (301, 3)


def test_a_key_imports_once(acme: Company) -> None:
    body, key = a_file(person()), secrets.token_hex(8)
    headers = {"Idempotency-Key": key}
    first, again = send(acme, body, **headers), send(acme, body, **headers)
    assert first.status_code == again.status_code == 201
    assert first.json == again.json
    assert_problem(send(acme, a_file(person()), **headers), 409)
    assert count(acme) == 2
