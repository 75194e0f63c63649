"""Drops schemas that restores have put aside, once they have been kept long enough."""

from __future__ import annotations

from contextlib import suppress

import sqlalchemy as sa

from ops.restores.models import ReplacedSchema
from ops.restores.scratch import drop_left_behind
from ops.tenants.job import drop_schema
from ops.upgrades.locks import BusyError, lock_schema
from todo_app.database import own_connection
from todo_app.tenants.models import Tenant

_KEPT = ReplacedSchema.__table__


def sweep() -> list[str]:
    """Drop what is kept no longer, and what restores that were killed have left.

    Returns:
        Names of the schemas.
    """
    dropped = []
    expired = (
        sa.select(_KEPT.c.schema_name, Tenant.schema_name.label("tenant"))
        .join(Tenant, Tenant.id == _KEPT.c.tenant_id)
        .where(_KEPT.c.keep_until < sa.func.now())
    )
    with own_connection() as connection:
        for name, tenant in connection.execute(expired).all():
            # Held, so that no undo brings it back just now.
            with suppress(BusyError), lock_schema(connection, tenant):
                if drop_kept(connection, name):
                    dropped.append(name)
        return [*dropped, *drop_left_behind(connection)]


def drop_kept(connection: sa.Connection, schema_name: str) -> bool:
    """Drop a schema that is kept; whoever calls this holds the tenant.

    Returns:
        Whether it was still kept.
    """
    this = _KEPT.c.schema_name == schema_name
    if connection.execute(sa.select(_KEPT.c.schema_name).where(this)).first() is None:
        return False
    # Nothing that is half dropped may be brought back.
    connection.execute(sa.update(ReplacedSchema).where(this).values(keep_until="-infinity"))
    # The row goes last: a drop that is stopped halfway is found again by it.
    drop_schema(schema_name)
    connection.execute(sa.delete(ReplacedSchema).where(this))
    return True
