"""Writing and reading the record of who did what."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.audit.models import AuditEntry
from todo_app.database import db
from todo_app.origin import current_origin
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.tenancy import CurrentUser

NOBODY = "nobody signed in"
"""The actor of what is done with a mailed secret, or by the program itself."""


# A statement of the table, made once: one of the model would be put together for each entry.
_ADD = sa.insert(cast(sa.Table, AuditEntry.__table__)).inline()


def record(
    actor: CurrentUser | User | None,
    action: str,
    target: tuple[str, uuid.UUID | None] | None = None,
    **details: Any,
) -> None:
    """Add an entry to the record of the current tenant, in the current transaction.

    Args:
        actor: who did it; None where nobody was signed in.
        action: what was done, such as `user.deleted`.
        target: kind and UUID of what it was done to.
        details: what else is worth knowing: JSON, never a secret.
    """
    kind, target_uuid = target or (None, None)
    origin = current_origin()
    entry = {
        "actor_uuid": actor.uuid if actor else None,
        "actor_name": f"{actor.first_name} {actor.last_name}" if actor else NOBODY,
        "action": action,
        "target_kind": kind,
        "target_uuid": target_uuid,
        "details": details,
        **origin._asdict(),
    }
    db.session.connection().execute(_ADD, entry)


_ENTRIES = sa.select(*(column for column in AuditEntry.__table__.c if column.name != "id"))
_ORDER_BY = {"at": AuditEntry.at}
_FOUND = matches(
    AuditEntry.actor_name, AuditEntry.action, sa.func.coalesce(AuditEntry.address, sa.literal(""))
)


def page_of_entries(
    request: PageRequest,
    *,
    actor_uuid: uuid.UUID | None = None,
    action: str | None = None,
    target_kind: str | None = None,
    target_uuid: uuid.UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page:
    """A page of the current tenant's record.

    Args:
        request: which page; `search` looks into name, action and address.
        actor_uuid: only what this user did.
        action: only this one; where it ends with a dot, all that begin with it.
        target_kind: only what was done to things of this kind.
        target_uuid: only what was done to this one.
        since: only from this moment on.
        until: only before this moment.
    """
    rows = _ENTRIES
    exactly = {
        AuditEntry.actor_uuid: actor_uuid,
        AuditEntry.target_kind: target_kind,
        AuditEntry.target_uuid: target_uuid,
    }
    for column, value in exactly.items():
        if value is not None:
            rows = rows.where(column == value)
    if action is not None and action.endswith("."):
        rows = rows.where(AuditEntry.action.startswith(action, autoescape=True))
    elif action is not None:
        rows = rows.where(AuditEntry.action == action)
    if since is not None:
        rows = rows.where(AuditEntry.at >= since)
    if until is not None:
        rows = rows.where(AuditEntry.at < until)
    if request.search:
        rows = rows.where(_FOUND)
    # Of what was done in one transaction, the last comes first, too.
    query = PageQuery(rows, _ORDER_BY, AuditEntry.id)
    return query.fetch(request, **({"search": request.search} if request.search else {}))
