"""schemathesis over the OpenAPI document: no 5xx, no answer that the document does not allow."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.factories import Company, register, sign_in

EXAMPLES = 20

ENDS_SESSIONS = ("/auth/logout", "/auth/sessions")
CHECKS_PASSWORDS = ("/auth/login", "/auth/first_run", "/auth/step-up", "/auth/password")

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


AWAY = [check for check in CHECKS if check is not not_a_server_error]
"""For an answer that says, as it should, that no worker runs: it may meet another test's run."""


def is_without_worker(answer: Any) -> bool:
    """Whether an operation could not begin because nobody would do its work."""
    return bool(answer.status_code == 503 and answer.json()["type"] == "urn:todo:problem:no-worker")


@pytest.fixture(scope="session")
def fuzzed(app: Flask) -> Company:
    """A company that takes all the nonsense."""
    company = register(app.test_client(), "Fuzzed")
    todo_list = company.post("/lists/", {"title": "List"}).json["uuid"]
    company.post("/tasks/", {"title": "Task", "list_uuid": todo_list})
    return company


@pytest.mark.usefixtures("dropped_again")
@pytest.mark.long
def test_every_answer_is_one_that_the_document_allows(
    app: Flask, fuzzed: Company, operator: str, subtests: pytest.Subtests
) -> None:
    document = schemathesis.openapi.from_wsgi("/openapi.json", app)
    seen: Counter[int] = Counter()
    operations = [result.ok() for result in document.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        with subtests.test(operation.label):
            _try(operation, fuzzed, operator, seen)
    assert set(seen) >= {200, 201, 204, 404, 422}, "it must get past the guards and the parser"


def _try(operation: Any, fuzzed: Company, operator: str, seen: Counter[int]) -> None:
    # Somebody new, whose password was just shown, who may do everything.
    person = fuzzed.add_person("master_admin")

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def answers_as_documented(case: Any) -> None:
        token = operator if operation.path.startswith("/cc") else person.token
        if operation.path in ENDS_SESSIONS:
            token = sign_in(person.client, person.slug, person.email).token
        # What schemathesis makes up for this header names no tenant.
        headers = {"Authorization": f"Bearer {token}", "tenant": fuzzed.slug}
        answer = case.call(headers=headers)
        case.validate_response(answer, checks=AWAY if is_without_worker(answer) else CHECKS)
        status = answer.status_code
        assert status != 401 or operation.path in CHECKS_PASSWORDS
        seen[status] += 1

    answers_as_documented()
