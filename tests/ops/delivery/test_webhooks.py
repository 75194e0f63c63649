"""Messages to webhooks over real connections: signed, in order, at least once, and not for ever."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from ops.delivery import backoff, claims, http_guard, job, tasks, wakes, webhooks
from tests.factories import Company, mails_to, wait_until
from tests.ops.delivery.receivers import (
    Receiver,
    answer,
    dripping,
    read_request,
    receiver,
    silent,
)
from tests.todo_app.helpers import inside
from tests.todo_app.people import person_who_may, records_of
from tests.todo_app.todos.shapes import add_list
from tests.todo_app.webhooks.kit import Row, add_webhook, calls_of, messages_of
from todo_app import outbox
from todo_app.database import db, transaction
from todo_app.outbox import WEBHOOKS, OutboxMessage
from todo_app.secrets_box import seal
from todo_app.tenancy import operations
from todo_app.tenants import service as tenants
from todo_app.tenants.models import ACTIVE, SUSPENDED
from todo_app.webhooks.models import Webhook, WebhookDelivery
from todo_app.webhooks.signing import SignatureError, verify

NAME = "hooks.example.com"


def post_to_loopback(*args: Any, **kwargs: Any) -> http_guard.Attempt:
    """As the guard sends it, but that the name stands for this machine."""
    return http_guard.post(
        *args,
        is_allowed=lambda address: True,
        resolve=lambda name, port: ["127.0.0.1"],
        **kwargs,
    )


def send(app: Flask, post: webhooks.Post = post_to_loopback, seconds: float = 10) -> int:
    return webhooks.send(app.app_context, seconds, post)


@pytest.fixture(autouse=True)
def no_calls(app: Flask) -> Iterator[None]:
    """Nobody else's messages are sent, now or later."""

    def forget() -> None:
        with app.app_context(), operations(), transaction():
            db.session.execute(sa.delete(OutboxMessage).where(OutboxMessage.kind == WEBHOOKS))

    forget()
    yield
    forget()


def hook(company: Company, server: Receiver, *events: str) -> Row:
    url = f"http://{NAME}:{server.port}/todo?key=1"
    return add_webhook(company, url, events or ("*",))


def split(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}, body


def types_of(server: Receiver) -> list[str]:
    return [json.loads(split(request)[1])["type"] for request in server.requests]


def make_due(app: Flask, company: Company) -> None:
    """Let the time pass until everything that waits is due."""
    with inside(app, company.slug):
        pending = WebhookDelivery.state == "pending"
        db.session.execute(
            sa.update(WebhookDelivery).where(pending).values(next_at=WebhookDelivery.created_at)
        )
        db.session.execute(sa.update(Webhook).values(held_until=None))
    with app.app_context(), operations(), transaction():
        now = {"available_at": sa.func.now() - timedelta(seconds=1)}
        db.session.execute(
            sa.update(OutboxMessage).where(OutboxMessage.kind == WEBHOOKS).values(now)
        )


def change_hook(app: Flask, company: Company, **values: Any) -> None:
    with inside(app, company.slug):
        same = {"updated_at": Webhook.updated_at}
        db.session.execute(sa.update(Webhook).values({**same, **values}))


def calls(app: Flask) -> list[OutboxMessage]:
    with app.app_context(), operations():
        found = sa.select(OutboxMessage).where(OutboxMessage.kind == WEBHOOKS)
        return list(db.session.scalars(found))


def now() -> datetime:
    return datetime.now(UTC)


def test_a_message_is_signed_and_told_once(app: Flask, acme: Company) -> None:
    with receiver(answer("200 OK", b"thank you")) as server:
        webhook = hook(acme, server)
        todo_list = add_list(acme, "Groceries")
        assert send(app) == 1
        assert send(app) == 0
    headers, body = split(server.requests[0])
    verify([webhook["secret"]], headers, body)
    with pytest.raises(SignatureError):
        verify([webhook["secret"]], headers, body + b" ")
    assert server.requests[0].startswith(b"POST /todo?key=1 HTTP/1.1\r\n")
    payload = json.loads(body)
    assert list(payload) == ["type", "timestamp", "data"]
    assert payload["data"]["list"]["uuid"] == todo_list["uuid"]
    (row,) = acme.get(f"/webhooks/{webhook['uuid']}/deliveries").json["items"]
    assert row["uuid"] == headers["webhook-id"]
    assert (row["state"], row["attempts"], row["status"]) == ("delivered", 1, 200)
    assert (row["answer"], row["error"], row["next_at"]) == ("thank you", None, None)
    assert row["attempted_at"] <= row["ended_at"]
    assert calls(app) == []


