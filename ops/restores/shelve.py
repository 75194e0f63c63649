"""Closes a tenant: its data goes into an archive that has been read back, its schema is dropped."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from ops.archives.models import BackupSet
from ops.backups.take import SetRef, take
from ops.backups.verify import verify
from ops.restores.find import WITH_DATA
from ops.restores.models import ReplacedSchema
from ops.restores.scratch import drop_left_behind
from ops.restores.swap import wait_for_requests
from ops.restores.sweep import drop_kept
from ops.runs.claims import Item
from ops.tenants.job import drop_schema
from ops.upgrades.locks import lock_tenant
from todo_app.config import Settings
from todo_app.database import db, own_connection
from todo_app.registration.models import Member
from todo_app.storage import Storage
from todo_app.tenancy import TenantNotFoundError
from todo_app.tenants.models import ARCHIVED, SUSPENDED, Tenant
from todo_app.tenants.service import TenantStateError

TENANTS = Tenant.__table__


def new_set(actor: str) -> BackupSet:
    """A backup set for one tenant that is closed."""
    name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}-{secrets.token_hex(3)}"
    set_ = BackupSet(name=name, actor=actor)
    db.session.add(set_)
    db.session.flush()
    return set_


def shelve(item: Item, storage: Storage, settings: Settings, set_: SetRef) -> dict[str, Any]:
    """Archive a tenant and drop its schema.

    Killed in the middle, it goes on when it is called again. Where the archive cannot be taken or
    does not read back, the tenant is as it was.

    Args:
        item: the tenant; its result has the `state` that it was in.
        storage: where the archive goes.
        settings: of this installation.
        set_: that it belongs to.

    Raises:
        AppError, sqlalchemy.exc.DBAPIError
    """
    result: dict[str, Any] = {}
    with own_connection() as connection:
        if _state(connection, item) != ARCHIVED:
            result = _take(connection, item, storage, settings, set_)
        with lock_tenant(connection, item.schema_name):
            # Asked once more: while this process stood still, the tenant may have come back.
            if _state(connection, item) != ARCHIVED:
                raise TenantStateError("The tenant is archived no longer: it was not dropped.")
            _drop(connection, item)
    return result


def _take(
    connection: sa.Connection, item: Item, storage: Storage, settings: Settings, set_: SetRef
) -> dict[str, Any]:
    # Nothing may be written after the archive's snapshot, or it would be lost.
    _change_state(connection, item, WITH_DATA, SUSPENDED)
    try:
        wait_for_requests(connection, item.schema_name)
        taken = take(connection, storage, settings, set_, item.schema_name)
        if taken is None:
            raise TenantNotFoundError("The tenant is gone.")
        rows = verify(connection, storage, settings, taken.name)
        _change_state(connection, item, [SUSPENDED], ARCHIVED)
    except BaseException:
        with suppress(TenantStateError):
            _change_state(connection, item, [SUSPENDED], item.result["state"])
        raise
    return {"archive": taken.name, "rows": rows, "bytes": taken.size}


def _drop(connection: sa.Connection, item: Item) -> None:
    kept = sa.select(ReplacedSchema.schema_name).where(ReplacedSchema.tenant_id == item.tenant_id)
    for schema_name in connection.scalars(kept).all():
        # These tables name the tenant's role, which could not be dropped before them.
        drop_kept(connection, schema_name)
    drop_left_behind(connection)
    drop_schema(item.schema_name)
    connection.execute(sa.delete(Member).where(Member.schema_name == item.schema_name))


def _state(connection: sa.Connection, item: Item) -> str:
    statement = sa.select(TENANTS.c.state).where(TENANTS.c.id == item.tenant_id)
    state = connection.execute(statement).scalar_one_or_none()
    if state is None:
        raise TenantNotFoundError("The tenant is gone.")
    return str(state)


def _change_state(connection: sa.Connection, item: Item, before: Sequence[str], after: str) -> None:
    this = (TENANTS.c.id == item.tenant_id) & TENANTS.c.state.in_(before)
    changed = connection.execute(sa.update(Tenant).where(this).values(state=after))
    if changed.rowcount != 1:
        raise TenantStateError("Somebody has changed the tenant's state meanwhile.")
