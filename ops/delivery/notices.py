"""Tells people of changes, and reminds them: in each tenant that has called for it.

What comes of it are mails in the outbox, written in the transaction that notes what has been told,
so nobody is told twice.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from ops.delivery import wakes
from todo_app.database import db, transaction
from todo_app.notifications import service as notifications
from todo_app.outbox import NOTICES
from todo_app.reminders import sending as reminders
from todo_app.tenancy import (
    TenantBehindError,
    TenantInactiveError,
    TenantNotFoundError,
    operations,
    tenant_scope,
)


def send(for_seconds: float) -> int:
    """Write the mails of all tenants that have called, until none has, or the time is over.

    Returns:
        How many tenants were looked at.
    """
    ends = time.monotonic() + for_seconds
    seen = 0
    while time.monotonic() < ends:
        with operations(), transaction():
            wake = wakes.take(NOTICES)
        if wake is None:
            break
        seen += 1
        try:
            _work(wake)
        except TenantNotFoundError:
            with operations(), transaction():
                wakes.drop(wake)
        except (TenantInactiveError, TenantBehindError):
            with operations(), transaction():
                wakes.put_off(wake)
    return seen


def _work(wake: wakes.Wake) -> None:
    with tenant_scope(wake.schema_name, "schema_name"), transaction():
        told = max(notifications.tell(), notifications.tell_held())
        due = reminders.remind()
    is_more = told == notifications.MAX_ENTRIES or due == reminders.MAX_AT_ONCE
    with operations(), transaction():
        # First: of a call that comes from now on, the entries may not be there to be seen below.
        wakes.drop(wake)
    with tenant_scope(wake.schema_name, "schema_name"), transaction():
        moments = (reminders.next_due(), notifications.next_held())
        next_at = min(filter(None, moments), default=None)
        if is_more:
            notifications.call_at(db.session.execute(sa.select(sa.func.now())).scalar_one())
        elif next_at is not None:
            # After a restore, nobody else would call for what was brought back.
            notifications.call_at(next_at)
