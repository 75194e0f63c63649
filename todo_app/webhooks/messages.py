"""Messages to webhooks: written in the transaction of what they tell, sent after its commit.

A webhook belongs to the company: all administrators see what it was sent, and may send it anywhere
else. So it is told of the company's lists only, never of private ones, whoever has made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from todo_app import outbox
from todo_app.activity.models import Activity
from todo_app.database import current_session, db
from todo_app.tenancy import CurrentUser, current_tenant
from todo_app.todos.models import COMPANY, Task, TodoList
from todo_app.webhooks.kinds import ALL, TEST, group_of
from todo_app.webhooks.models import Webhook, WebhookDelivery

IS_ANY_ON = sa.exists().where(Webhook.is_active)
"""Whether there is somebody to be told, for a statement that is sent anyway."""

_WOKEN = "webhooks_woken_by"

_LIST = sa.func.jsonb_build_object("uuid", TodoList.uuid, "title", TodoList.title)
_SYMBOL = sa.case((Task.number > 0, TodoList.symbol + "-" + sa.cast(Task.number, sa.Text)))
_TASK = sa.func.jsonb_build_object(
    "uuid", Task.uuid, "title", Task.title, "status", Task.status, "symbol", _SYMBOL
)
_COLUMNS = ["webhook_id", "event", "payload", "next_at"]


def _messages(
    changes: Any, list_id: Any, task_id: Any, source: Any = Webhook
) -> sa.Select[*tuple[Any, ...]]:
    """Rows of WebhookDelivery for whoever wants to know of an event.

    Args:
        changes: of the event.
        list_id: key of the list in which it happened.
        task_id: key of the task that it is about, if any.
        source: webhooks, joined with where the other values come from.
    """
    event = sa.bindparam("event", type_=sa.Text)
    data = sa.func.jsonb_build_object(
        "list",
        _LIST,
        "task",
        sa.case((Task.id.is_not(None), _TASK)),
        "actor",
        sa.bindparam("actor", type_=JSONB(none_as_null=True)),
        "changes",
        changes,
    )
    payload = sa.func.jsonb_build_object(
        "type", event, "timestamp", sa.bindparam("timestamp", type_=sa.Text), "data", data
    )
    return (
        sa.select(Webhook.id, event, payload, sa.func.clock_timestamp())
        .select_from(source)
        .join(TodoList, TodoList.id == list_id)
        .outerjoin(Task, Task.id == task_id)
        .where(
            Webhook.is_active,
            Webhook.events.overlap(sa.bindparam("names", type_=ARRAY(sa.Text))),
            TodoList.visibility == COMPANY,
        )
    )


_QUEUE = (
    sa.insert(WebhookDelivery)
    .from_select(
        _COLUMNS,
        _messages(
            sa.bindparam("changes", type_=JSONB),
            sa.bindparam("list_id", type_=sa.BigInteger),
            sa.bindparam("task_id", type_=sa.BigInteger),
        ),
        include_defaults=False,
    )
    .returning(WebhookDelivery.id)
)
_ENTRIES = sa.bindparam("entries", type_=ARRAY(sa.BigInteger))
_QUEUE_ALL = sa.insert(WebhookDelivery).from_select(
    _COLUMNS,
    _messages(
        *(Activity.changes, Activity.list_id, Activity.task_id),
        source=sa.join(Activity, Webhook, sa.true()),
    )
    .where(Activity.id == sa.any_(_ENTRIES))
    .order_by(Activity.id, Webhook.id),
    include_defaults=False,
)


def queue(
    actor: CurrentUser | None,
    event: str,
    *,
    list_id: int,
    task_id: int | None,
    changes: Mapping[str, Any],
) -> None:
    """Have the webhooks that want to know of an event told of it, once it has been committed.

    Args:
        actor: who did it; None for the program itself.
        event: one of EVENTS.
        list_id: where it happened.
        task_id: the task that it is about, if any.
        changes: by field, a pair of what it was and what it is, as JSON has them.
    """
    values = {
        "event": event,
        "names": [ALL, group_of(event), event],
        "timestamp": _now(),
        "list_id": list_id,
        "task_id": task_id,
        "actor": _person(actor),
        "changes": dict(changes),
    }
    if db.session.connection().execute(_QUEUE, values).first() is not None:
        wake()


def queue_all(actor: CurrentUser | None, event: str, entries: Sequence[int]) -> None:
    """The same of many entries of the timeline at once.

    Args:
        actor: who made them; None for the program itself.
        event: what all of them are, one of EVENTS.
        entries: their keys.
    """
    values = {
        "event": event,
        "names": [ALL, group_of(event), event],
        "timestamp": _now(),
        "actor": _person(actor),
        "entries": list(entries),
    }
    if db.session.connection().execute(_QUEUE_ALL, values).rowcount:
        wake()


def queue_test(webhook: Webhook, actor: CurrentUser) -> WebhookDelivery:
    """Have a webhook told that somebody tests it."""
    payload = {"type": TEST, "timestamp": _now(), "data": {"actor": _person(actor)}}
    message = WebhookDelivery(
        webhook_id=webhook.id, event=TEST, payload=payload, next_at=sa.func.now()
    )
    db.session.add(message)
    db.session.flush()
    wake()
    return message


def wake() -> None:
    """Tell the workers, once this transaction has been committed, that there is something to send.

    They look into no tenant that has not called. One call is enough for a transaction, but what is
    written after a savepoint goes when that is rolled back.
    """
    session = current_session()
    innermost = session.get_nested_transaction() or session.get_transaction()
    if innermost is None or session.info.get(_WOKEN) is not innermost:
        outbox.put(outbox.WEBHOOKS, {"schema_name": current_tenant().schema_name})
        session.info[_WOKEN] = session.get_nested_transaction() or session.get_transaction()


def _person(actor: CurrentUser | None) -> dict[str, str] | None:
    if actor is None:
        return None
    names = {"first_name": actor.first_name, "last_name": actor.last_name}
    return {"uuid": str(actor.uuid), **names}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
