"""Companies that the tests of one module share where they do not change them."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.factories import Company, Person, register


@pytest.fixture(scope="module")
def company(app: Flask) -> Company:
    """A company whose people no test changes."""
    return register(app.test_client(), "Shared")


@pytest.fixture(scope="module")
def stranger(app: Flask) -> Company:
    """Another company."""
    return register(app.test_client(), "Stranger")


@pytest.fixture(scope="module")
def people(company: Company) -> dict[str, Person]:
    """One person of each role."""
    roles = ("admin", "user", "read_only")
    return {"master_admin": company, **{role: company.add_person(role) for role in roles}}
