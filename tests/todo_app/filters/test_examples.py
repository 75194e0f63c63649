"""The filters that the documentation shows can be asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.factories import Company
from tests.todo_app.todos.shapes import add_list, add_task
from todo_app.filters.tasks import TASK_FIELDS

DOCUMENT = Path(__file__).parents[3] / "docs" / "filters.md"
TEXT = DOCUMENT.read_text()
BLOCK = TEXT.partition("## Examples\n\n```\n")[2].partition("```")[0]
EXAMPLES = [re.split(r" {2,}", line)[0] for line in BLOCK.splitlines()]
SEARCHES = re.findall(r"^\| `(search\(.*?\))` \|", TEXT, re.MULTILINE)


def test_there_are_some() -> None:
    assert len(EXAMPLES) > 10
    assert len(SEARCHES) == 5


@pytest.mark.parametrize("text", [*EXAMPLES, *SEARCHES])
def test_an_example_can_be_asked(acme: Company, text: str) -> None:
    ops = add_list(acme, "Ops", symbol="OPS")
    fields = [{"name": "Risk", "kind": "text"}, {"name": "Cost center", "kind": "number"}]
    for field in fields:
        assert acme.post(f"/lists/{ops['uuid']}/fields", field).status_code == 201
    add_task(acme, ops["uuid"], "Buy milk")
    answer = acme.get("/tasks/", query_string={"filter": text})
    assert answer.status_code == 200, answer.text


def test_each_field_of_tasks_is_explained() -> None:
    table = TEXT.partition("## Fields of tasks")[2].partition("## Values")[0]
    assert set(TASK_FIELDS.named) <= set(re.findall(r"`([a-z_]+)`", table))
