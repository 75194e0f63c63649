"""`flask runs` and `/cc/runs`: what operators see of the ledger, and what they can do about it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from click.testing import Result
from flask import Flask

from ops.runs import follow as following
from ops.runs import job, kinds, queue
from ops.runs.claims import Item, Outcome
from ops.runs.models import DONE
from ops.runs.tasks import wake_stalled
from tests.factories import Operator
from tests.ops.runs.ledger import BROKEN, KIND, LOCKED, change_items, look, start, states
from todo_app.database import transaction
from todo_app.tenancy import operations


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Slugs that fail; all others are done."""
    broken: set[str] = set()

    def perform(item: Item) -> Outcome:
        return BROKEN if item.slug in broken else Outcome(DONE, result={"to": 2})

    monkeypatch.setitem(kinds._kinds, KIND, lambda params, settings: nullcontext(perform))
    return broken


def runs(app: Flask, *arguments: object) -> Result:
    return app.test_cli_runner().invoke(args=["runs", *map(str, arguments)])


def slugs(run_id: int) -> list[str]:
    with operations():
        return [item.slug for item in job.items(run_id)]


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.mark.usefixtures("context")
def test_a_run_is_listed_shown_resumed_and_watched(app: Flask, fails: set[str]) -> None:
    run_id = start(1, 3, max_failures=1)
    first, *others = slugs(run_id)
    fails.update(others[:2])
    assert runs(app, "cancel", run_id).output.startswith(f"Run {run_id} is cancelled.")
    again = runs(app, "cancel", run_id)
    assert (again.exit_code, "nothing to cancel" in again.output) == (2, True)

    result = runs(app, "resume", run_id, "--inline")
    assert result.exit_code == 1
    assert f"{others[0]} failed: it broke\n" in result.output
    assert f"Run {run_id} (test of tests) stopped: 2 tenants failed, 1 may." in result.output
    assert "done\t1\n" in result.output

    (listed,) = (
        run for run in json.loads(runs(app, "list", "--json").output) if run["id"] == run_id
    )
    assert (listed["state"], listed["counts"]["failed"]) == ("stopped", 2)
    assert f"{run_id}\ttest of tests\tstopped\t3 of 4\t2\t2 of 2\tme\t" in runs(app, "list").output
    shown = runs(app, "show", run_id)
    assert f"{first}\t1\tdone\t1\t" in shown.output
    assert f"{others[0]}\t2\tfailed\t1\t" in shown.output
    failed = json.loads(runs(app, "show", run_id, "--state", "failed", "--json").output)
    assert [tenant["tenant"] for tenant in failed["tenants"]] == others[:2]

    fails.clear()
    result = runs(app, "resume", run_id, "--inline", "--json")
    assert (result.exit_code, json.loads(result.output)["state"]) == (0, "succeeded")
    watched = runs(app, "watch", run_id)
    assert (watched.exit_code, watched.output.splitlines()[-1]) == (
        0,
        f"Run {run_id} (test of tests) succeeded.",
    )
    again = runs(app, "resume", run_id, "--inline")
    assert (again.exit_code, "nothing to resume" in again.output) == (2, True)


@pytest.mark.usefixtures("context")
def test_only_the_failed_are_tried_again(app: Flask, fails: set[str]) -> None:
    run_id = start(1, 3, max_failures=0)
    fails.update(slugs(run_id)[:1])
    with operations(), transaction():
        job.cancel(run_id, "bob")
    assert runs(app, "resume", run_id, "--inline").exit_code == 1
    fails.clear()
    assert runs(app, "resume", run_id, "--failed", "--inline").exit_code == 0
    assert states(run_id) == {"done": 1, "skipped": 3}


@pytest.mark.usefixtures("context")
def test_a_process_can_help_with_a_run(app: Flask, fails: set[str]) -> None:
    run_id = start(2, 2)
    assert runs(app, "work", run_id).exit_code == 0
    assert look(run_id).state == "succeeded"


