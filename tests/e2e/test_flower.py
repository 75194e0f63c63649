"""What an operator reads in Flower while a fleet is upgraded: in a real browser, on its screen."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from ops.local.files import free_port
from ops.local.probes import answers
from ops.roles import command
from tests.e2e.browser import HEIGHT, WIDTH, chromium, needs_chromium, take_picture
from tests.factories import wait_until
from tests.ops.fleet import NEXT, ROOT, Fleet

LOGIN = "admin:flower-password"
WORK = "ops.upgrades.tasks.work"
CLASH = 'column "proof" of relation "tasks" already exists'
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} UTC")

READ_TASKS = """
const columns = [...document.querySelectorAll(".dataTables_scrollHead th")];
return [...document.querySelectorAll("#tasks-table tbody tr[id]")].map(row => Object.fromEntries(
    [...row.cells].map((cell, n) => [columns[n].dataset.column, cell.innerText])
));
"""

READ_DETAILS = """
return Object.fromEntries([...document.querySelectorAll(".detail-row")].map(row => [
    row.querySelector("dt").innerText, row.querySelector("dd").innerText
]));
"""

# A cell of the list hides what is too long for it.
IS_ON_SCREEN = """
const [column, text] = arguments;
const n = [...document.querySelectorAll(".dataTables_scrollHead th")]
    .findIndex(cell => cell.dataset.column === column);
const cell = [...document.querySelectorAll(`#tasks-table td:nth-child(${n + 1})`)]
    .find(cell => cell.textContent.includes(text));
const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
const node = walker.nextNode();
const range = document.createRange();
range.setStart(node, node.data.indexOf(text));
range.setEnd(node, node.data.indexOf(text) + text.length);
const edge = Math.min(cell.getBoundingClientRect().right, window.innerWidth);
return range.getBoundingClientRect().right <= edge;
"""

pytestmark = [pytest.mark.e2e, needs_chromium]

Row = dict[str, str]


@dataclass
class Flower:
    """Flower in a browser."""

    browser: Chrome
    url: str

    def open(self, path: str) -> None:
        """Open a page, and wait for what it fetches."""
        self.browser.get(f"{self.url}{path}")
        wait_until(lambda: self.browser.execute_script("return jQuery.active === 0"), 20)

    def tasks(self) -> list[Row]:
        """The list of tasks as it stands on the screen: by column, the text of each cell."""
        rows: list[Row] = self.browser.execute_script(READ_TASKS)
        return rows

    def wait_for_tasks(self, is_right: Callable[[list[Row]], bool]) -> list[Row]:
        """Load the list again until it is as it should be."""

        def reload() -> bool:
            self.open("/tasks")
            return is_right(self.tasks())

        wait_until(reload, 30)
        return self.tasks()

    def details(self, uuid: str) -> Row:
        """A task's own page: by label, the text beside it."""
        self.open(f"/task/{uuid}")
        fields: Row = self.browser.execute_script(READ_DETAILS)
        return fields

    def is_on_screen(self, column: str, text: str) -> bool:
        """Whether a text of the list can be read without scrolling or opening anything."""
        return bool(self.browser.execute_script(IS_ON_SCREEN, column, text))

    def keep_picture(self, path: Path) -> None:
        """Take a picture of the screen, which must be one of a page and not blank."""
        picture = take_picture(self.browser, path)
        assert (picture.width, picture.height) == (WIDTH, HEIGHT)
        assert picture.values > 150


@pytest.fixture
def flower(fleet: Fleet, tmp_path: Path) -> Iterator[Flower]:
    """Flower with a worker that it has heard of, and a browser that has signed in."""
    port = free_port()
    env = {**fleet.env, "FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH": LOGIN}
    with (
        _running(command("flower", env), env),
        fleet.worker(),
        chromium(tmp_path / "profile") as browser,
    ):
        wait_until(lambda: answers(port, "/healthcheck", LOGIN), 60)
        opened = Flower(browser, f"http://127.0.0.1:{port}")
        browser.get(f"http://{LOGIN}@127.0.0.1:{port}/workers")
        wait_until(lambda: "Online" in browser.find_element(By.ID, "workers-table").text, 30)
        yield opened


