"""Who may register: mailboxes that last, and companies that are not there yet."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import Operator, registration
from tests.todo_app.helpers import assert_problem, at_once, statuses
from tests.todo_app.registration.kit import address, anonymous
from todo_app.database import db
from todo_app.registration.checks import compact_tax_id
from todo_app.tenancy import operations
from todo_app.tenants.models import Tenant

VALID = {
    "PL5260250274": "PL5260250274",
    "pl 526-025-02-74": "PL5260250274",
    "DE136695976": "DE136695976",
    "FR 40 303 265 045": "FR40303265045",
    "ATU13585627": "ATU13585627",
    "EL094259216": "EL094259216",
    "GR094259216": "EL094259216",
    "CHE-107.787.577 IVA": "CHE107787577IVA",
    "NO 995 525 828 MVA": "NO995525828MVA",
    "IN27AAPFU0939F1ZV": "IN27AAPFU0939F1ZV",
}
NO_TAX_IDS = [
    "PL5260250275",
    "PL",
    "5260250274",
    "XX5260250274",
    "EUPL5260250274",
    "DE1",
    "PL" + "\u0665" * 10,
    "'; DROP TABLE tenants --",
    "💰💰💰💰",
    "P" * 50,
]


def body(tax_id: Any = None, email: str | None = None) -> dict[str, Any]:
    made = registration("Taxed", email or address())
    if tax_id is not None:
        made["company"]["tax_id"] = tax_id
    return made


def tax_id(number: int) -> str:
    """A Polish tax id with the right check digit; each number has its own."""
    for digits in range(number * 100 + 10, number * 100 + 100):
        base = f"{digits:09d}"
        weights = (6, 5, 7, 2, 3, 4, 5, 6, 7)
        check = sum(int(a) * b for a, b in zip(base, weights, strict=True)) % 11
        if check < 10:
            return f"PL{base}{check}"
    raise AssertionError


@pytest.mark.parametrize("text", VALID)
def test_tax_ids_are_compared_in_one_form(text: str) -> None:
    assert compact_tax_id(text) == VALID[text]


@pytest.mark.parametrize("text", NO_TAX_IDS)
def test_what_is_no_tax_id(client: FlaskClient, text: str) -> None:
    problem = assert_problem(client.post("/auth/register", json=body(text)), 422)
    (message,) = problem["errors"]["json"]["company"]["tax_id"]
    assert "prefix" in message or "check digit" in message


def test_a_company_registers_once(app: Flask, client: FlaskClient) -> None:
    wanted = tax_id(1)
    spaced = f" {wanted[:5]}-{wanted[5:8]} {wanted[8:]}".lower()
    assert client.post("/auth/register", json=body(spaced)).status_code == 201
    problem = assert_problem(client.post("/auth/register", json=body(wanted)), 409)
    assert problem["type"] == "urn:todo:problem:company-exists"
    assert "administrator" in problem["detail"]
    with app.app_context(), operations():
        found = db.session.scalars(sa.select(Tenant.tax_id).where(Tenant.tax_id == wanted))
        assert list(found) == [wanted]


def test_at_the_same_instant_it_registers_once(app: Flask, client: FlaskClient) -> None:
    calls = [(anonymous(client), lambda own: own.post("/auth/register", body(tax_id(2))))] * 2
    assert statuses(at_once(app, *calls)) == [201, 409]


def test_what_an_operator_has_written_is_compared_too(client: FlaskClient, cc: Operator) -> None:
    wanted = tax_id(3)
    cc.post("/cc/create", {"name": "By hand", "tax_id": f"{wanted[:6]} {wanted[6:]}".lower()})
    assert_problem(client.post("/auth/register", json=body(wanted)), 409)


def test_a_company_that_is_deleted_may_come_back(client: FlaskClient, cc: Operator) -> None:
    wanted = tax_id(4)
    slug = client.post("/auth/register", json=body(wanted)).json["tenant"]["slug"]
    assert cc.delete(f"/cc/{slug}?confirm={slug}").status_code == 202
    assert client.post("/auth/register", json=body(wanted)).status_code == 201


def test_companies_without_a_tax_id_do_not_meet(client: FlaskClient) -> None:
    for _ in range(2):
        assert client.post("/auth/register", json=body()).status_code == 201


@pytest.mark.parametrize("domain", ["mailinator.com", "MAILINATOR.com", "a.b.mailinator.com"])
def test_mailboxes_for_minutes_are_refused(client: FlaskClient, domain: str) -> None:
    answer = client.post("/auth/register", json=body(email=f"ada@{domain}"))
    assert set(assert_problem(answer, 422)["errors"]["json"]["user"]) == {"email"}


def test_a_domain_that_only_looks_like_one_is_fine(client: FlaskClient) -> None:
    answer = client.post("/auth/register", json=body(email="ada@notmailinator.com.example"))
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "password",
    [
        "password123",
        "Ada Lovelace",
        "lovelace-ada 1815",
        "Taxed2024!",
        "ADA.L@example.com",
        "ada.l123",
    ],
)
def test_common_and_own_words_are_no_password(client: FlaskClient, password: str) -> None:
    made = body(email="ada.l@example.com")
    made["user"]["password"] = password
    problem = assert_problem(client.post("/auth/register", json=made), 422)
    assert set(problem["errors"]["json"]["user"]) == {"password"}