def test_a_new_secret_and_the_former_one_both_sign_for_a_time(app: Flask, acme: Company) -> None:
    with receiver(answer()) as server:
        webhook = hook(acme, server)
        path = f"/webhooks/{webhook['uuid']}"
        new = acme.post(path + "/rotate").json["secret"]
        acme.post(path + "/test")
        send(app)
        change_hook(app, acme, former_until=sa.func.now() - timedelta(seconds=1))
        acme.post(path + "/test")
        send(app)
    (both, body), (one, later) = map(split, server.requests)
    for secret in (webhook["secret"], new):
        verify([secret], both, body)
    verify([new], one, later)
    with pytest.raises(SignatureError):
        verify([webhook["secret"]], one, later)


def test_messages_go_in_the_order_of_their_age(app: Flask, acme: Company) -> None:
    with receiver(answer()) as server:
        hook(acme, server)
        todo_list = add_list(acme, "0")
        for number in range(1, 12):
            acme.patch(f"/lists/{todo_list['uuid']}", {"title": str(number)})
        assert send(app) == 12
    titles = [json.loads(split(r)[1])["data"]["list"]["title"] for r in server.requests]
    assert titles == [str(number) for number in range(12)]


def test_a_failure_is_tried_again_with_growing_delays_and_ends(app: Flask, acme: Company) -> None:
    delays = []
    with receiver(answer("500 Internal Server Error", b"boom\x00")) as server:
        webhook = hook(acme, server)
        path = f"/webhooks/{webhook['uuid']}"
        acme.post(path + "/test")
        for number in range(1, 11):
            assert send(app) == 1
            assert send(app) == 0, "it is not due yet"
            row = acme.get(path + "/deliveries").json["items"][0]
            assert (row["attempts"], row["status"]) == (number, 500)
            assert row["answer"] == "boom"
            if number < 10:
                assert row["state"] == "pending"
                due = datetime.fromisoformat(row["next_at"])
                delays.append(due - datetime.fromisoformat(row["attempted_at"]))
                (call,) = calls(app)
                assert abs(call.available_at - due) < timedelta(seconds=2) or number >= 10
                make_due(app, acme)
    assert row["state"] == "failed"
    assert row["error"] == "The answer is 500 Internal Server Error."
    for delay, expected in zip(delays, backoff.DELAYS, strict=True):
        assert expected <= delay <= expected * 1.2 + timedelta(seconds=2)
    ids = {split(request)[0]["webhook-id"] for request in server.requests}
    assert len(server.requests) == 10
    assert len(ids) == 1
    shown = acme.get(path).json
    assert (shown["failures"], shown["is_active"]) == (10, True)
    assert calls(app) == []


def test_one_bad_message_does_not_hold_up_the_others(app: Flask, acme: Company) -> None:
    def behave(server: Receiver, connection: socket.socket) -> None:
        request = read_request(connection)
        server.requests.append(request)
        bad = b'"title":"Bad"' in request
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (400 if bad else 204))

    with receiver(behave) as server:
        webhook = hook(acme, server)
        for title in ("Good", "Bad", "Better"):
            add_list(acme, title)
        assert send(app) == 3
    assert [m.state for m in messages_of(app, acme)] == ["delivered", "pending", "delivered"]
    assert acme.get(f"/webhooks/{webhook['uuid']}").json["failures"] == 0


def test_an_overloaded_receiver_is_spared_for_as_long_as_it_asks(app: Flask, acme: Company) -> None:
    with receiver(answer("503 Service Unavailable", Retry_After="3600")) as server:
        webhook = hook(acme, server)
        add_list(acme, "A")
        add_list(acme, "B")
        assert send(app) == 1
        assert send(app) == 0
        add_list(acme, "C")
        assert send(app) == 0
    first, *others = messages_of(app, acme)
    assert first.next_at is not None
    assert timedelta(minutes=59) < first.next_at - now() < timedelta(minutes=73)
    assert {other.attempts for other in others} == {0}
    # Whatever was called for, what is left is one call, when the receiver may be tried again.
    (call,) = calls(app)
    assert timedelta(minutes=59) < call.available_at - now() < timedelta(minutes=61)
    # People may have it tried at once.
    with receiver(answer()) as server:
        change_hook(app, acme, url=f"http://{NAME}:{server.port}/")
        acme.post(f"/webhooks/{webhook['uuid']}/test")
        assert send(app) == 3


