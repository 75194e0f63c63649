"""What webhooks were sent, how it went, and sending it again."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from todo_app.audit.service import record
from todo_app.database import db
from todo_app.errors import ConflictError, NotFoundError
from todo_app.pagination import Page, PageQuery, PageRequest
from todo_app.tenancy import CurrentUser
from todo_app.webhooks import messages
from todo_app.webhooks.models import PENDING, Webhook, WebhookDelivery
from todo_app.webhooks.service import NoSuchWebhookError, lock_webhook

MOST_REPLAYED = 10_000
"""By one request."""

ORDER_BY = {"created_at": WebhookDelivery.id}
"""Rows get their keys in this order, and the index has them."""

_SHOWN = (
    WebhookDelivery.uuid,
    WebhookDelivery.event,
    WebhookDelivery.state,
    WebhookDelivery.attempts,
    WebhookDelivery.status,
    WebhookDelivery.error,
    WebhookDelivery.answer,
    WebhookDelivery.created_at,
    WebhookDelivery.attempted_at,
    WebhookDelivery.next_at,
    WebhookDelivery.ended_at,
)
_AGAIN: dict[str, Any] = {
    "state": PENDING,
    "attempts": 0,
    "next_at": sa.func.now(),
    "ended_at": None,
}


class NoSuchDeliveryError(NotFoundError):
    """The webhook has no such message, or it is too old."""

    detail = "There is no such delivery."


class WebhookOffError(ConflictError):
    """Nothing is sent to a webhook that is off."""

    code = "webhook-off"
    detail = "This webhook is off; switch it on first."


def page_of_deliveries(
    webhook_uuid: uuid.UUID,
    request: PageRequest,
    *,
    state: str | None = None,
    event: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page:
    """A page of what a webhook was sent, or is about to be.

    Args:
        webhook_uuid: the webhook.
        request: which page.
        state: only what is in this one of STATES.
        event: only messages of this event.
        since: only what happened at this moment or later.
        until: only what happened before this moment.

    Raises:
        NoSuchWebhookError
    """
    rows = sa.select(*_SHOWN).where(WebhookDelivery.webhook_id == _id_of(webhook_uuid))
    if state is not None:
        rows = rows.where(WebhookDelivery.state == state)
    if event is not None:
        rows = rows.where(WebhookDelivery.event == event)
    if since is not None:
        rows = rows.where(WebhookDelivery.created_at >= since)
    if until is not None:
        rows = rows.where(WebhookDelivery.created_at < until)
    return PageQuery(rows, ORDER_BY, WebhookDelivery.id).fetch(request)


def get_delivery(webhook_uuid: uuid.UUID, delivery_uuid: uuid.UUID) -> Any:
    """One message, with what it says.

    Raises:
        NoSuchWebhookError, NoSuchDeliveryError
    """
    found = sa.select(*_SHOWN, WebhookDelivery.payload).where(
        WebhookDelivery.webhook_id == _id_of(webhook_uuid), WebhookDelivery.uuid == delivery_uuid
    )
    row = db.session.execute(found).one_or_none()
    if row is None:
        raise NoSuchDeliveryError
    return row


def send_test(actor: CurrentUser, webhook_uuid: uuid.UUID) -> Any:
    """Have a webhook sent a message that says nothing.

    Raises:
        NoSuchWebhookError, WebhookOffError
    """
    webhook = _lock(webhook_uuid)
    message = messages.queue_test(webhook, actor)
    return get_delivery(webhook_uuid, message.uuid)


def replay(actor: CurrentUser, webhook_uuid: uuid.UUID, delivery_uuid: uuid.UUID) -> Any:
    """Have one message sent again, with the id that it had.

    One that waits for its next attempt is sent now.

    Raises:
        NoSuchWebhookError, NoSuchDeliveryError, WebhookOffError
    """
    webhook = _lock(webhook_uuid)
    again = (
        sa.update(WebhookDelivery)
        .where(WebhookDelivery.webhook_id == webhook.id, WebhookDelivery.uuid == delivery_uuid)
        .values(_AGAIN)
        .returning(WebhookDelivery.id)
    )
    if db.session.scalar(again) is None:
        raise NoSuchDeliveryError
    record(actor, "webhook.replayed", ("webhook", webhook_uuid), delivery=str(delivery_uuid))
    messages.wake()
    return get_delivery(webhook_uuid, delivery_uuid)


def replay_since(
    actor: CurrentUser,
    webhook_uuid: uuid.UUID,
    *,
    since: datetime,
    until: datetime | None = None,
    state: str,
) -> int:
    """Have all messages of a time sent again, the oldest first.

    Args:
        actor: who asks for it.
        webhook_uuid: the webhook.
        since: only what happened at this moment or later.
        until: only what happened before this moment.
        state: only what is in this one of STATES, not PENDING.

    Returns:
        How many; at most MOST_REPLAYED.

    Raises:
        NoSuchWebhookError, WebhookOffError
    """
    webhook = _lock(webhook_uuid)
    wanted = sa.select(WebhookDelivery.id).where(
        WebhookDelivery.webhook_id == webhook.id,
        WebhookDelivery.state == state,
        WebhookDelivery.created_at >= since,
    )
    if until is not None:
        wanted = wanted.where(WebhookDelivery.created_at < until)
    some = wanted.order_by(WebhookDelivery.id).limit(MOST_REPLAYED)
    # Their order is that in which they happened.
    values = {**_AGAIN, "next_at": WebhookDelivery.created_at}
    again = sa.update(WebhookDelivery).where(WebhookDelivery.id.in_(some)).values(values)
    result = db.session.connection().execute(again)
    number = int(result.rowcount)
    if number:
        about = {"since": since.isoformat(), "state": state, "messages": number}
        record(actor, "webhook.replayed", ("webhook", webhook_uuid), **about)
        messages.wake()
    return number


def _lock(webhook_uuid: uuid.UUID) -> Webhook:
    """A webhook that is on, and spared no more: somebody wants it to be tried now."""
    webhook = lock_webhook(webhook_uuid)
    if not webhook.is_active:
        raise WebhookOffError
    if webhook.failures and webhook.held_until is not None:
        db.session.execute(
            sa.update(Webhook)
            .where(Webhook.id == webhook.id)
            .values(held_until=None, updated_at=Webhook.updated_at)
            .execution_options(synchronize_session=False)
        )
    return webhook


def _id_of(webhook_uuid: uuid.UUID) -> int:
    webhook_id = db.session.scalar(sa.select(Webhook.id).where(Webhook.uuid == webhook_uuid))
    if webhook_id is None:
        raise NoSuchWebhookError
    return webhook_id
