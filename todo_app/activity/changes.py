"""What has changed, for clients that sync."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert, insert

from todo_app.activity.models import Change
from todo_app.database import db

KINDS = (
    "list",
    "section",
    "task",
    "comment",
    "tag",
    "filter",
    "relation",
    "time_entry",
    "attachment",
    "reminder",
)
"""What clients can sync."""

BY_US: dict[str, Any] = {
    "transaction": sa.text("(pg_current_xact_id()::text)::bigint"),
    "at": sa.func.now(),
}
"""Columns of Change for what the current transaction changes."""


def changed(kind: str, uuid: uuid.UUID, *, list_id: int | None, deleted: bool = False) -> None:
    """Mark a thing as changed by the current transaction, for clients that sync.

    Args:
        kind: one of KINDS.
        uuid: of the thing.
        list_id: whose readers may know of it; None where all may.
        deleted: whether it is gone, or in the trash.
    """
    row = {"kind": kind, "uuid": uuid, "list_id": list_id or 0, "is_deleted": deleted}
    db.session.connection().execute(_ROW, row)


def marked(rows: Insert) -> Insert:
    """Rows of Change, which replace those of the same things.

    Whoever inserts several does it in the order of their keys, so that two do not lock each other
    out.
    """
    return rows.on_conflict_do_update(
        index_elements=[Change.kind, Change.uuid, Change.list_id],
        set_={**BY_US, "is_deleted": rows.excluded.is_deleted},
    )


_ROW = marked(
    insert(Change).values(
        {name: sa.bindparam(name) for name in ("kind", "uuid", "list_id", "is_deleted")}
    )
)
