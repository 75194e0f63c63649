"""Flower's words for tasks; tests/e2e/test_flower.py has them on the screen."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from flower.views.tasks import TASK_COLUMNS

import flowerconfig

RUN = "{'run_id': 7, 'run': 'upgrade to 0003'}"
WORKING = (
    "{'run_id': 7, 'run': 'upgrade to 0003', 'wave': '1 of 2', 'left_in_wave': 9,"
    " 'tenants': 'acme, globex'}"
)
SUMMARY = 'run 7 (upgrade to 0003), wave 2 of 2: 1 failed (acme); acme: relation "x" isn\'t there'


def words(state: str, kwargs: str | None = None, **more: str | None) -> tuple[str, str]:
    """What the columns of arguments and of the result say of a task, written as Celery does."""
    values = {"name": "ops.x.tasks.y", "args": "()", "result": None, "exception": None, **more}
    task = flowerconfig.format_task(SimpleNamespace(state=state, kwargs=kwargs, **values))
    return task.args, task.result


def test_a_run_from_its_message_to_its_end() -> None:
    assert words("PENDING", RUN) == ("run 7 (upgrade to 0003)", "")
    wave = "run 7 (upgrade to 0003), wave 1 of 2"
    assert words("PROGRESS", WORKING) == (wave, "9 left; works on acme, globex")
    ended = ("run 7 (upgrade to 0003), wave 2 of 2", SUMMARY.partition(": ")[2])
    assert words("SUCCESS", WORKING, result=repr(SUMMARY)) == ended
    assert words("FAILURE", WORKING, exception=f"TenantsFailedError({SUMMARY!r})") == ended
    nothing = "run 7 (upgrade to 0003): nothing left to take"
    assert words("SUCCESS", RUN, result=repr(nothing)) == tuple(nothing.split(": "))


@pytest.mark.parametrize(
    ("state", "values", "expected"),
    [
        ("SUCCESS", {"kwargs": "{}", "result": "None"}, ("ops.x.tasks.y", "")),
        ("SUCCESS", {"kwargs": "{}", "result": "3"}, ("ops.x.tasks.y", "3")),
        ("STARTED", {"kwargs": "{'day': 'today', 'size': 2}"}, ("day today, size 2", "")),
        ("STARTED", {"kwargs": "{'name': 'cut of…"}, ("{'name': 'cut of…", "")),
        ("RECEIVED", {}, ("ops.x.tasks.y", "")),
        ("RETRY", {"exception": "OSError('gone')"}, ("ops.x.tasks.y", "OSError('gone')")),
        ("FAILURE", {"exception": "KeyError('x')"}, ("ops.x.tasks.y", "KeyError('x')")),
        ("SUCCESS", {"exception": "KeyError('x')", "result": "'ok'"}, ("ops.x.tasks.y", "ok")),
    ],
)
def test_any_task_and_what_celery_has_cut(
    state: str, values: dict[str, str], expected: tuple[str, str]
) -> None:
    assert words(state, **values) == expected


def test_flower_has_these_columns() -> None:
    assert set(flowerconfig.tasks_columns.split(",")) <= set(TASK_COLUMNS)
