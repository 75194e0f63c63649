"""What every write leaves behind: an entry of the timeline."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from todo_app.activity import events
from todo_app.activity.models import Activity
from todo_app.database import db
from todo_app.notifications import service as notifications
from todo_app.tenancy import CurrentUser

_COLUMNS = ("actor_id", "list_id", "task_id", "action", "changes")
_ENTRY = (
    sa.insert(Activity)
    .values({name: sa.bindparam(name) for name in _COLUMNS})
    .returning(events.IS_HEARD)
)
# In one statement: most requests have one entry.
_CALLING_ENTRY = _ENTRY.add_cte(notifications.CALL.cte("call"))


def record(
    actor: CurrentUser | None,
    action: str,
    *,
    list_id: int,
    task_id: int | None = None,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    """Add an entry to the timeline, in the current transaction.

    Args:
        actor: who did it; None where the program did, as when a task recurs.
        action: what was done, such as `task.changed`.
        list_id: the list that it belongs to, whose readers may see it.
        task_id: the task, where it is about one.
        changes: by field, what it was and what it is.
    """
    told = {name: [_plain(old), _plain(new)] for name, (old, new) in (changes or {}).items()}
    entry = {
        "actor_id": actor.id if actor else None,
        "list_id": list_id,
        "task_id": task_id,
        "action": action,
        "changes": told,
    }
    db.session.flush()
    call = notifications.call()
    statement = _ENTRY if call is None else _CALLING_ENTRY
    is_heard = db.session.connection().execute(statement, entry | (call or {})).scalar_one()
    events.publish(actor, action, list_id=list_id, task_id=task_id, changes=told, is_heard=is_heard)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value
