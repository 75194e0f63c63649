"""The guide to CSV tells all columns, and its files can be imported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.factories import Company
from todo_app.transfer import csv_files, list_import, schemas, service, task_import

TEXT = (Path(__file__).parents[3] / "docs" / "csv.md").read_text()
FILES = re.findall(r"^```csv\n(.*?)^```$", TEXT, re.M | re.S)
FORMULAS = re.findall(r"^\| `(\S.*?)` \| `(.+?)` \| `(.+?)` \|$", TEXT, re.M)


@pytest.mark.parametrize(
    ("section", "columns", "schema"),
    [
        ("Lists", list_import.COLUMNS, schemas.ListLineSchema),
        ("Tasks", task_import.COLUMNS, schemas.TaskLineSchema),
    ],
)
def test_each_column_is_explained(
    section: str, columns: tuple[str, ...], schema: type[schemas.Schema]
) -> None:
    table = TEXT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert told == list(columns)
    assert set(told) == set(schema().fields)


def test_the_files_come_in(acme: Company) -> None:
    assert len(FILES) == 2
    for what, text in zip(("lists", "tasks"), FILES, strict=True):
        data = text.replace("ada@acme.com", acme.email).encode()
        path = f"/{what}/import"
        answer = acme.call("POST", path, data=data, content_type="text/csv")
        assert answer.status_code == 201, answer.text
        assert answer.json == {"imported": 3, "lines": 3}


def test_formulas_are_written_and_read_as_it_says() -> None:
    assert len(FORMULAS) == 4
    for text, written, read in FORMULAS:
        assert csv_files.with_apostrophe(text) == written
        assert csv_files.without_apostrophe(written) == read == text


def test_the_limits_are_those_of_the_program() -> None:
    for what, module in (("users", service), ("lists", list_import), ("tasks", task_import)):
        [row] = re.findall(rf"^\| {what} \| .*$", TEXT, re.M)
        assert f"{module.MAX_LINES:,} lines, {module.MAX_BYTES // 2**20} MiB" in row
