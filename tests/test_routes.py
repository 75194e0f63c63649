"""Every route of the OpenAPI document asks for a token, keeps tenants apart, and obeys roles."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import Company, Operator, Person, register

OPEN_ROUTES = {
    ("POST", "/auth/register"),
    ("POST", "/auth/login"),
    ("GET", "/auth/verify/{token}"),
}
"""What anybody may call: written out, so that opening one more is a decision."""

ADMINS_READ = {"/account/backup"}
"""What may be read by administrators alone."""

OUTSIDE_THE_DOCUMENT = {
    "/docs/",
    "/docs/<path:path>",
    "/health",
    "/health/ready",
    "/metrics",
    "/openapi.json",
}


class Operation(NamedTuple):
    method: str
    path: str
    spec: dict[str, Any]

    @property
    def is_for_operators(self) -> bool:
        return self.spec["security"] == [{"operator": []}]

    @property
    def is_write(self) -> bool:
        return self.method != "GET" and self.path != "/auth/logout"


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    return app.test_client().get("/openapi.json").json


@pytest.fixture(scope="module")
def all_operations(document: dict[str, Any]) -> list[Operation]:
    return [
        Operation(method.upper(), path, spec)
        for path, methods in document["paths"].items()
        for method, spec in methods.items()
        if method != "parameters"
    ]


@pytest.fixture(scope="module")
def company(app: Flask) -> Company:
    return register(app.test_client(), "Walk")


@pytest.fixture(scope="module")
def reader(company: Company) -> Person:
    return company.add_person("read_only")


def fill(path: str, value: str) -> str:
    path = path.replace("{run_id}", "999999999")
    while "{" in path:
        path = path[: path.index("{")] + value + path[path.index("}") + 1 :]
    return path


def test_the_document_has_every_route(app: Flask, document: dict[str, Any]) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules()} - OUTSIDE_THE_DOCUMENT
    documented = {path.replace("{", "<").replace("}", ">") for path in document["paths"]}
    assert {_without_converters(rule) for rule in rules} == documented


def _without_converters(rule: str) -> str:
    for converter in ("uuid:", "string:", "path:", "int:"):
        rule = rule.replace(converter, "")
    return rule


def test_without_a_token_every_route_but_the_open_ones_is_401(
    client: FlaskClient, company: Company, all_operations: list[Operation]
) -> None:
    assert len(all_operations) > 20
    opened = set()
    for operation in all_operations:
        path = fill(operation.path, str(uuid.uuid4()))
        answer = client.open(path, method=operation.method, headers={"tenant": company.slug})
        if answer.status_code == 401:
            assert answer.content_type == "application/problem+json"
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        else:
            opened.add((operation.method, operation.path))
    assert opened == OPEN_ROUTES


def test_another_tenants_ids_are_404(
    company: Company, globex: Company, all_operations: list[Operation]
) -> None:
    """Ids that exist, but in another company; bodies are valid, so that only the id can fail."""
    ids = things_of(company)
    checked = 0
    for operation in all_operations:
        if operation.is_for_operators or "{" not in operation.path:
            continue
        if operation.path.startswith("/auth"):
            continue
        kind = operation.path.split("/")[1]
        path = fill(operation.path, ids[kind])
        body = {} if operation.method == "PATCH" else None
        assert globex.call(operation.method, path, json=body).status_code == 404, operation[:2]
        # The same call is good for those whose it is, so only the owner can make the difference.
        assert company.call(operation.method, path, json=body).status_code < 300, operation[:2]
        ids = things_of(company)
        checked += 1
    assert checked >= 9


def things_of(company: Company) -> dict[str, str]:
    """One thing of each kind, fresh, so that a DELETE of the walk takes nothing away."""
    todo_list = company.post("/lists/", {"title": "List"}).json["uuid"]
    task = company.post("/tasks/", {"title": "Task", "list_uuid": todo_list}).json["uuid"]
    return {"lists": todo_list, "tasks": task, "users": company.add_person().uuid}


def test_a_read_only_role_may_read_and_not_write(
    reader: Person, all_operations: list[Operation]
) -> None:
    for operation in all_operations:
        if operation.is_for_operators or (operation.method, operation.path) in OPEN_ROUTES:
            continue
        if operation.path == "/auth/logout":
            continue
        path = fill(operation.path, str(uuid.uuid4()))
        status = reader.call(operation.method, path, json={} if operation.is_write else None)
        if operation.is_write or operation.path in ADMINS_READ:
            assert status.status_code == 403, operation[:2]
        else:
            assert status.status_code in (200, 404), operation[:2]


def test_operators_routes_take_no_tenants_token(
    company: Company, all_operations: list[Operation]
) -> None:
    for operation in all_operations:
        if operation.is_for_operators:
            path = fill(operation.path, str(uuid.uuid4()))
            assert company.call(operation.method, path).status_code == 401


def test_tenants_routes_take_no_operators_token(
    cc: Operator, company: Company, all_operations: list[Operation]
) -> None:
    for operation in all_operations:
        if operation.is_for_operators or (operation.method, operation.path) in OPEN_ROUTES:
            continue
        path = fill(operation.path, str(uuid.uuid4()))
        answer = cc.call(operation.method, path, headers={"tenant": company.slug})
        assert answer.status_code == 401


def test_every_operation_is_documented(all_operations: list[Operation]) -> None:
    for operation in all_operations:
        assert operation.spec.get("summary"), operation[:2]
        answers = operation.spec["responses"]
        assert any(status.startswith("2") for status in answers)
        assert {"400", "500", "503"} <= set(answers)
        for status, answer in answers.items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (operation, status)
        if operation.method == "POST" and operation.path != "/auth/login":
            names = [parameter.get("name") for parameter in operation.spec["parameters"]]
            assert "Idempotency-Key" in names


@pytest.mark.parametrize("path", ["/users", "/users/"])
def test_both_spellings_answer_without_a_redirect(company: Company, path: str) -> None:
    assert company.get(path).status_code == 200
