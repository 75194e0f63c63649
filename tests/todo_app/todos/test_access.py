"""Who may call the endpoints of lists and tasks, and whose rows they reach."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.factories import Company, Person
from tests.todo_app.helpers import assert_problem
from tests.todo_app.todos.shapes import add_list, add_task

READS = [("GET", "/lists/"), ("GET", "/lists/{list}"), ("GET", "/tasks/"), ("GET", "/tasks/{task}")]
WRITES = [
    ("POST", "/lists/"),
    ("PATCH", "/lists/{list}"),
    ("DELETE", "/lists/{list}"),
    ("POST", "/tasks/"),
    ("PATCH", "/tasks/{task}"),
    ("DELETE", "/tasks/{task}"),
    ("POST", "/tasks/{task}/complete"),
    ("POST", "/tasks/{task}/reopen"),
]
OF_ONE_ROW = [pair for pair in READS + WRITES if "{" in pair[1]]


@pytest.fixture(scope="module")
def rows(company: Company) -> dict[str, dict[str, Any]]:
    """A list and its task that nobody here is allowed to change."""
    todo_list = add_list(company, "Private")
    return {"list": todo_list, "task": add_task(company, todo_list["uuid"], "Private")}


@pytest.fixture
def uuids(company: Company, rows: dict[str, dict[str, Any]]) -> Any:
    """Their ids; afterwards both must be as they were."""
    yield {kind: row["uuid"] for kind, row in rows.items()}
    for kind, row in rows.items():
        assert company.get(f"/{kind}s/{row['uuid']}").json == row
    assert company.get("/tasks/").json["total"] == company.get("/lists/").json["total"] == 1


def body_for(method: str, path: str, list_uuid: str) -> dict[str, Any] | None:
    """A body that the endpoint would take from somebody who may."""
    if path == "/tasks/":
        return {"title": "Intruder", "list_uuid": list_uuid}
    return {"title": "Intruder"} if path == "/lists/" or method == "PATCH" else None


@pytest.mark.parametrize(("method", "path"), READS + WRITES)
def test_without_a_token_401(
    company: Company, uuids: dict[str, str], method: str, path: str
) -> None:
    body = body_for(method, path, uuids["list"])
    headers = {"tenant": company.slug}
    path = path.format(**uuids)
    assert_problem(company.client.open(path, method=method, headers=headers, json=body), 401)


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_read_only_may_not_write(
    people: dict[str, Person], uuids: dict[str, str], method: str, path: str
) -> None:
    body = body_for(method, path, uuids["list"])
    answer = people["read_only"].call(method, path.format(**uuids), json=body)
    assert "tasks:write" in assert_problem(answer, 403)["detail"]


@pytest.mark.parametrize("role", ["admin", "user", "read_only"])
@pytest.mark.parametrize(("method", "path"), READS)
def test_everybody_may_read(
    people: dict[str, Person], uuids: dict[str, str], role: str, method: str, path: str
) -> None:
    assert people[role].call(method, path.format(**uuids)).status_code == 200


@pytest.mark.parametrize(("method", "path"), OF_ONE_ROW)
def test_another_tenants_row_is_404(
    stranger: Company, uuids: dict[str, str], method: str, path: str
) -> None:
    body = body_for(method, path, uuids["list"])
    unknown = {kind: str(uuid.uuid4()) for kind in uuids}
    foreign, missing = (
        assert_problem(stranger.call(method, path.format(**ids), json=body), 404)
        for ids in (uuids, unknown)
    )
    assert foreign["detail"] == missing["detail"]


def test_another_tenants_rows_are_in_no_page(stranger: Company, uuids: dict[str, str]) -> None:
    for query in ("", "?search=Private", f"?list_uuid={uuids['list']}"):
        assert stranger.get(f"/tasks/{query}").json["total"] == 0
    assert stranger.get("/lists/?search=Private").json["total"] == 0


@pytest.mark.parametrize("path", ["/lists/", "/tasks/"])
@pytest.mark.parametrize("wrong", ["1", "x", "' OR 1=1", "%00", "0" * 500])
def test_an_address_that_is_no_uuid(company: Company, path: str, wrong: str) -> None:
    assert_problem(company.get(path + wrong), 400 if wrong == "%00" else 404)


@pytest.mark.parametrize("path", ["/lists", "/tasks"])
def test_both_forms_of_the_address_answer(company: Company, path: str) -> None:
    assert company.get(path).json == company.get(f"{path}/").json
