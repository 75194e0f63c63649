"""From the ledger to Celery and back: wake workers, and work on a run inside a task."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import redis
import sqlalchemy as sa
from celery import Celery, Task
from flask import Response, after_this_request, current_app
from kombu.exceptions import KombuError

from ops.runs import job
from ops.runs.claims import Claim
from ops.runs.job import Snapshot
from ops.runs.kinds import performing
from ops.runs.models import FAILED, RUNNING
from ops.runs.work import TASK_SECONDS_PARAM, Work, work
from todo_app.config import Settings
from todo_app.errors import AppError, NotFoundError, UnavailableError
from todo_app.tenancy import operations

BROKER_ERRORS = (KombuError, redis.RedisError, OSError)

WORKER_REPLIES_WITHIN_SECONDS = 2.0

TASK_SECONDS = 10.0
"""A task begins no further tenant after this long; it sends a new one instead. So other work gets
its turn, a worker can be stopped, and operators see progress."""

TRY_AGAIN_SECONDS = 3
MAX_TRIES = 40

CONTINUED = "continued"
"""Header of a message that goes on with what another task has begun."""

NAMED = 50
"""Tenants that a task names to operators."""


class BrokerAwayError(UnavailableError):
    """Celery's broker does not answer."""

    code = "broker-away"
    detail = "The queue of background work does not answer; try again."


class NoWorkerError(UnavailableError):
    """No worker answers that takes from the queue."""

    code = "no-worker"


class TenantsFailedError(Exception):
    """Some tenants of a task have failed; the ledger has each, the text the first ones."""


def celery_app() -> Celery:
    """The Celery application of the current Flask application."""
    return cast(Celery, current_app.extensions["celery"])


def has_worker(queue: str) -> bool:
    """Whether a worker that takes from `queue` answers.

    Raises:
        BrokerAwayError
    """
    inspect = celery_app().control.inspect

    def ask(limit: int | None) -> list[str]:
        answers = inspect(timeout=WORKER_REPLIES_WITHIN_SECONDS, limit=limit).active_queues() or {}
        return [entry["name"] for entries in answers.values() for entry in entries]

    try:
        # Usually the first who answers has the queue; else all get their time to answer, unless
        # there was nobody at all.
        first = ask(1)
        return queue in first or (bool(first) and queue in ask(None))
    except BROKER_ERRORS:
        raise BrokerAwayError from None


def need_worker(queue: str) -> None:
    """Check that somebody would do the work.

    Raises:
        BrokerAwayError
        NoWorkerError
    """
    if not has_worker(queue):
        raise NoWorkerError(f"No worker takes from the queue {queue}.")


def wake(run: Snapshot, expires: float | None = None) -> None:
    """Send the message that makes a worker claim tenants of a run; it calls others to help.

    Args:
        run: as it stands.
        expires: seconds after which a message that nobody took is worth nothing.

    Raises:
        BrokerAwayError: the run stays; beat wakes workers for it once the broker is back.
    """
    try:
        celery_app().send_task(
            f"ops.{run.kind}.tasks.work",
            kwargs={"run_id": run.id, "run": run.title},
            expires=expires,
        )
    except BROKER_ERRORS:
        raise BrokerAwayError from None


def wake_soon(run_id: int) -> Snapshot:
    """Wake workers for a run once the request has ended; where the broker is away, beat does later.

    Returns:
        The run as it stands.
    """
    run = job.look(run_id)
    if run.state != RUNNING:
        return run

    @after_this_request
    def _wake(response: Response) -> Response:
        # Not before: with an Idempotency-Key the run is committed after the view.
        with suppress(BrokerAwayError):
            wake(run)
        return response

    return run


def work_in_task(task: Task, run_id: int) -> str:
    """The body of every `work` task.

    Returns:
        What has been done, in words.

    Raises:
        TenantsFailedError: some tenants have failed for good.
    """
    message = task.request.kwargs
    # A task that goes on for another one has called somebody before.
    calls_another = not task.request.get(CONTINUED)

    def begin(claim: Claim) -> None:
        nonlocal calls_another
        # Each worker calls one more, so that hardly more messages are sent than there are workers.
        if claim.has_room and (calls_another or claim.has_opened):
            with suppress(*BROKER_ERRORS):
                task.apply_async(kwargs=message)
        calls_another = False
        _show(task, run.title, claim)

    settings: Settings = current_app.config["SETTINGS"]
    try:
        with operations():
            run = job.get(run_id)
            seconds = float(run.params.get(TASK_SECONDS_PARAM, TASK_SECONDS))
        done = work(run_id, performing(run.kind, run.params, settings), begin, seconds)
    except NotFoundError as error:
        return error.detail
    except (AppError, sa.exc.DBAPIError) as error:
        # The code of this worker may be older than the run: then a newer worker takes it.
        raise task.retry(exc=error, countdown=TRY_AGAIN_SECONDS, max_retries=MAX_TRIES) from None
    if done.call_again_in is not None:
        countdown = math.ceil(done.call_again_in) or None
        # Where the broker is away, beat wakes a worker later.
        with suppress(*BROKER_ERRORS):
            task.apply_async(kwargs=message, countdown=countdown, headers={CONTINUED: True})
    text = _summary(run_id, run.title, done)
    if done.slugs[FAILED]:
        # Flower's search looks at arguments, never at errors.
        _tell(task, {"run_id": run_id, "run": run.title, "failed": _names(done.slugs[FAILED])})
        raise TenantsFailedError(text)
    return text


def _show(task: Task, title: str, claim: Claim) -> None:
    """Show in Flower what the task works on; it replaces the arguments shown there."""
    shown = {
        "run_id": claim.run_id,
        "run": title,
        "wave": f"{claim.items[0].wave} of {claim.waves}",
        "left_in_wave": claim.left,
        "tenants": _names(item.slug for item in claim.items),
    }
    _tell(task, shown)


def _tell(task: Task, shown: dict[str, Any]) -> None:
    with suppress(*BROKER_ERRORS):
        task.send_event("task-progress", kwargs=repr(shown))


def _summary(run_id: int, title: str, done: Work) -> str:
    if not done.wave:
        return f"run {run_id} ({title}): nothing left to take"
    parts = [
        f"{len(slugs)} {state} ({_names(slugs)})" for state, slugs in done.slugs.items() if slugs
    ]
    parts += [f"{slug}: {error}" for slug, error in list(done.errors.items())[:NAMED]]
    waves = str(done.wave) if done.first_wave == done.wave else f"{done.first_wave}-{done.wave}"
    return f"run {run_id} ({title}), wave {waves} of {done.waves}: {'; '.join(parts)}"


def _names(slugs: Iterable[str]) -> str:
    names = list(slugs)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
