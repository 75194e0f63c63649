"""From commands and routes to Celery: start work, look at it, say so when nobody would do it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import redis
from celery import Celery
from celery.states import READY_STATES, SUCCESS
from flask import current_app
from kombu.exceptions import KombuError

from todo_app.errors import NotFoundError, UnavailableError

BROKER_ERRORS = (KombuError, redis.RedisError, OSError)

WORKER_REPLIES_WITHIN_SECONDS = 1.5

RUNNING = "running"
SUCCEEDED = "succeeded"
FAILED = "failed"


class BrokerAwayError(UnavailableError):
    """Celery's broker does not answer."""

    code = "broker-away"
    detail = "The queue of background work does not answer; try again."


class Run(NamedTuple):
    """Work that was given to Celery, and what has come of it so far."""

    id: str | None
    state: str
    tasks: int
    tasks_done: int
    outcomes: list[dict[str, Any]]
    errors: list[str]


def celery_app() -> Celery:
    """The Celery application of the current Flask application."""
    return cast(Celery, current_app.extensions["celery"])


def has_worker(queue: str) -> bool:
    """Whether a worker that takes from `queue` answers.

    Raises:
        BrokerAwayError
    """
    inspect = celery_app().control.inspect(timeout=WORKER_REPLIES_WITHIN_SECONDS)
    try:
        queues = inspect.active_queues() or {}
    except BROKER_ERRORS:
        raise BrokerAwayError from None
    return any(entry["name"] == queue for entries in queues.values() for entry in entries)


def start(signatures: Iterable[Any]) -> str:
    """Send tasks that belong together.

    Returns:
        The id under which `look` finds them.

    Raises:
        BrokerAwayError: nothing, or not everything, has been sent; sending again does no harm.
    """
    run_id = str(uuid.uuid4())
    try:
        task_ids = [signature.apply_async().id for signature in signatures]
        backend = celery_app().backend
        backend.set(_key(run_id), json.dumps(task_ids))
        backend.expire(_key(run_id), backend.expires)
    except BROKER_ERRORS:
        raise BrokerAwayError from None
    return run_id


def look(run_id: str) -> Run:
    """What has come of a run so far.

    Raises:
        NotFoundError: it is unknown, or so old that its results are gone.
        BrokerAwayError
    """
    backend = celery_app().backend
    try:
        saved = backend.get(_key(run_id))
        if saved is None:
            raise NotFoundError("There is no such run.")
        metas = [backend.get_task_meta(task_id) for task_id in json.loads(saved)]
    except BROKER_ERRORS:
        raise BrokerAwayError from None
    done = [meta for meta in metas if meta["status"] in READY_STATES]
    succeeded = [meta for meta in done if meta["status"] == SUCCESS]
    outcomes = [outcome for meta in succeeded for outcome in meta["result"]]
    errors = [repr(meta["result"]) for meta in done if meta["status"] != SUCCESS]
    state = RUNNING
    if len(done) == len(metas):
        has_failed = errors or any(outcome["status"] == FAILED for outcome in outcomes)
        state = FAILED if has_failed else SUCCEEDED
    return Run(run_id, state, len(metas), len(done), outcomes, errors)


def is_lost(run_id: str, queue: str) -> bool:
    """Whether what is left of a run is neither in a worker's hands nor waiting in its queue.

    So it is when a worker was killed: the broker gives its messages to another one only after the
    visibility timeout.

    Raises:
        BrokerAwayError
    """
    celery = celery_app()
    inspect = celery.control.inspect(timeout=WORKER_REPLIES_WITHIN_SECONDS)
    try:
        pending = {
            task_id
            for task_id in json.loads(celery.backend.get(_key(run_id)))
            if celery.backend.get_task_meta(task_id)["status"] not in READY_STATES
        }
        held = [*(inspect.active() or {}).values(), *(inspect.reserved() or {}).values()]
        with celery.connection_for_write() as connection:
            waiting = connection.default_channel.client.llen(queue)
    except BROKER_ERRORS:
        raise BrokerAwayError from None
    in_hands = {task["id"] for tasks in held for task in tasks}
    return bool(pending) and not waiting and not pending & in_hands


def _key(run_id: str) -> str:
    return f"todo-run-{run_id}"