@pytest.mark.usefixtures("context")
def test_what_is_tried_again_is_waited_for(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def perform(item: Item) -> Outcome:
        tries.append(item.attempts)
        if item.attempts == 1:
            change_soon.start()
        return LOCKED if item.attempts == 1 else Outcome(DONE)

    monkeypatch.setitem(kinds._kinds, KIND, lambda params, settings: nullcontext(perform))
    run_id = start(1)

    def hurry() -> None:
        with app.app_context():
            change_items(run_id, due_at=job.sa.func.now())

    change_soon = threading.Timer(0.3, hurry)
    assert runs(app, "work", run_id).exit_code == 0
    change_soon.join()
    assert tries == [1, 2]


@pytest.mark.usefixtures("context")
def test_on_a_terminal_a_bar_moves(
    app: Flask, fails: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = start(1, 3, max_failures=3)
    fails.update(slugs(run_id)[:1])
    from ops.runs.cli import inline_work

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(following.click.exceptions.Exit):
        following.follow(run_id, inline_work(run_id))
    output = capsys.readouterr().out
    assert "test of tests, wave 2 of 2" in output
    assert "4/4" in output
    assert f"{slugs(run_id)[0]} failed: it broke" in output


@pytest.mark.usefixtures("context")
def test_ctrl_c_leaves_a_run_alone_but_cancels_one_that_is_done_here(
    app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> Iterator[None]:
        raise KeyboardInterrupt
        yield

    run_id = start(1)
    with pytest.raises(following.click.exceptions.Exit) as ended:
        following.follow(run_id, interrupt())
    assert ended.value.exit_code == 130
    assert f"flask runs resume {run_id} --inline" in capsys.readouterr().err
    assert look(run_id).state == "cancelled"


@pytest.mark.usefixtures("context")
def test_following_ends_when_the_workers_are_gone(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(1)
    with operations(), transaction():
        job.db.session.execute(
            job.sa.text(
                "UPDATE public.ops_runs SET created_at = now() - interval '1 hour' WHERE id = :id"
            ),
            {"id": run_id},
        )
    monkeypatch.setattr(following, "STALLED_SECONDS", 0.0)
    monkeypatch.setattr(queue, "has_worker", lambda queue: False)
    with pytest.raises(following.FailedError, match="No worker takes this on any more"):
        following.follow(run_id)

    woken = []
    monkeypatch.setattr(queue, "has_worker", lambda queue: True)
    monkeypatch.setattr(queue, "wake", lambda run, expires: woken.append(run.id) or cancel(run.id))
    with pytest.raises(following.click.exceptions.Exit):
        following.follow(run_id)
    assert woken[0] == run_id


def cancel(run_id: int) -> None:
    with operations(), transaction():
        job.cancel(run_id, "bob")


@pytest.mark.usefixtures("context")
def test_workers_are_woken_for_a_run_that_nobody_works_on(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(1)
    sent = []
    monkeypatch.setattr(
        queue.celery_app(), "send_task", lambda name, **options: sent.append((name, options))
    )
    assert f"run {run_id} " not in wake_stalled.run()
    with operations(), transaction():
        job.db.session.execute(
            job.sa.text(
                "UPDATE public.ops_runs SET created_at = now() - interval '1 hour' WHERE id = :id"
            ),
            {"id": run_id},
        )
    assert f"run {run_id} (test of tests)" in wake_stalled.run()
    # Others may have left runs that nobody works on, too.
    ((name, options),) = [each for each in sent if each[1]["kwargs"]["run_id"] == run_id]
    assert name == "ops.tests.tasks.work"
    assert options["kwargs"] == {"run_id": run_id, "run": "test of tests"}
    cancel(run_id)


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "0"],
        ["show", "x"],
        ["watch", "999999999"],
        ["cancel", "999999999"],
        ["resume", "999999999"],
        ["list", "--limit", "0"],
        ["show", "1", "--state", "x"],
    ],
)
def test_wrong_use_is_told(app: Flask, arguments: list[str]) -> None:
    assert runs(app, *arguments).exit_code == 2


def test_the_ledger_over_http(app: Flask, cc: Operator) -> None:
    with app.app_context():
        run_id = start(1, 2)
        names = slugs(run_id)
    answer = cc.get("/cc/runs/?order=desc&size=5")
    assert answer.status_code == 200
    assert run_id in {run["id"] for run in answer.json["items"]}
    run = cc.get(f"/cc/runs/{run_id}").json
    assert (run["state"], run["total"], run["waves"]) == ("running", 3, 2)
    items = cc.get(f"/cc/runs/{run_id}/tenants?search=pending&field=wave").json
    assert [item["tenant"] for item in items["items"]] == names
    assert cc.get(f"/cc/runs/{run_id}/tenants?search=failed").json["total"] == 0
    assert cc.post(f"/cc/runs/{run_id}/resume?failed_only=maybe").status_code == 422
    assert cc.post(f"/cc/runs/{run_id}/cancel").json["state"] == "cancelled"
    assert cc.post(f"/cc/runs/{run_id}/cancel").status_code == 409
    # No worker takes tasks of this kind.
    assert cc.post(f"/cc/runs/{run_id}/resume").status_code == 503
    assert cc.get("/cc/runs/?field=state").status_code == 422


def test_a_run_is_resumed_over_http(
    app: Flask, cc: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        run_id = start(2)
    cc.post(f"/cc/runs/{run_id}/cancel")
    monkeypatch.setattr(queue, "has_worker", lambda queue: True)

    def away(*args: object, **options: object) -> None:
        raise ConnectionError

    with app.app_context():
        monkeypatch.setattr(queue.celery_app(), "send_task", away)
    # The broker went away in between: the run stands, and is woken later.
    answer = cc.post(f"/cc/runs/{run_id}/resume")
    assert (answer.status_code, answer.json["state"]) == (202, "running")
    cc.post(f"/cc/runs/{run_id}/cancel")
