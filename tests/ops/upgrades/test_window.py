"""The API serves all tenants, at the old revision and at the new one, while a fan-out runs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from ops.local.files import LOOPBACK, free_port
from ops.roles import command
from tests.factories import wait_until
from tests.ops.fleet import AFTER_NEXT, NEXT, Fleet
from todo_app.auth import digest, new_secret

TENANTS = 200
THREADS = 4

ADD_INDEX = 'op.create_index("ix_tasks_title", "tasks", ["title"])'
DROP_INDEX = 'op.drop_index("ix_tasks_title", "tasks")'


class Caller(NamedTuple):
    """A tenant's user."""

    slug: str
    token: str


def add_callers(fleet: Fleet, slugs: Sequence[str]) -> list[Caller]:
    """Give each tenant a user who is signed in, without the slow hash of a password."""
    callers = []
    with fleet.engine.connect() as connection:
        for slug in slugs:
            schema, secret = f"t_{slug}", new_secret()
            statement = sa.text(
                f"WITH ada AS (INSERT INTO {schema}.users"
                "  (first_name, last_name, email, password_hash, role_id)"
                "  SELECT 'Ada', 'Lovelace', 'ada@example.com', 'none', id"
                f"  FROM {schema}.roles WHERE name = 'master_admin' RETURNING id)"
                f" INSERT INTO {schema}.access_tokens (user_id, digest, expires_at)"
                " SELECT id, :digest, now() + interval '1 hour' FROM ada"
            )
            connection.execute(statement, {"digest": digest(secret)})
            callers.append(Caller(slug, f"{schema}.{secret}"))
    return callers


@contextmanager
def api(fleet: Fleet) -> Iterator[int]:
    """The fleet's API as it is deployed; gives its port."""
    port = free_port()
    env = {"BIND": f"{LOOPBACK}:{port}", "WEB_CONCURRENCY": "2"}
    with fleet.start(command("api", fleet.env), **env) as process:
        wait_until(lambda: answers(port), 60)
        yield port
        process.terminate()
        process.communicate(timeout=60)


def answers(port: int) -> bool:
    """Whether the API serves requests."""
    with closing(HTTPConnection(LOOPBACK, port, timeout=10)) as connection:
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False


def use(port: int, callers: Sequence[Caller], is_over: threading.Event) -> list[float]:
    """Work as the callers, one after the other and all over again, until it is over.

    Returns:
        When each request was answered, all of them with success.
    """
    ended_at: list[float] = []
    lists: dict[str, str] = {}
    with closing(HTTPConnection(LOOPBACK, port, timeout=60)) as connection:

        def call(caller: Caller, method: str, path: str, body: Any = None) -> Any:
            headers = {"tenant": caller.slug, "Authorization": f"Bearer {caller.token}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, body and json.dumps(body), headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
            assert answer.status == (201 if method == "POST" else 200), content
            ended_at.append(time.time())
            return content

        while True:
            for caller in callers:
                if is_over.is_set():
                    return ended_at
                call(caller, "GET", "/users/")
                if caller.slug not in lists:
                    made = call(caller, "POST", "/lists/", {"title": "Groceries"})
                    lists[caller.slug] = made["uuid"]
                new = {"list_uuid": lists[caller.slug], "title": "Buy milk"}
                task = call(caller, "POST", "/tasks/", new)
                call(caller, "PATCH", f"/tasks/{task['uuid']}", {"title": "Buy oat milk"})
                call(caller, "GET", "/tasks/")


@pytest.mark.long
def test_no_request_fails_while_200_tenants_are_upgraded(fleet: Fleet) -> None:
    slugs = fleet.add_tenants(TENANTS)
    callers = add_callers(fleet, slugs)
    fleet.add_revision()
    fleet.add_revision(ADD_INDEX, DROP_INDEX, name=AFTER_NEXT, before=NEXT)
    is_over = threading.Event()
    with fleet.worker(), api(fleet) as port, ThreadPoolExecutor(THREADS) as pool:
        users = [pool.submit(use, port, callers[n::THREADS], is_over) for n in range(THREADS)]
        try:
            done = fleet.flask("tenants", "upgrade")
        finally:
            is_over.set()
        ended_at = [moment for user in users for moment in user.result()]
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(fleet.revisions().values()) == set(fleet.catalogue().values()) == {AFTER_NEXT}
    (run,) = fleet.sql(
        "SELECT extract(epoch FROM created_at)::float AS began,"
        " extract(epoch FROM finished_at)::float AS ended FROM public.ops_runs"
    )
    meanwhile = [moment for moment in ended_at if run.began < moment < run.ended]
    assert len(meanwhile) > 50
