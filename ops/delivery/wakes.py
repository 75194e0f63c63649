"""Which tenants have something to send to webhooks: calls of theirs, in the outbox.

A tenant calls in the transaction that writes its messages. So workers look into no tenant without a
reason; where nobody has called, that costs one probe of an index. A call is taken on a lease, and
comes up again where its worker dies. When a tenant has been worked on, its calls become one, for
when its next message is due, or none.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from todo_app.database import db
from todo_app.outbox import WEBHOOKS, OutboxMessage
from todo_app.tenants.models import ACTIVE, DELETING, Tenant
from todo_app.webhooks.models import PENDING, Webhook, WebhookDelivery

LEASE = timedelta(minutes=2)
"""Longer than a tenant is ever worked on at a time."""
AWAY_FOR = timedelta(minutes=10)
"""After this a tenant that is suspended, or being upgraded, is looked at again."""

_NAME = OutboxMessage.payload["schema_name"].astext


def _of(kind: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        OutboxMessage.delivered_at.is_(None),
        OutboxMessage.failed_at.is_(None),
        OutboxMessage.kind == kind,
    )


_IS_WAITING = _of(WEBHOOKS)


class Wake(NamedTuple):
    """A call that was taken."""

    id: int
    schema_name: str


def is_any_due() -> bool:
    """Whether some tenant has something to send."""
    due = sa.select(OutboxMessage.id).where(
        _IS_WAITING, OutboxMessage.available_at <= sa.func.now()
    )
    return db.session.scalar(due.limit(1)) is not None


def take(kind: str = WEBHOOKS) -> Wake | None:
    """Take the call of a kind that has been due for longest; None where there is none.

    All others of that kind and tenant which are due now are answered with it.
    """
    is_waiting = _of(kind)
    due = (
        sa.select(OutboxMessage.id)
        .where(is_waiting, OutboxMessage.available_at <= sa.func.now())
        .order_by(OutboxMessage.available_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    row = db.session.execute(
        sa.update(OutboxMessage)
        .where(OutboxMessage.id == due)
        .values(available_at=sa.func.now() + LEASE)
        .returning(OutboxMessage.id, _NAME)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return None
    wake = Wake._make(row)
    others = sa.select(OutboxMessage.id).where(
        is_waiting, OutboxMessage.available_at <= sa.func.now(), wake.schema_name == _NAME
    )
    _delete(OutboxMessage.id.in_(others.with_for_update(skip_locked=True)))
    return wake


def drop(wake: Wake) -> None:
    """Answer a call."""
    _delete(OutboxMessage.id == wake.id)


def put_off(wake: Wake) -> None:
    """Look at a tenant again that is suspended, or being upgraded."""
    db.session.execute(
        sa.update(OutboxMessage)
        .where(OutboxMessage.id == wake.id)
        .values(available_at=sa.func.now() + AWAY_FOR, created_at=sa.func.now() + AWAY_FOR)
        .execution_options(synchronize_session=False)
    )


def settle(wake: Wake) -> None:
    """Let a tenant call again when its next message is due, and not before."""
    later = sa.and_(
        _IS_WAITING, wake.schema_name == _NAME, OutboxMessage.available_at > sa.func.now()
    )
    # In this order: of a call that this finds, the messages are there to be seen afterwards.
    _delete(sa.or_(OutboxMessage.id == wake.id, later))
    due = _next_due(wake.schema_name)
    if due is not None:
        # Nobody waits for it until then, as far as the age of messages goes.
        values = {"kind": WEBHOOKS, "payload": {"schema_name": wake.schema_name}}
        times = {"available_at": due, "created_at": due}
        db.session.execute(sa.insert(OutboxMessage).values(**values, **times).inline())


def _next_due(schema_name: str) -> datetime | None:
    """When a tenant has something to send; None for never."""
    now: datetime = db.session.execute(sa.select(sa.func.now())).scalar_one()
    state = db.session.scalar(sa.select(Tenant.state).where(Tenant.schema_name == schema_name))
    if state is None or state == DELETING:
        return None
    if state != ACTIVE:
        return now + AWAY_FOR
    oldest = (
        sa.select(sa.func.min(WebhookDelivery.next_at))
        .where(WebhookDelivery.webhook_id == Webhook.id, WebhookDelivery.state == PENDING)
        .correlate(Webhook)
        .scalar_subquery()
    )
    heads = (
        sa.select(Webhook.held_until, oldest.label("next_at")).where(Webhook.is_active).subquery()
    )
    due = sa.select(sa.func.min(sa.func.greatest(heads.c.next_at, heads.c.held_until)))
    moment: datetime | None = db.session.scalar(
        due.where(heads.c.next_at.is_not(None)),
        execution_options={"schema_translate_map": {None: schema_name}},
    )
    return moment


def _delete(which: sa.ColumnElement[bool]) -> None:
    db.session.execute(
        sa.delete(OutboxMessage).where(which).execution_options(synchronize_session=False)
    )