def test_410_switches_off_at_once_and_people_are_told(app: Flask, acme: Company) -> None:
    looks_after = person_who_may(acme, "settings:write")
    writer = acme.add_person("user")
    with receiver(answer("410 Gone")) as server:
        webhook = hook(acme, server)
        add_list(acme, "A")
        add_list(acme, "B")
        assert send(app) == 1
    path = f"/webhooks/{webhook['uuid']}"
    shown = acme.get(path).json
    assert (shown["is_active"], shown["off_reason"]) == (False, "gone")
    rows = acme.get(path + "/deliveries?order=asc").json["items"]
    assert [row["state"] for row in rows] == ["failed", "failed"]
    assert rows[0]["status"] == 410
    assert rows[1]["error"] == "The webhook was switched off."
    assert records_of(app, acme, webhook["uuid"])[-1] == "webhook.switched_off"
    mail = mails_to(app, acme.email)[-1]
    assert f"http://{NAME}:{server.port}/todo" in mail
    assert "key=1" not in mail
    assert "(410)" in mails_to(app, looks_after.email)[-1]
    assert not any("(410)" in text for text in mails_to(app, writer.email))
    assert calls(app) == []
    # It may be switched on again, and begins anew.
    shown = acme.patch(path, {"is_active": True}).json
    assert (shown["off_reason"], shown["failures"], shown["failing_since"]) == (None, 0, None)


def test_one_that_takes_nothing_for_days_is_switched_off(app: Flask, acme: Company) -> None:
    with receiver(answer("404 Not Found")) as server:
        webhook = hook(acme, server)
        path = f"/webhooks/{webhook['uuid']}"
        add_list(acme, "A")
        change_hook(
            app,
            acme,
            failures=claims.MOST_FAILURES - 2,
            failing_since=sa.func.now() - claims.FAILING_FOR,
        )
        send(app)
        assert acme.get(path).json["is_active"] is True
        make_due(app, acme)
        send(app)
    shown = acme.get(path).json
    assert (shown["is_active"], shown["off_reason"]) == (False, "failing")
    assert "three days" in mails_to(app, acme.email)[-1]


def test_a_success_in_between_begins_the_count_anew(app: Flask, acme: Company) -> None:
    with receiver(answer()) as server:
        webhook = hook(acme, server)
        long_ago = sa.func.now() - timedelta(days=30)
        change_hook(app, acme, failures=500, failing_since=long_ago)
        add_list(acme, "A")
        send(app)
    shown = acme.get(f"/webhooks/{webhook['uuid']}").json
    assert (shown["failures"], shown["failing_since"], shown["is_active"]) == (0, None, True)
    assert shown["updated_at"] == webhook["updated_at"], "nobody has changed it"


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(silent, id="never reads or writes"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\n", b"a"), id="drips headers"),
    ],
)
def test_a_receiver_that_never_answers_delays_nobody_else(
    app: Flask,
    acme: Company,
    globex: Company,
    behave: Callable[[Receiver, socket.socket], None],
) -> None:
    slow_post = partial(post_to_loopback, connect_seconds=1, total_seconds=1.5)
    with receiver(behave) as slow, receiver(answer()) as quick:
        hook(acme, slow)
        hook(globex, quick)
        for _ in range(3):
            add_list(acme, "A")
        add_list(globex, "B")
        began = time.monotonic()
        working = threading.Thread(target=send, args=(app, slow_post))
        working.start()
        wait_until(lambda: quick.requests, 1.4)
        working.join()
        took = time.monotonic() - began
    assert took < 4, "the second and third message of the slow one are not tried at once"
    states = [(m.attempts, m.error) for m in messages_of(app, acme)]
    assert states == [(1, "No answer came in time."), (0, None), (0, None)]


def test_a_private_address_is_never_sent_to_whatever_the_name_says(
    app: Flask, acme: Company
) -> None:
    def guarded(*args: Any) -> http_guard.Attempt:
        return http_guard.post(*args, resolve=lambda name, port: ["127.0.0.1"])

    with receiver(answer()) as server:
        webhook = hook(acme, server)
        add_list(acme, "A")
        assert send(app, guarded) == 1
        # Nor is a URL that got into the table in some other way.
        change_hook(app, acme, url=f"http://127.0.0.1:{server.port}/")
        make_due(app, acme)
        assert send(app, http_guard.post) == 1
        assert server.connections == 0
    row = acme.get(f"/webhooks/{webhook['uuid']}/deliveries").json["items"][0]
    assert (row["state"], row["attempts"]) == ("pending", 2)
    assert row["error"] == "The address is not public."


