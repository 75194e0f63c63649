"""A client that openapi-python-client makes of the OpenAPI document works through a day's tasks.

It is made without a warning, and talks to the API as it runs in production, over HTTP.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.factories import PASSWORD, Company, register
from tests.live import ROOT, gunicorn
from tests.todo_app.todos.shapes import add_list

PACKAGE = "todo_backend_client"
SETTINGS = ROOT / "docs/client.yaml"


class Generated:
    """The package that was made, whose modules are imported by their names."""

    def __init__(self) -> None:
        self.models: Any = import_module(f"{PACKAGE}.models")
        self.types: Any = import_module(f"{PACKAGE}.types")
        self.package: Any = import_module(PACKAGE)

    def call(self, tag: str, operation: str, *path: Any, **arguments: Any) -> Any:
        """Send a request and wait for the answer: `status_code`, `headers`, and `parsed`."""
        return import_module(f"{PACKAGE}.api.{tag}.{operation}").sync_detailed(*path, **arguments)


@pytest.fixture(scope="module")
def generated(app: Flask, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    """A client of the whole API, made as the documentation says."""
    directory = tmp_path_factory.mktemp("client")
    document = directory / "openapi.json"
    document.write_text(json.dumps(app.test_client().get("/openapi.json").json))
    made = subprocess.run(
        [
            *("openapi-python-client", "generate", "--fail-on-warning", "--meta", "none"),
            *("--path", str(document), "--config", str(SETTINGS)),
            *("--output-path", str(directory / PACKAGE)),
        ],
        env={"PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    output = made.stdout + made.stderr
    assert made.returncode == 0, output
    assert "warning" not in output.lower(), output
    sys.path.insert(0, str(directory))
    yield Generated()
    sys.path.remove(str(directory))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def url(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the API answers."""
    with gunicorn(environment, tmp_path_factory.mktemp("api")) as url:
        yield url


@pytest.fixture(scope="module")
def company(app: Flask) -> Company:
    return register(app.test_client(), "Client")


@pytest.fixture
def caller(generated: Generated, url: str, company: Company) -> Iterator[Any]:
    """The generated client, signed in by itself."""
    options = {"raise_on_unexpected_status": True, "httpx_args": {"trust_env": False}}
    login = generated.models.Login(email=company.email, password=PASSWORD)
    with generated.package.Client(base_url=url, **options) as anonymous:
        answer = generated.call(
            "sessions", "login", client=anonymous, body=login, tenant=company.slug
        )
    assert answer.status_code == 200
    assert answer.parsed.user.email == company.email
    token = answer.parsed.token
    with generated.package.AuthenticatedClient(base_url=url, token=token, **options) as signed_in:
        yield signed_in


def test_every_operation_is_there(generated: Generated, app: Flask) -> None:
    document: Any = app.test_client().get("/openapi.json").json
    operations = [
        operation
        for methods in document["paths"].values()
        for method, operation in methods.items()
        if method != "parameters"
    ]
    assert len(operations) > 100
    for operation in operations:
        module = f"{PACKAGE}.api.{operation['tags'][0].replace('-', '_')}"
        assert import_module(f"{module}.{operation['operationId']}").sync_detailed


def test_a_day(generated: Generated, caller: Any) -> None:
    models = generated.models

    def call(tag: str, operation: str, *path: Any, **arguments: Any) -> Any:
        return generated.call(tag, operation, *path, client=caller, **arguments)

    made = call("lists", "create_list", body=models.TodoListCreate(title="Errands"))
    assert made.status_code == 201
    list_uuid = made.parsed.uuid
    tag = call("tags", "create_tag", body=models.TagCreate(name="urgent")).parsed

    # The same request, sent twice: one task.
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    body = models.TaskCreate(
        list_uuid=list_uuid, title="Buy milk", priority=4, due_at=due, tag_uuids=[tag.uuid]
    )
    key = uuid.uuid4().hex
    first, again = (call("tasks", "create_task", body=body, idempotency_key=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    task = first.parsed
    assert again.parsed.uuid == task.uuid
    assert task.due_at == due
    assert [one.name for one in task.tags] == ["urgent"]
    for number in range(5):
        plain = models.TaskCreate(list_uuid=list_uuid, title=f"Errand {number}")
        assert call("tasks", "create_task", body=plain).status_code == 201

    # Filters.
    condition = "priority >= 3 and due < now+7d and status != done"
    found = call("tasks", "list_tasks", filter_=condition).parsed
    assert [one.title for one in found.items] == ["Buy milk"]
    wrong = call("tasks", "list_tasks", filter_="priority >=")
    assert wrong.status_code == 422
    assert wrong.parsed.status == 422

    # Pages.
    seen: list[str] = []
    number = pages = 1
    while number <= pages:
        page = call("tasks", "list_tasks", list_uuid=list_uuid, page=number, size=4).parsed
        seen += [one.title for one in page.items]
        number, pages = number + 1, page.pages
    assert sorted(seen) == ["Buy milk", *(f"Errand {number}" for number in range(5))]

    # Two who change the same thing.
    etag = first.headers["ETag"]
    change = models.TaskChange(title="Buy oat milk")
    won = call("tasks", "change_task", task.uuid, body=change, if_match=etag)
    assert won.status_code == 200
    assert won.parsed.title == "Buy oat milk"
    assert won.parsed.priority == 4, "what is not sent stays"
    lost = call("tasks", "change_task", task.uuid, body=change, if_match=etag)
    assert lost.status_code == 412
    assert lost.parsed.type_ == "urn:todo:problem:precondition-failed"

    # Many at once.
    operations = [
        {"kind": "complete", "uuid": str(task.uuid)},
        {"kind": "create", "values": {"list_uuid": str(list_uuid), "title": "Buy bread"}},
        {"kind": "delete", "uuid": str(uuid.uuid4())},
    ]
    bulk = models.Bulk.from_dict({"operations": operations, "atomic": False})
    done = call("bulk", "change_many", body=bulk)
    assert [result.status for result in done.parsed.results] == [200, 201, 404]
    assert call("tasks", "get_task", task.uuid).parsed.status.value == "done"

    # The end.
    assert call("lists", "delete_list", list_uuid).status_code == 204
    assert call("tasks", "get_task", task.uuid).status_code == 404
    assert call("sessions", "logout").status_code == 204
    assert call("lists", "list_lists").status_code == 401


def test_another_company_has_no_such_list(
    generated: Generated, caller: Any, globex: Company
) -> None:
    foreign = uuid.UUID(add_list(globex)["uuid"])
    answer = generated.call("lists", "get_list", foreign, client=caller)
    assert answer.status_code == 404
    assert answer.parsed.type_ == "urn:todo:problem:not-found"


def test_bytes_that_are_no_json(generated: Generated, caller: Any) -> None:
    """CSV and calendars come and go as they are."""
    exported = generated.call("transfer", "export_users", client=caller)
    assert exported.content.startswith(b'"first_name","last_name","email"')
    file = generated.types.File(payload=exported.content)
    answer = generated.call("transfer", "import_users", client=caller, body=file, dry_run=True)
    assert answer.status_code == 422, "they are there already"
    made = generated.call("feeds", "create_feed", client=caller, body=generated.models.FeedCreate())
    secret = made.parsed.url.rpartition("/")[2].removesuffix(".ics")
    calendar = generated.call("feeds", "read_calendar", secret, client=caller)
    assert calendar.content.startswith(b"BEGIN:VCALENDAR")
