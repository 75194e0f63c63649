"""How far a restore is, written into the ledger for those who look on."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from ops.runs.claims import Item
from ops.runs.models import RunItem
from todo_app.database import OPS_BIND, db

EVERY_SECONDS = 1.0


@dataclass
class Progress:
    """What has been loaded so far; tells the ledger now and then.

    Args:
        item: of the ledger; None where nobody looks on.
        total: rows that the archive has.
    """

    item: Item | None = None
    total: int = 0
    rows: int = 0
    size: int = 0
    _step: str = ""
    _next: float = field(default_factory=lambda: time.monotonic() + EVERY_SECONDS)

    def begin(self, step: str) -> None:
        """Say what is done from now on."""
        self._step = step
        self._tell()

    def add(self, data: bytes) -> None:
        """Count what was loaded."""
        self.rows += data.count(b"\n")
        self.size += len(data)
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if self.item is None or self.item.token is None or now < self._next:
            return
        self._next = now + EVERY_SECONDS
        progress = {
            "step": self._step,
            "rows": self.rows,
            "of_rows": self.total,
            "bytes": self.size,
        }
        statement = (
            sa.update(RunItem)
            .where(
                RunItem.run_id == self.item.run_id,
                RunItem.tenant_id == self.item.tenant_id,
                RunItem.claim == self.item.token,
            )
            .values(result=RunItem.result.concat(sa.cast({"progress": progress}, JSONB)))
        )
        # On a connection of its own: the restore's is in a transaction. It is only for show.
        with suppress(sa.exc.SQLAlchemyError), db.engines[OPS_BIND].begin() as connection:
            connection.execute(statement)