def test_a_redirect_is_not_followed(app: Flask, acme: Company) -> None:
    with receiver(answer()) as target:
        location = f"http://{NAME}:{target.port}/"
        with receiver(answer("302 Found", Location=location)) as server:
            hook(acme, server)
            add_list(acme, "A")
            assert send(app) == 1
        assert target.connections == 0
    (message,) = messages_of(app, acme)
    assert (message.state, message.status) == ("pending", 302)


def test_many_workers_at_once_send_each_message_once_and_in_order(
    app: Flask, acme: Company, globex: Company
) -> None:
    with receiver(answer()) as server:
        hook(acme, server, "list.*")
        hook(globex, server, "list.*")
        for company in (acme, globex):
            for number in range(15):
                add_list(company, f"{company.slug} {number}")
        with ThreadPoolExecutor(4) as pool:
            attempts = sum(pool.map(lambda _: send(app), range(4)))
        # One may have found the last messages held by another, and left.
        attempts += send(app)
        assert attempts == 30
    titles = [json.loads(split(r)[1])["data"]["list"]["title"] for r in server.requests]
    for company in (acme, globex):
        own = [title for title in titles if title.startswith(f"{company.slug} ")]
        assert own == [f"{company.slug} {number}" for number in range(15)]
    assert calls(app) == []


def test_a_message_that_comes_while_a_tenant_is_worked_on_is_not_lost(
    app: Flask, acme: Company
) -> None:
    """Whoever writes while a worker settles is heard, whichever of the two comes first."""
    with receiver(answer()) as server:
        hook(acme, server)
        todo_list = add_list(acme, "0")
        over = threading.Event()

        def work() -> None:
            while not over.is_set():
                send(app)

        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        for number in range(40):
            acme.patch(f"/lists/{todo_list['uuid']}", {"title": f"Title {number}"})
        wait_until(lambda: len(server.requests) >= 41, 15)
        over.set()
        for worker in workers:
            worker.join()
    assert {m.state for m in messages_of(app, acme)} == {"delivered"}
    assert len(server.requests) == 41


KILLED = """
import sys, os
from todo_app.config import Settings
import ops
from functools import partial
from pathlib import Path
from todo_app import create_app
from ops.delivery import http_guard, webhooks
app = create_app(Settings.from_env(os.environ))
ops.init_app(app)
post = partial(http_guard.post, is_allowed=lambda a: True, resolve=lambda n, p: ["127.0.0.1"])
webhooks.send(app.app_context, 30, post)
"""


def test_a_killed_worker_loses_nothing_and_does_not_go_on_for_ever(
    app: Flask, acme: Company, environment: dict[str, str]
) -> None:
    with receiver(silent) as server:
        hook(acme, server)
        add_list(acme, "A")
        add_list(acme, "B")
        process = subprocess.Popen([sys.executable, "-c", KILLED], env=environment)
        wait_until(lambda: server.connections, 30)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    first, second = messages_of(app, acme)
    assert (first.state, first.attempts, second.attempts) == ("pending", 1, 0)
    # Its lease is still good: nobody else sends meanwhile, not even the second message.
    with receiver(answer()) as server:
        change_hook(app, acme, url=f"http://{NAME}:{server.port}/")
        assert send(app) == 0
        make_due(app, acme)
        assert send(app) == 2
        first, second = messages_of(app, acme)
        assert (first.state, first.attempts) == ("delivered", 2)
        # One that has cost ten workers is sent no more.
        with inside(app, acme.slug):
            again = {"state": "pending", "attempts": 10, "next_at": sa.func.now()}
            which = WebhookDelivery.id == first.id
            db.session.execute(sa.update(WebhookDelivery).where(which).values(again))
        add_list(acme, "C")
        assert send(app) == 1
    first = messages_of(app, acme)[0]
    assert (first.state, first.error) == ("failed", claims.WORKER_LOST)


def test_what_comes_of_an_attempt_that_took_too_long_counts_no_more(
    app: Flask, acme: Company
) -> None:
    with receiver(answer()) as server:
        hook(acme, server)
        add_list(acme, "A")
        with inside(app, acme.slug):
            old = claims.claim()
        assert old is not None
        make_due(app, acme)
        assert send(app) == 1
    with inside(app, acme.slug):
        failure = http_guard.Failure.TIMEOUT
        claims.settle(old, http_guard.Attempt(1.0, failure=failure, reason="Late."))
    (message,) = messages_of(app, acme)
    assert (message.state, message.error, message.attempts) == ("delivered", None, 2)


