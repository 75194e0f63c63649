"""Every route of the OpenAPI document asks for a token, keeps tenants apart, and obeys roles."""

from __future__ import annotations

import io
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from tests.factories import Company, Operator, Person, register, sign_in
from tests.todo_app.helpers import inside
from todo_app.auth import FRESH_SECONDS, SCOPES
from todo_app.database import db
from todo_app.sessions.models import AccessToken

OPEN_ROUTES = {
    ("POST", "/auth/register"),
    ("POST", "/auth/first_run"),
    ("POST", "/auth/login"),
    ("GET", "/auth/reset-password/{key}"),
    ("POST", "/auth/reset-password/{key}"),
    ("GET", "/auth/verify/{token}"),
    ("POST", "/users/invitations/accept"),
    ("GET", "/feeds/{secret}.ics"),
}
"""What anybody may call: written out, so that opening one more is a decision."""

OWN_OR_WITH_PERMISSION = {
    ("PUT", "/users/{user_uuid}/avatar"),
    ("DELETE", "/users/{user_uuid}/avatar"),
}
"""What people may do to themselves, and to others with a permission only."""

OUTSIDE_THE_DOCUMENT = {
    "/docs/",
    "/docs/<path:path>",
    "/health",
    "/health/ready",
    "/metrics",
    "/openapi.json",
}

NEEDED: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/lists/{list_uuid}/sections"): {"title": "Section"},
    ("POST", "/lists/{list_uuid}/fields"): {"name": "Field", "kind": "text"},
    ("PUT", "/lists/{list_uuid}/members/users/{user_uuid}"): {"access": "read"},
    ("PUT", "/lists/{list_uuid}/members/groups/{group_uuid}"): {"access": "read"},
    ("POST", "/tags/{tag_uuid}/merge"): {"into_uuid": str(uuid.uuid4())},
    ("POST", "/tasks/{task_uuid}/relations"): {"kind": "blocks", "other_uuid": str(uuid.uuid4())},
    ("POST", "/tasks/{task_uuid}/time-entries"): {
        "started_at": "2026-03-01T09:00:00Z",
        "ended_at": "2026-03-01T10:00:00Z",
    },
    ("POST", "/webhooks/{webhook_uuid}/replay"): {"since": "2026-03-01T09:00:00Z"},
}
"""Of the operations with an id in their path, the bodies that are not empty."""

PARAMETER = re.compile(r"\{(\w+)\}")


class Operation(NamedTuple):
    method: str
    path: str
    spec: dict[str, Any]

    @property
    def is_for_operators(self) -> bool:
        return self.spec["security"] == [{"operator": []}]

    @property
    def is_for_people(self) -> bool:
        return not self.is_for_operators and (self.method, self.path) not in OPEN_ROUTES

    @property
    def permission(self) -> str | None:
        """What the caller's role must have."""
        return self.spec.get("x-permission")

    @property
    def scope(self) -> str | None:
        """What an API token must have; None where only a session will do."""
        scheme = next(iter(self.spec["security"]), {})
        return scheme["bearer"][0] if "bearer" in scheme else None


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


def fill(path: str, ids: dict[str, str]) -> str:
    """The path with an id for each parameter: of `ids` where it is there, else one of nothing."""
    ids = {"run_id": "999999999", **ids}
    return PARAMETER.sub(lambda match: ids.get(match[1]) or str(uuid.uuid4()), path)


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
        path = fill(operation.path, {})
        answer = client.open(path, method=operation.method, headers={"tenant": company.slug})
        if answer.status_code == 401:
            assert answer.content_type == "application/problem+json"
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        else:
            opened.add((operation.method, operation.path))
    assert opened == OPEN_ROUTES


