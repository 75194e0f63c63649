"""GET /users/export, and that what it writes can be read again."""

from __future__ import annotations

import csv
import io
import secrets
import tracemalloc

import marshmallow as ma
import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import Company, Person, register
from tests.todo_app.helpers import assert_problem, inside
from tests.todo_app.transfer.test_import import HEADER, a_file, person, send
from todo_app.accounts.models import User
from todo_app.accounts.schemas import UserCreateSchema
from todo_app.audit.models import AuditEntry
from todo_app.database import db
from todo_app.errors import InvalidInputError
from todo_app.permissions.models import Role
from todo_app.transfer import service
from todo_app.transfer.csv_files import read, with_apostrophe, without_apostrophe, write
from todo_app.transfer.routes import USER_LINE

FORMULAS = [
    "=1+1",
    "+48 22",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff20a",
]


def exported(who: Person) -> list[list[str]]:
    answer = who.get("/users/export")
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text, newline=""), strict=True))


def test_all_who_are_not_deleted_come_out(app: Flask, acme: Company, globex: Company) -> None:
    stays, goes = person(role="read_only"), person()
    rows = (
        (*stays[:3], "+48 22", "read_only", "pl", "Europe/Warsaw"),
        (*goes[:3], "", "user", "", ""),
    )
    assert send(acme, a_file(*rows, header=HEADER)).status_code == 201
    found = acme.get(f"/users/?search={goes[2]}").json["items"][0]["uuid"]
    assert acme.delete(f"/users/{found}").status_code == 204
    header, boss, other = exported(acme)
    assert tuple(header) == HEADER
    assert boss == ["Ada", "Lovelace", acme.email, "", "master_admin", "en-US", "UTC"]
    assert other == ["Grace", "Hopper", stays[2], "'+48 22", "read_only", "pl", "Europe/Warsaw"]
    answer = acme.get("/users/export")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={acme.slug}-users.csv"
    with inside(app, acme.slug):
        entries = db.session.scalars(
            sa.select(AuditEntry).where(AuditEntry.action == "user.exported")
        ).all()
        assert [entry.details for entry in entries] == [{"users": 2}] * 2


def test_who_may_export(app: Flask, acme: Company, globex: Company) -> None:
    assert_problem(Person(app.test_client(), acme.slug, "", "", "").get("/users/export"), 401)
    for role in ("user", "read_only"):
        assert_problem(acme.add_person(role).get("/users/export"), 403)
    assert_problem(globex.get("/users/export", headers={"tenant": acme.slug}), 403)
    assert len(exported(acme.add_person("admin"))) == 5


def test_thousands_come_out_in_bounded_memory_and_each_once(app: Flask) -> None:
    company = register(app.test_client(), "Large")
    with inside(app, company.slug):
        role_id = db.session.scalars(sa.select(Role.id).where(Role.name == "user")).one()
        db.session.execute(
            sa.text(
                "INSERT INTO users (first_name, last_name, email, password_hash, role_id)"
                " SELECT repeat('Ł', 100), repeat('n', 100), n || '@example.com', '!', :role_id"
                " FROM generate_series(1, 20000) AS n"
            ),
            {"role_id": role_id},
        )
    tracemalloc.start()
    answer = company.get("/users/export", buffered=False)
    size = sum(map(len, answer.iter_encoded()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 6_000_000
    assert peak < size / 2
    emails = [row[2] for row in exported(company)[1:]]
    assert len(emails) == len(set(emails)) == 20_001


@pytest.mark.parametrize("text", FORMULAS)
def test_no_spreadsheet_computes_with_a_cell(text: str) -> None:
    assert with_apostrophe(text) == "'" + text
    assert with_apostrophe("'" + text) == "''" + text
    (cell,) = next(csv.reader(io.StringIO(write(["a"], [{"a": text}]).decode(), newline="")))
    assert cell == "'" + text


def test_an_apostrophe_of_ones_own_stays() -> None:
    for text in ("'t Hooft", "O'Brien", "'", "''", "' =1"):
        assert with_apostrophe(text) == without_apostrophe(text) == text


@given(st.text(alphabet=st.one_of(st.sampled_from("'=+-@\t\r\n\uff1d;,\" a"), st.characters())))
def test_any_cell_comes_back_as_it_was(text: str) -> None:
    assert without_apostrophe(with_apostrophe(text)) == text


NAMES = st.text(
    alphabet=st.one_of(
        st.sampled_from("'=+-@\uff1d\uff20;,\" \n"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=100,
).filter(lambda text: text.strip())


@settings(max_examples=25, deadline=None)
@given(people=st.lists(st.tuples(NAMES, NAMES, st.text("+0123456789 =-", max_size=30)), max_size=5))
def test_what_was_exported_can_be_imported_elsewhere(
    app: Flask, company: Company, people: list[tuple[str, str, str]]
) -> None:
    with inside(app, company.slug):
        db.session.execute(sa.delete(User).where(User.email != company.email))
        role = db.session.scalars(sa.select(Role).where(Role.name == "user")).one()
        for first_name, last_name, phone in people:
            names = {"first_name": first_name.strip(), "last_name": last_name.strip()}
            email = f"={secrets.token_hex(8)}@example.com"
            user = User(**names, email=email, phone=phone.strip() or None, password_hash="!")
            user.role = role
            db.session.add(user)
    before = exported(company)
    assert len(before) == len(people) + 2
    boss = before.pop(1)
    with inside(app, company.slug):
        db.session.execute(sa.delete(User).where(User.email != company.email))
    if people:
        answer = send(company, a_file(*before[1:], header=before[0]))
        assert answer.status_code == 201, answer.json
    header, again, *others = exported(company)
    assert [header, again] == [before[0], boss]
    assert sorted(others) == sorted(before[1:])


CELLS = st.one_of(
    st.text(max_size=12),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=95, max_size=105),
    st.emails(),
    st.sampled_from(
        ["de", "en-US", "xx", "UTC", "Europe/Warsaw", "utc", " de ", "ÄÖ@exämple.com", "A@B.CO"]
    ),
)


@settings(max_examples=300, deadline=None)
@given(cells=st.fixed_dictionaries({name: CELLS for name in HEADER if name != "role"}))
def test_a_line_is_taken_just_where_the_api_takes_it(cells: dict[str, str]) -> None:
    row = {**cells, "role": "user"}
    file = write(HEADER, [dict(zip(HEADER, HEADER, strict=True)), row])
    # An empty cell is what JSON leaves out.
    optional = ("phone", "language", "timezone")
    body = {name: cell for name, cell in cells.items() if cell.strip() or name not in optional}
    extra = {"password": "correct horse battery", "role_uuid": "0" * 32}
    try:
        wanted = UserCreateSchema().load({**body, **extra})
        problems = {}
    except ma.ValidationError as error:
        problems = dict(error.messages_dict)
    try:
        lines, report = read(file, USER_LINE, 10)
    except InvalidInputError:
        assert "\x00" in "".join(cells.values())
        return
    if not problems:
        report.raise_if_any()
        (line,) = lines
        assert {name: line.values[name] for name in body} == {name: wanted[name] for name in body}
        return
    with pytest.raises(InvalidInputError) as raised:
        report.raise_if_any()
    assert raised.value.errors is not None
    (told,) = raised.value.errors["csv"].values()
    assert told == problems


def test_the_import_takes_no_more_than_it_says() -> None:
    assert (service.MAX_LINES, service.MAX_BYTES) == (10_000, 5 * 2**20)
