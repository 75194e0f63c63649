"""Tries a restore to the end, without a tenant."""

from __future__ import annotations

import time
from typing import Any

from ops.restores.progress import Progress
from ops.restores.scratch import scratch
from ops.restores.source import fill, find_source
from ops.runs.claims import Item
from todo_app.config import Settings
from todo_app.database import own_connection
from todo_app.storage import Storage


def drill(item: Item, storage: Storage, settings: Settings) -> dict[str, Any]:
    """Restore an archive into a scratch schema, compare, upgrade, and drop it.

    The archive and its tenant are noted as proven.

    Args:
        item: its result names the `archive`.
        storage: where that lies.
        settings: of this installation.

    Raises:
        AppError, sqlalchemy.exc.DBAPIError: it could not be restored; what is wrong with the
            archive is noted in the catalogue.
    """
    began = time.monotonic()
    with own_connection() as connection, scratch() as name:
        source = find_source(connection, storage, settings, item.result["archive"])
        filled = fill(connection, source, name, None, settings, Progress(item))
    return {**filled.result, "proven_in": round(time.monotonic() - began, 3)}