@pytest.mark.long
def test_another_tenants_ids_are_404(
    company: Company, globex: Company, all_operations: list[Operation]
) -> None:
    """Ids that exist, but in another company; bodies are valid, so that only the id can fail."""
    checked = 0
    for operation in all_operations:
        if not operation.is_for_people or "{" not in operation.path:
            continue
        path = fill(operation.path, things_of(company))
        body = body_of(operation)
        assert globex.call(operation.method, path, **body).status_code == 404, operation[:2]
        # The same call is no 404 for those whose it is, so only the owner makes the difference.
        answer = company.call(operation.method, path, **body)
        assert answer.status_code not in (401, 403, 404, 500), (operation[:2], answer.json)
        checked += 1
    assert checked >= 30


def things_of(company: Company) -> dict[str, str]:
    """One thing of each kind, fresh, so that a DELETE of the walk takes nothing away."""
    number = uuid.uuid4().hex

    def made(path: str, body: dict[str, Any]) -> str:
        answer = company.post(path, body)
        assert answer.status_code == 201, (path, answer.json)
        return str(answer.json["uuid"])

    todo_list = made("/lists/", {"title": "List"})
    task = made("/tasks/", {"title": "Task", "list_uuid": todo_list})
    attachment = made(f"/tasks/{task}/attachments?name=a.txt", {})
    other = made("/tasks/", {"title": "Other", "list_uuid": todo_list})
    spent = NEEDED["POST", "/tasks/{task_uuid}/time-entries"]
    person = company.add_person()
    avatar = f"/users/{person.uuid}/avatar"
    company.call("PUT", avatar, data=picture(), content_type="image/png")
    user_role = company.role_uuid("user")
    invitation = {"email": f"{number}@example.com", "role_uuid": user_role}
    sign_in(company.client, company.slug, company.email)
    sessions = company.get("/auth/sessions").json["items"]
    feeds = company.get("/feeds/").json["items"]
    tokens = company.get("/auth/tokens/").json["items"]
    webhooks = company.get("/webhooks/").json["items"]
    to = {"url": "https://hooks.example.com/", "events": ["*"]}
    webhook = next((each["uuid"] for each in webhooks), None) or made("/webhooks/", to)
    return {
        "list_uuid": todo_list,
        "section_uuid": made(f"/lists/{todo_list}/sections", {"title": "Section"}),
        "field_uuid": made(f"/lists/{todo_list}/fields", {"name": "Field", "kind": "text"}),
        "tag_uuid": made("/tags/", {"name": number}),
        "filter_uuid": made("/filters/", {"title": number, "filter": "status = new"}),
        "task_uuid": task,
        "relation_uuid": made(f"/tasks/{task}/relations", {"kind": "relates", "other_uuid": other}),
        "entry_uuid": made(f"/tasks/{task}/time-entries", spent),
        "attachment_uuid": attachment,
        "comment_uuid": made("/comments/", {"task_uuid": task, "text": "Comment"}),
        "reminder_uuid": made("/reminders/", {"task_uuid": task, "seconds_before": 60}),
        "user_uuid": person.uuid,
        "group_uuid": made("/groups/", {"name": number}),
        "role_uuid": made("/permissions/", {"title": number, "permissions": ["tasks:read"]}),
        "invitation_uuid": made("/users/invitations/", invitation),
        "session_uuid": next(s["uuid"] for s in sessions if not s["is_current"]),
        # There are only so many.
        "feed_uuid": next((feed["uuid"] for feed in feeds), None) or made("/feeds/", {}),
        "token_uuid": next((token["uuid"] for token in tokens), None)
        or api_token(company, ["tasks:read"])["uuid"],
        "webhook_uuid": webhook,
        "delivery_uuid": made(f"/webhooks/{webhook}/test", {}),
    }


def body_of(operation: Operation) -> dict[str, Any]:
    """What the test client sends with it."""
    if operation.method == "PUT" and operation.path.endswith("/avatar"):
        return {"data": picture(), "content_type": "image/png"}
    if operation.method not in ("POST", "PATCH", "PUT"):
        return {}
    return {"json": NEEDED.get((operation.method, operation.path), {})}


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "png")
    return out.getvalue()