def test_a_webhook_that_is_deleted_while_it_is_sent_is_no_error(app: Flask, acme: Company) -> None:
    def behave(server: Receiver, connection: socket.socket) -> None:
        server.requests.append(read_request(connection))
        deleted.append(acme.delete(f"/webhooks/{webhook['uuid']}").status_code)
        connection.sendall(b"HTTP/1.1 204 X\r\n\r\n")

    deleted: list[int] = []
    with receiver(behave) as server:
        webhook = hook(acme, server)
        add_list(acme, "A")
        add_list(acme, "B")
        assert send(app) == 1
    assert deleted == [204]
    assert messages_of(app, acme) == []


def test_a_secret_that_cannot_be_read_is_told(app: Flask, acme: Company) -> None:
    with receiver(answer()) as server:
        hook(acme, server)
        add_list(acme, "A")
        change_hook(app, acme, secret=b"of another key")
        assert send(app) == 1
        assert server.connections == 0
    (message,) = messages_of(app, acme)
    assert (message.state, message.error) == ("pending", webhooks.NO_SECRET)
    with app.app_context():
        assert seal("x")


def test_a_suspended_tenant_waits_and_a_tenant_that_is_gone_is_forgotten(
    app: Flask, acme: Company
) -> None:
    def become(state: str) -> None:
        with app.app_context(), operations(), transaction():
            tenants.get(acme.slug).state = state

    with receiver(answer()) as server:
        hook(acme, server)
        add_list(acme, "A")
        become(SUSPENDED)
        assert send(app) == 0
        (call,) = calls(app)
        assert call.available_at - now() > timedelta(minutes=5)
        become(ACTIVE)
        make_due(app, acme)
        assert send(app) == 1
    with app.app_context(), operations(), transaction():
        outbox.put(WEBHOOKS, {"schema_name": "t_gone_12345678"})
    assert send(app) == 0
    assert calls(app) == []


def test_nothing_to_send_costs_one_statement_and_no_tenant(app: Flask, acme: Company) -> None:
    with receiver(answer()) as server:
        hook(acme, server)
        add_list(acme, "A")
        send(app)
    sent: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    with app.app_context():
        engines = [db.engines[None], db.engines["ops"]]
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    try:
        assert send(app) == 0
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)
    asked = [statement for statement in sent if "set_config" not in statement]
    assert len(asked) == 1
    assert "public.outbox" in asked[0]


def test_mails_do_not_wait_for_webhooks_nor_the_other_way_round(app: Flask, acme: Company) -> None:
    with receiver(silent) as server:
        hook(acme, server)
        add_list(acme, "A")
        assert calls_of(app, acme) == 1
        with app.app_context():
            job.deliver(app.config["SETTINGS"], 5)
        assert calls_of(app, acme) == 1
        with app.app_context(), operations(), transaction():
            taken = wakes.take()
        assert taken is not None
        assert taken.schema_name == acme.schema_name


def test_a_real_worker_sends_and_reaches_no_private_address(
    app: Flask, acme: Company, worker: subprocess.Popen[bytes]
) -> None:
    with receiver(answer()) as server:
        hook(acme, server)
        change_hook(app, acme, url=f"http://127.0.0.1:{server.port}/")
        add_list(acme, "A")
        with app.app_context():
            tasks.send_webhooks.delay()
        wait_until(lambda: messages_of(app, acme)[0].error, 30)
        assert server.connections == 0
    assert messages_of(app, acme)[0].error == "The address is not public."


def test_what_the_documentation_says_verifies_a_message(app: Flask, acme: Company) -> None:
    text = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    with receiver(answer()) as server:
        webhook = hook(acme, server)
        add_list(acme, "Łódź")
        send(app)
    headers, body = split(server.requests[0])
    assert names["is_ours"](webhook["secret"], headers, body)
    assert not names["is_ours"](webhook["secret"], headers, body + b" ")
    assert not names["is_ours"](webhook["secret"], {}, body)
    node = shutil.which("node")
    if node is not None:
        (program,) = re.findall(r"```javascript\n(.*?)```", text, re.DOTALL)
        told = json.dumps([webhook["secret"], headers, body.decode()])
        program += f"""
            const [secret, headers, body] = {told};
            const bytes = Buffer.from(body);
            const others = Buffer.from(body + " ");
            console.log(isOurs(secret, headers, bytes), isOurs(secret, headers, others));
        """
        run = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
        assert run.stdout.split() == ["true", "false"]
