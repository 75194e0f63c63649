"""Gives one tenant its data back, puts some tables beside it, and takes a restore back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from ops.archives.manifest import Header
from ops.archives.reader import opened
from ops.restores import carried, files, people, scratch
from ops.restores.find import WITH_DATA
from ops.restores.load import bring_to_head, load
from ops.restores.models import ReplacedSchema
from ops.restores.names import is_replaced, side_name
from ops.restores.progress import Progress
from ops.restores.source import Source, fill, find_source
from ops.restores.swap import ClaimLostError, Swap, note, swap
from ops.runs.claims import Item
from ops.tenants.job import drop_schema
from ops.upgrades.locks import lock_tenant
from ops.upgrades.versions import read_versions
from todo_app.config import Settings
from todo_app.database import own_connection
from todo_app.errors import InvalidInputError, NotFoundError
from todo_app.storage import Storage
from todo_app.tenants.models import ACTIVE, ARCHIVED, PROVISIONING, Tenant

DETAILS = ("name", "tax_id", "street", "postal_code", "city", "country")
"""What a new tenant takes from the archive."""

UNDO = "undo of "

PEOPLE_NAMED = 50
"""People whom the ledger names, by UUID alone: it must not keep what was deleted."""

TENANTS = Tenant.__table__


def restore(
    item: Item, storage: Storage, settings: Settings, *, with_deleted_users: bool
) -> dict[str, Any]:
    """Restore a tenant from an archive of the catalogue.

    Args:
        item: the tenant; its result names the `archive`.
        storage: where that lies.
        settings: of this installation.
        with_deleted_users: whether people who were deleted since come back.

    Returns:
        What was done, for the ledger.

    Raises:
        AppError, sqlalchemy.exc.DBAPIError: the live tenant is as it was.
    """
    with own_connection() as connection:
        source = find_source(connection, storage, settings, item.result["archive"])
        return put_in_place(connection, item, source, settings, with_deleted=with_deleted_users)


def put_in_place(
    connection: sa.Connection,
    item: Item,
    source: Source,
    settings: Settings,
    *,
    with_deleted: bool = False,
) -> dict[str, Any]:
    """Restore a tenant from an archive that is open, as `restore` does."""
    live = item.schema_name
    progress = Progress(item)
    with ExitStack() as stack:
        stack.enter_context(lock_tenant(connection, live))
        tenant = _tenant(connection, item.tenant_id)
        has_data = tenant.state in WITH_DATA
        if has_data and str(tenant.uuid) != str(source.expected.tenant_uuid):
            # As where a run goes on that was meant for a tenant which another run has filled since.
            raise InvalidInputError("The archive is of another tenant than the one that is there.")
        has_people = has_data and bool(tenant.revision)
        if tenant.state == ARCHIVED:
            stack.enter_context(_home(connection, live))
        name = stack.enter_context(scratch.scratch())
        role = scratch.grantee(connection, settings, live)
        home = files.home(settings, tenant.uuid)
        if home and has_people:
            home = home._replace(live=live)
        filled = fill(connection, source, name, role, settings, progress, home)
        deleted = people.deleted_since(connection, live, name) if has_people else []

        def carry_over(again: bool = False) -> None:
            if has_people:
                people.carry_over(
                    connection, live, name, keep_deleted=not with_deleted, again=again
                )
                files.carry_over(connection, live, name)
            else:
                is_copy = str(tenant.uuid) != str(source.expected.tenant_uuid)
                carried.forget(connection, name, is_copy=is_copy)

        def last() -> None:
            if _tenant(connection, item.tenant_id).uuid != tenant.uuid:
                # Asked for anew, as after a cancel: the files lie where the tenant is no more.
                raise ClaimLostError
            carry_over(again=True)
            carried.list_members(connection, live, name)
            carried.call(connection, live)
            if has_people:
                archive = source.expected.name
                carried.record(connection, name, "backup.restored", archive=archive)

        progress.begin("carrying credentials over")
        # All that can be done before; within the swap there is next to nothing left to do.
        carry_over()
        progress.begin("looking for files")
        missing = files.provide(connection, name, home, source.expected.tenant_uuid)
        progress.begin("swapping")
        order = Swap(
            tenant_id=item.tenant_id,
            live=live,
            incoming=name,
            revision=filled.revision,
            role=role,
            archive=source.expected.name if has_data else None,
            keep=timedelta(days=settings.restore_keep_days),
            values=_values(connection, tenant, filled.header),
        )
        seconds = swap(connection, order, last, item)
        if not has_data:
            # What it has replaced was empty. Where this fails, the sweep does it.
            with suppress(sa.exc.DBAPIError):
                drop_schema(order.set_aside)
    return {
        **filled.result,
        "replaced": order.set_aside if has_data else None,
        "missing_files": missing,
        "swap_ms": round(seconds * 1000, 1),
        "deleted_people": [person.uuid for person in deleted[:PEOPLE_NAMED]],
    }


def _tenant(connection: sa.Connection, tenant_id: int) -> Any:
    return connection.execute(sa.select(TENANTS).where(TENANTS.c.id == tenant_id)).one()


@contextmanager
def _home(connection: sa.Connection, schema_name: str) -> Iterator[None]:
    """An empty schema and a role for a tenant that has neither; gone again where it fails."""
    exists = sa.text("SELECT to_regnamespace(quote_ident(:schema)) IS NOT NULL")
    if not connection.execute(exists, {"schema": schema_name}).scalar_one():
        connection.execute(sa.select(sa.func.public.claim_schema(schema_name)))
    try:
        yield
    except BaseException:
        with suppress(sa.exc.SQLAlchemyError):
            state = sa.select(TENANTS.c.state).where(TENANTS.c.schema_name == schema_name)
            if connection.execute(state).scalar_one_or_none() == ARCHIVED:
                drop_schema(schema_name)
        raise


def _values(connection: sa.Connection, tenant: Any, header: Header) -> dict[str, Any]:
    """What changes in the tenant's row."""
    if tenant.state == ARCHIVED:
        return {"state": ACTIVE}
    if tenant.state != PROVISIONING:
        return {}
    archived = header.tenant
    values = {column: archived.get(column) for column in DETAILS}
    if str(tenant.uuid) != str(archived["uuid"]):
        return {**values, "state": ACTIVE}
    host = archived.get("host")
    if host is not None:
        taken = sa.select(TENANTS.c.id).where(TENANTS.c.host == host)
        host = None if connection.execute(taken).first() else host
    state = archived.get("state")
    state = state if state in WITH_DATA else ACTIVE
    own = {name: archived.get(name) for name in ("retention", "account_limit")}
    return {**values, **own, "host": host, "state": state}