def api_token(person: Person, scopes: list[str]) -> dict[str, Any]:
    """A new API token, as the answer that shows its secret has it."""
    expires_at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"name": "Walk", "scopes": scopes, "expires_at": expires_at}
    answer = person.post("/auth/tokens", body)
    assert answer.status_code == 201, answer.json
    made: dict[str, Any] = answer.json
    return made


def test_a_read_only_role_may_do_what_its_permissions_say(
    reader: Person, all_operations: list[Operation]
) -> None:
    refused = 0
    for operation in all_operations:
        if not operation.is_for_people or operation.path == "/auth/logout":
            continue
        path = fill(operation.path, {})
        status = reader.call(operation.method, path, **body_of(operation)).status_code
        if operation[:2] in OWN_OR_WITH_PERMISSION:
            assert status == 403, operation[:2]
        elif operation.permission in (None, "users:read", "tasks:read"):
            assert status != 403, operation[:2]
            assert operation.permission is None or operation.method == "GET", operation[:2]
        else:
            assert status == 403, operation[:2]
            refused += 1
    assert refused > 20


def test_an_api_token_may_do_what_the_document_says_of_its_scopes(
    company: Company, all_operations: list[Operation]
) -> None:
    """Of a master administrator, so that only the scope can be missing."""
    tokens = {scope: api_token(company, [scope])["token"] for scope in SCOPES}
    for operation in all_operations:
        if not operation.is_for_people:
            continue
        assert operation.scope in (*SCOPES, None)
        path = fill(operation.path, {})
        for scope, token in tokens.items():
            caller = replace(company, token=token)
            answer = caller.call(operation.method, path, **body_of(operation))
            case = (operation[:2], scope)
            is_good = operation.scope is not None and scope in (operation.scope, "admin")
            if is_good:
                assert answer.status_code not in (401, 403), case
                continue
            assert answer.status_code == 403, case
            assert answer.json["type"] == "urn:todo:problem:insufficient-scope", case
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
            if operation.scope:
                assert f'scope="{operation.scope}"' in answer.headers["WWW-Authenticate"]


def test_dangerous_operations_ask_for_the_password_again(
    app: Flask, acme: Company, all_operations: list[Operation]
) -> None:
    with inside(app, acme.slug):
        long_ago = sa.func.now() - timedelta(seconds=FRESH_SECONDS + 60)
        db.session.execute(sa.update(AccessToken).values(authenticated_at=long_ago))
    asked = 0
    for operation in all_operations:
        if not operation.is_for_people or operation.path == "/auth/logout":
            continue
        if operation.method == "DELETE" and operation.path == "/auth/sessions":
            continue
        path = fill(operation.path, {})
        answer = acme.call(operation.method, path, **body_of(operation))
        is_asked = answer.status_code == 401 and answer.json["type"].endswith(":step-up-needed")
        assert is_asked == operation.spec.get("x-step-up", False), (operation[:2], answer.json)
        asked += is_asked
    assert asked >= 5


def test_operators_routes_take_no_tenants_token(
    company: Company, all_operations: list[Operation]
) -> None:
    for operation in all_operations:
        if operation.is_for_operators:
            path = fill(operation.path, {})
            assert company.call(operation.method, path).status_code == 401


def test_tenants_routes_take_no_operators_token(
    cc: Operator, company: Company, all_operations: list[Operation]
) -> None:
    for operation in all_operations:
        if not operation.is_for_people:
            continue
        path = fill(operation.path, {})
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
        is_repeatable = (
            operation.is_for_operators or operation.scope or operation.path == "/auth/register"
        )
        if operation.method == "POST" and is_repeatable:
            names = [parameter.get("name") for parameter in operation.spec["parameters"]]
            assert "Idempotency-Key" in names


@pytest.mark.parametrize("path", ["/users", "/users/"])
def test_both_spellings_answer_without_a_redirect(company: Company, path: str) -> None:
    assert company.get(path).status_code == 200
