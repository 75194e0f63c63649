"""Deletes from one tenant what nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from ops.runs.claims import Item, Outcome
from ops.runs.models import DONE, FAILED, SKIPPED
from ops.runs.work import Perform
from ops.upgrades.locks import lock_schema
from ops.upgrades.move import SCHEMAS_SEEN, is_worth_another_try
from ops.upkeep import files, trash
from todo_app.activity.models import Change
from todo_app.audit.models import AuditEntry
from todo_app.config import Settings
from todo_app.database import own_connection
from todo_app.errors import AppError, first_line
from todo_app.idempotency import KEPT_FOR, IdempotencyKey
from todo_app.invitations.models import Invitation
from todo_app.registration.models import ACTIVATION, OneTimeToken
from todo_app.sessions.models import AccessToken
from todo_app.settings.models import CompanySettings
from todo_app.sync import tokens
from todo_app.tenants.models import ACTIVE, Tenant
from todo_app.todos.models import TodoList
from todo_app.webhooks.models import PENDING, WebhookDelivery

OLDEST_REVISION = "0004"
"""Of tenants that have all these tables."""
WEBHOOKS_REVISION = "0005"
"""Oldest of tenants that have webhooks."""
CHANGES_REVISION = "0005"
"""Oldest of tenants that clients sync."""

ROWS_AT_ONCE = 5_000
"""Rows that one transaction deletes: short, so that vacuum and replicas keep up."""

INVITATIONS_KEPT_FOR = timedelta(days=90)

GONE_KEPT_FOR = tokens.KEPT_FOR + timedelta(days=1)
"""A transaction may end, and be told of, so long after it began."""

LOCK_SECONDS = 2
STATEMENT_SECONDS = 60

_NOW = sa.func.now()
_AUDIT_KEPT_DAYS = (
    sa.select(CompanySettings.audit_keep_days).where(CompanySettings.id == 1).scalar_subquery()
)
_INVITATION_ENDED = sa.func.coalesce(
    Invitation.accepted_at, Invitation.revoked_at, Invitation.expires_at
)


def _some(model: Any, which: sa.ColumnElement[bool]) -> sa.Delete:
    """Deletes some rows of a table; those that somebody else is just changing are left."""
    keys = list(model.__table__.primary_key)
    some = sa.select(*keys).where(which).limit(ROWS_AT_ONCE).with_for_update(skip_locked=True)
    key = keys[0] if len(keys) == 1 else sa.tuple_(*keys)
    return sa.delete(model).where(key.in_(some))


def _deliveries(keep: timedelta) -> sa.Delete:
    """What webhooks were sent, but for what still waits."""
    has_ended = WebhookDelivery.state != PENDING
    return _some(WebhookDelivery, has_ended & (WebhookDelivery.created_at < _NOW - keep))


_IS_OLD = Change.is_deleted & (Change.at < _NOW - GONE_KEPT_FOR)
_IS_OF_NOBODY = (
    (Change.kind != "list")
    & (Change.list_id != 0)
    & ~sa.exists().where(TodoList.id == Change.list_id)
)
_CHANGES = _some(Change, _IS_OLD | _IS_OF_NOBODY)
"""What is gone, once no token is so old; what was in lists that are gone nobody is told of."""

_DELETIONS = {
    "audit_entries": _some(
        AuditEntry, AuditEntry.at < _NOW - sa.func.make_interval(0, 0, 0, _AUDIT_KEPT_DAYS)
    ),
    "sessions": _some(AccessToken, AccessToken.expires_at < _NOW),
    # That of an activation tells who has registered from who was deactivated, even expired.
    "mailed_codes": _some(
        OneTimeToken, (OneTimeToken.expires_at < _NOW) & (OneTimeToken.purpose != ACTIVATION)
    ),
    "idempotency_keys": _some(IdempotencyKey, IdempotencyKey.created_at < _NOW - KEPT_FOR),
    "invitations": _some(Invitation, _INVITATION_ENDED < _NOW - INVITATIONS_KEPT_FOR),
}
"""By what they delete, in the words of the ledger; each is a transaction of its own."""


def tidy(connection: sa.Connection, schema_name: str, settings: Settings) -> Outcome:
    """Delete what has expired in one tenant.

    Args:
        connection: an own one, in autocommit mode.
        schema_name: of the tenant.
        settings: with the storage of files, and how long things are kept.

    Returns:
        How many rows of each kind are gone; skipped where there is nothing to be done.

    Raises:
        BusyError: another operation works on the tenant.
        sqlalchemy.exc.DBAPIError: a table is locked, or the database is away.
    """
    with lock_schema(connection, schema_name):
        tenant = connection.execute(_TENANT, {"schema": schema_name}).one_or_none()
        if tenant is None:
            return Outcome(SKIPPED, "The tenant is gone.")
        if tenant.state != ACTIVE:
            return Outcome(SKIPPED, f"The tenant is {tenant.state}.")
        if tenant.revision < OLDEST_REVISION:
            return Outcome(SKIPPED, f"Revision {tenant.revision or 'base'} keeps none of this.")
        inside = {"schema_translate_map": {None: schema_name}}
        deleted = {name: _delete(connection, some, inside) for name, some in _DELETIONS.items()}
        if tenant.revision >= WEBHOOKS_REVISION:
            keep = timedelta(days=settings.keep_deliveries_days)
            deleted["deliveries"] = _delete(connection, _deliveries(keep), inside)
        if tenant.revision >= trash.OLDEST_REVISION:
            keep = timedelta(days=settings.keep_trash_days)
            deleted |= trash.empty(connection, schema_name, keep)
        if tenant.revision >= CHANGES_REVISION:
            deleted["changes"] = _delete(connection, _CHANGES, inside)
        deleted["files"] = 0
        if tenant.revision >= files.OLDEST_REVISION:
            deleted["files"] = files.sweep(connection, schema_name, tenant.uuid, settings)
        return Outcome(DONE, result=deleted)


_TENANT = sa.select(Tenant.uuid, Tenant.state, Tenant.revision).where(
    Tenant.schema_name == sa.bindparam("schema")
)


def _delete(connection: sa.Connection, some: sa.Delete, inside: dict[str, Any]) -> int:
    total = 0
    while True:
        rows = connection.execute(some, execution_options=inside).rowcount
        total += rows
        if rows < ROWS_AT_ONCE:
            return total


@contextmanager
def tidying(settings: Settings) -> Iterator[Perform]:
    """What tidies one tenant after the other; nothing that goes wrong in one is raised.

    Args:
        settings: as of `tidy`.
    """
    with ExitStack() as connections:
        connection: sa.Connection | None = None
        begun = 0

        def tidy_next(item: Item) -> Outcome:
            nonlocal connection, begun
            try:
                if connection is None or connection.invalidated or begun % SCHEMAS_SEEN == 0:
                    connections.close()
                    connection = None
                    connection = connections.enter_context(own_connection())
                    connection.exec_driver_sql(
                        f"SET lock_timeout TO '{LOCK_SECONDS}s';"
                        f" SET statement_timeout TO '{STATEMENT_SECONDS}s'"
                    )
                begun += 1
                return tidy(connection, item.schema_name, settings)
            except (AppError, sa.exc.DBAPIError) as error:
                return Outcome(FAILED, first_line(error), retry=is_worth_another_try(error))

        yield tidy_next