def put_aside_tables(
    item: Item, storage: Storage, settings: Settings, tables: Sequence[str]
) -> dict[str, Any]:
    """Load some tables of an archive into a schema of their own, which only operations can read.

    They stay at the archive's revision. The live tenant is not touched.

    Returns:
        As `restore`; `side` names the schema.
    """
    with own_connection() as connection, scratch.scratch() as name:
        source = find_source(connection, storage, settings, item.result["archive"])
        progress = Progress(item, source.rows)
        with (
            opened(source.storage, source.expected, source.identity) as archive,
            scratch.text_transaction(connection),
        ):
            header = archive.header
            manifest = load(connection, archive, name, None, progress, tables)
            side = side_name(item.slug)
            note(connection, item, {"side": side})
            scratch.rename(connection, name, side)
            connection.execute(
                sa.insert(ReplacedSchema).values(
                    schema_name=side,
                    tenant_id=item.tenant_id,
                    revision=header.revision,
                    archive=source.expected.name,
                    keep_until=sa.func.now()
                    + sa.func.make_interval(0, 0, 0, settings.restore_keep_days),
                )
            )
    rows = {table: manifest.sums[table].rows for table in tables}
    return {"side": side, "rows": sum(rows.values()), "tables": rows}


def undo(item: Item, settings: Settings, schema_name: str | None = None) -> dict[str, Any]:
    """Bring back what a restore, or undo, of a tenant has put aside.

    Args:
        item: the tenant.
        settings: of this installation.
        schema_name: which of it; the newest where nothing is said.

    Credentials and deletions stay as they are live here, too.

    Raises:
        NotFoundError: nothing is kept.
    """
    live = item.schema_name
    with own_connection() as connection, lock_tenant(connection, live):
        kept = newest_kept(connection, item.tenant_id, schema_name)
        if kept is None:
            raise nothing_kept(item.slug)
        incoming = kept.schema_name
        versions = read_versions(connection, [incoming])
        if kept.revision and not versions.get(incoming):
            raise InvalidInputError(f"{incoming} is not whole any more.")
        revision = bring_to_head(connection, incoming, versions.get(incoming, ""), settings)

        has_people = bool(_tenant(connection, item.tenant_id).revision)

        def carry_over(again: bool = False) -> None:
            if has_people:
                # Whoever came after the backup has no row now: that does not mean deleted.
                people.carry_over(connection, live, incoming, missing_too=False, again=again)
                files.carry_over(connection, live, incoming)
            else:
                carried.forget(connection, incoming)

        def last() -> None:
            carry_over(again=True)
            carried.list_members(connection, live, incoming)
            carried.call(connection, live)
            if has_people:
                carried.record(connection, incoming, "backup.undone", archive=kept.archive)

        carry_over()
        was_undo = kept.archive.startswith(UNDO)
        order = Swap(
            tenant_id=item.tenant_id,
            live=live,
            incoming=incoming,
            revision=revision,
            role=scratch.grantee(connection, settings, live),
            archive=kept.archive.removeprefix(UNDO) if was_undo else f"{UNDO}{kept.archive}",
            keep=timedelta(days=settings.restore_keep_days),
        )
        seconds = swap(connection, order, last, item)
    return {
        "replaced": order.set_aside,
        "revision": revision,
        "swap_ms": round(seconds * 1000, 1),
    }


def nothing_kept(slug: str) -> NotFoundError:
    """What to say where there is nothing to undo."""
    return NotFoundError(f"Nothing is kept of {slug} that could be brought back.")


def newest_kept(connection: sa.Connection, tenant_id: int, schema_name: str | None = None) -> Any:
    """The schema that was put aside last, or the one named; None where it is not kept.

    What is kept no longer may be half dropped.
    """
    kept = ReplacedSchema.__table__
    statement = (
        sa.select(kept)
        .where(kept.c.tenant_id == tenant_id, kept.c.keep_until > sa.func.now())
        .order_by(kept.c.replaced_at.desc())
    )
    if schema_name is not None:
        statement = statement.where(kept.c.schema_name == schema_name)
    rows = connection.execute(statement)
    return next((row for row in rows if is_replaced(row.schema_name)), None)
