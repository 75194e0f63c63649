"""Messages of one tenant to webhooks: claimed for an attempt, and settled after it.

Each webhook is sent one message at a time, those first that have been due for longest. A claim is a
lease, counted as an attempt before anything is sent: where a worker dies, the message comes up
again, and not for ever. No transaction is open while a receiver is talked to.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from ops.delivery import backoff
from ops.delivery.backoff import Verdict
from ops.delivery.http_guard import Attempt
from todo_app.database import db
from todo_app.secrets_box import NoKeyError, unseal
from todo_app.webhooks.models import (
    DELIVERED,
    FAILED,
    FAILING,
    GONE,
    PENDING,
    Webhook,
    WebhookDelivery,
)
from todo_app.webhooks.switching import switch_off

LEASE = timedelta(seconds=60)
"""Longer than an attempt ever takes."""
FAILING_FOR = timedelta(days=3)
MOST_FAILURES = 10
"""A webhook that has failed so often in a row, and for so long, is switched off."""
WORKER_LOST = "The service was interrupted while it was sending this."


class Claim(NamedTuple):
    """A message that is to be sent now.

    Args:
        webhook_id: key of the webhook.
        message_id: key of the message.
        attempts: how many there have been, with this one.
        uuid: what the receiver knows the message by.
        url: where it goes.
        keys: that sign it; none where they cannot be read.
        body: JSON.
    """

    webhook_id: int
    message_id: int
    attempts: int
    uuid: uuid.UUID
    url: str
    keys: tuple[str, ...]
    body: bytes


def claim() -> Claim | None:
    """Claim the message that has been due for longest; None where nothing is."""
    while (found := _next()) is not None:
        webhook, message = found
        message.attempts += 1
        if message.attempts > backoff.MOST_ATTEMPTS:
            _end(message, FAILED)
            message.error = WORKER_LOST
            db.session.flush()
            continue
        message.attempted_at = sa.func.now()
        message.next_at = sa.func.now() + LEASE
        db.session.flush()
        _note(webhook.id, held_until=sa.func.now() + LEASE)
        keys, body = _keys(webhook), _body(message)
        return Claim(
            webhook.id, message.id, message.attempts, message.uuid, webhook.url, keys, body
        )
    return None


def settle(claimed: Claim, attempt: Attempt) -> None:
    """Write down what came of an attempt, and what follows.

    Where the message has been claimed again meanwhile, or is gone, nothing does.
    """
    found = (
        sa.select(Webhook)
        .join(WebhookDelivery, WebhookDelivery.webhook_id == Webhook.id)
        .where(WebhookDelivery.uuid == claimed.uuid)
    )
    webhook = db.session.scalars(found.with_for_update(of=Webhook, key_share=True)).one_or_none()
    message = db.session.scalars(
        sa.select(WebhookDelivery)
        .where(
            # Not by their numbers: a restore may have come in between, and given others.
            WebhookDelivery.uuid == claimed.uuid,
            WebhookDelivery.state == PENDING,
            WebhookDelivery.attempts == claimed.attempts,
        )
        .with_for_update()
    ).one_or_none()
    if webhook is None or message is None:
        return
    now = datetime.now(UTC)
    judgement = backoff.judge(attempt, claimed.attempts, now)
    message.status = attempt.status
    message.error = attempt.reason or None
    message.answer = attempt.excerpt or None
    if judgement.delay is not None:
        message.next_at = sa.func.now() + judgement.delay
    else:
        _end(message, DELIVERED if judgement.verdict is Verdict.DELIVERED else FAILED)
    db.session.flush()
    if judgement.verdict is Verdict.DELIVERED:
        _note(webhook.id, failures=0, failing_since=None, held_until=None)
        return
    failures = webhook.failures + 1
    since = webhook.failing_since or now
    hold = backoff.hold(attempt, judgement, failures, now)
    held_until = sa.func.now() + hold if hold else None
    _note(webhook.id, failures=failures, failing_since=since, held_until=held_until)
    if judgement.verdict is Verdict.GONE:
        switch_off(webhook, GONE)
    elif failures >= MOST_FAILURES and now - since >= FAILING_FOR:
        switch_off(webhook, FAILING)


def _next() -> tuple[Webhook, WebhookDelivery] | None:
    is_due = sa.and_(
        WebhookDelivery.webhook_id == Webhook.id,
        WebhookDelivery.state == PENDING,
        WebhookDelivery.next_at <= sa.func.now(),
    )
    oldest = (
        sa.select(sa.func.min(WebhookDelivery.next_at))
        .where(is_due)
        .correlate(Webhook)
        .scalar_subquery()
    )
    free = sa.or_(Webhook.held_until.is_(None), Webhook.held_until <= sa.func.now())
    webhook = db.session.scalars(
        sa.select(Webhook)
        .where(Webhook.is_active, free, oldest.is_not(None))
        .order_by(oldest)
        .limit(1)
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if webhook is None:
        return None
    message = db.session.scalars(
        sa.select(WebhookDelivery)
        .where(
            WebhookDelivery.webhook_id == webhook.id,
            WebhookDelivery.state == PENDING,
            WebhookDelivery.next_at <= sa.func.now(),
        )
        .order_by(WebhookDelivery.next_at, WebhookDelivery.id)
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    # Somebody may have taken it between the two statements, and then the webhook is free again.
    return (webhook, message) if message is not None else None


def _end(message: WebhookDelivery, state: str) -> None:
    message.state = state
    message.next_at = None
    message.ended_at = sa.func.now()


def _note(webhook_id: int, **values: Any) -> None:
    """Note how a webhook fares: no change that people would have to know of."""
    db.session.execute(
        sa.update(Webhook)
        .where(Webhook.id == webhook_id)
        .values(updated_at=Webhook.updated_at, **values)
        .execution_options(synchronize_session=False)
    )


def _keys(webhook: Webhook) -> tuple[str, ...]:
    """The secrets, the new one first."""
    sealed = [webhook.secret]
    until = webhook.former_until
    if webhook.former_secret is not None and until is not None and until > datetime.now(UTC):
        sealed.append(webhook.former_secret)
    try:
        return tuple(map(unseal, sealed))
    except NoKeyError:
        return ()


def _body(message: WebhookDelivery) -> bytes:
    payload = message.payload
    return orjson.dumps({name: payload[name] for name in ("type", "timestamp", "data")})