@contextmanager
def _running(argv: list[str], env: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(argv, cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_an_operator_reads_what_is_done_for_whom(
    fleet: Fleet, flower: Flower, tmp_path: Path
) -> None:
    slugs = fleet.add_tenants(10)
    fleet.add_revision()
    fleet.sql("ALTER TABLE t_c5.tasks ADD COLUMN proof text")
    arguments = ("tenants", "upgrade", "--wave-size", "8", "--max-failures", "1")
    with (
        fleet.engine.connect() as holder,
        fleet.start_flask(*arguments, UPGRADE_LOCK_TIMEOUT="60") as upgrade,
    ):
        holder.exec_driver_sql("BEGIN")
        holder.exec_driver_sql("LOCK TABLE t_c0.tasks")
        working, failed = _while_it_works(flower, tmp_path)
        holder.exec_driver_sql("COMMIT")
        assert upgrade.wait(60) == 1
    _when_it_has_ended(flower, tmp_path, working, set(slugs))
    _the_failed_one(flower, tmp_path, failed)


def _while_it_works(flower: Flower, pictures: Path) -> tuple[str, str]:
    """Two workers: one waits for the lock on c0, one has met what is in the way in c5."""
    rows = flower.wait_for_tasks(
        lambda rows: {"PROGRESS", "FAILURE"} <= {row["state"] for row in rows}
    )
    flower.keep_picture(pictures / "tasks-at-work.png")
    (working,) = (row for row in rows if row["state"] == "PROGRESS")
    assert working["args"] == f"run 1 (upgrade to {NEXT}), wave 1 of 2"
    assert working["result"] == "8 left; works on c0, c1, c2, c3"
    assert (working["name"], working["worker"].partition("@")[0]) == (WORK, "celery")
    assert flower.is_on_screen("args", working["args"])
    assert flower.is_on_screen("result", working["result"])
    assert flower.is_on_screen("uuid", working["uuid"][:8])
    (failed,) = (row for row in rows if row["state"] == "FAILURE")
    assert flower.is_on_screen("result", "1 failed (c5")

    page = flower.details(working["uuid"])
    flower.keep_picture(pictures / "task-at-work.png")
    assert (page["Name"], page["Status"]) == (WORK, "PROGRESS")
    shown = page["Keyword arguments"]
    for part in ("'run_id': 1", f"'upgrade to {NEXT}'", "'1 of 2'", "'c0, c1, c2, c3'"):
        assert part in shown
    assert TIME.fullmatch(page["Started"])
    return working["uuid"], failed["uuid"]


def _when_it_has_ended(flower: Flower, pictures: Path, first: str, slugs: set[str]) -> None:
    rows = flower.wait_for_tasks(
        lambda rows: {row["state"] for row in rows} == {"SUCCESS", "FAILURE"}
    )
    flower.keep_picture(pictures / "tasks-ended.png")
    (row,) = (row for row in rows if row["uuid"] == first)
    assert row["state"] == "SUCCESS"
    assert re.match(r"\d done \(c0\b", row["result"])
    assert re.fullmatch(r"[\d.]+ m?s", row["runtime"])
    done = [names for row in rows for names in re.findall(r"done \((.+?)\)", row["result"])]
    assert {slug for names in done for slug in names.split(", ")} == slugs - {"c5"}

    page = flower.details(first)
    assert page["Status"] == "SUCCESS"
    assert page["Result"] == row["result"]
    assert page["Worker"].startswith("celery@")
    for moment in ("Sent", "Received", "Started", "Succeeded"):
        assert TIME.fullmatch(page[moment])


def _the_failed_one(flower: Flower, pictures: Path, uuid: str) -> None:
    flower.open("/tasks")
    flower.browser.find_element(By.CSS_SELECTOR, "button[data-task-state=FAILURE]").click()
    wait_until(lambda: [row["uuid"] for row in flower.tasks()] == [uuid], 20)
    (row,) = flower.tasks()
    assert (row["state"], row["args"]) == ("FAILURE", f"run 1 (upgrade to {NEXT}), wave 1 of 2")
    for part in ("1 failed (c5", "3 done (c4, c6, c7)", CLASH):
        assert part in row["result"]

    page = flower.details(uuid)
    flower.keep_picture(pictures / "task-failed.png")
    assert page["Status"] == "FAILURE"
    assert "'run_id': 1" in page["Keyword arguments"]
    assert page["Result"] == row["result"]
    assert page["Exception"].startswith(
        f"TenantsFailedError('run 1 (upgrade to {NEXT}), wave 1 of 2"
    )
    assert CLASH in page["Exception"]
    assert page["Traceback"].startswith("Copy stack trace")
    for moment in ("Started", "Failed"):
        assert TIME.fullmatch(page[moment])
