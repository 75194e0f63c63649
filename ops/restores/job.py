"""Restores as runs of the ledger: ask for one, and do its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from ops.archives.models import RUNNING as RUNNING_SET
from ops.archives.models import ArchiveRow
from ops.backups import job as backups
from ops.backups.take import SetRef
from ops.restores import clone, drill, find, restore, shelve
from ops.restores.models import ReplacedSchema
from ops.restores.swap import ClaimLostError, NeverQuietError
from ops.runs import job as runs
from ops.runs.claims import Item, Outcome
from ops.runs.job import Limits, Member
from ops.runs.kinds import performs
from ops.runs.models import DONE, FAILED, SKIPPED
from ops.runs.work import Perform
from ops.tenants import job as tenant_schemas
from ops.upgrades.locks import BusyError
from ops.upgrades.move import is_worth_another_try
from todo_app.config import Settings
from todo_app.database import db, own_connection
from todo_app.errors import AppError, InvalidInputError, UnavailableError, first_line
from todo_app.storage import Storage
from todo_app.tenancy import TenantNotFoundError
from todo_app.tenants import service
from todo_app.tenants.models import ARCHIVED, DELETING, PROVISIONING, Tenant

KIND = "restores"

RESTORE = "restore"
TABLES = "tables"
UNDO = "undo"
DRILL = "drill"
CLONE = "clone"
ARCHIVE = "archive"

MAX_ATTEMPTS = Limits.max_attempts

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Order:
    """What an operator asks for.

    One tenant, or all of a set. `tables` are loaded beside the tenant instead of into it.
    """

    slug: str | None = None
    set_name: str | None = None
    until: datetime | None = None
    as_slug: str | None = None
    tables: Sequence[str] = ()
    with_deleted_users: bool = False


def choose(order: Order) -> list[ArchiveRow]:
    """The archives that an order means.

    Raises:
        InvalidInputError: what is asked for cannot be.
        NotFoundError: there is no such archive.
        ArchiveDamagedError: it is known to be damaged.
    """
    set_name = backups.get(order.set_name).name if order.set_name else None
    if order.slug is not None:
        return [find.archive_of(order.slug, order.until, set_name)]
    if set_name is None:
        raise InvalidInputError("Say which tenant, or which set.")
    if order.as_slug or order.tables or order.until:
        raise InvalidInputError("A whole set is restored as it is, under its own names.")
    if backups.get(set_name).state == RUNNING_SET:
        raise InvalidInputError(f"The set {set_name} is being filled.")
    return find.archives_of_set(set_name)


def start(order: Order, *, actor: str, settings: Settings) -> int:
    """Begin a restore.

    Returns:
        The number of its run.

    Raises:
        ConfigError: no storage is set.
        RunUnderwayError: one of the tenants is being restored.
        SlugTakenError: the new tenant's name is taken.
        AppError: as `choose`.
    """
    settings.need("backup_url")
    archives = choose(order)
    members = [_member(archive, order) for archive in archives]
    params: dict[str, Any] = {"action": RESTORE, "with_deleted_users": order.with_deleted_users}
    if order.tables:
        params = {"action": TABLES, "tables": list(dict.fromkeys(order.tables))}
    what = f"set {order.set_name}" if order.slug is None else order.slug
    title = f"restore {what}{f' as {order.as_slug}' if order.as_slug else ''}"
    return _start(title, params, members, actor=actor)


def _member(archive: ArchiveRow, order: Order) -> Member:
    if order.tables and order.as_slug:
        raise InvalidInputError("Tables go into a schema of their own: leave out --as.")
    if order.as_slug is not None:
        tenant = find.provision(order.as_slug, archive.slug)
    elif order.tables:
        tenant = service.get(archive.slug if order.slug is None else order.slug)
    else:
        tenant = find.target_of(archive)
    return Member(tenant.id, tenant.schema_name, tenant.slug, {"archive": archive.name})


def start_undo(slug: str, *, actor: str, schema_name: str | None = None) -> int:
    """Begin to bring back what a restore of a tenant has put aside.

    Args:
        slug: of the tenant.
        actor: who asks for it.
        schema_name: which of it; the newest where nothing is said.

    Returns:
        The number of its run.

    Raises:
        TenantNotFoundError
        NotFoundError: nothing is kept of it.
        RunUnderwayError: it is being restored.
    """
    tenant = service.get(slug)
    if restore.newest_kept(db.session.connection(), tenant.id, schema_name) is None:
        raise restore.nothing_kept(slug)
    params = {"action": UNDO, "schema_name": schema_name}
    return _start(f"undo {slug}", params, [_of(tenant)], actor=actor)


def start_drill(slugs: Sequence[str], number: int, *, actor: str, settings: Settings) -> int:
    """Begin to try restores without touching a tenant.

    Args:
        slugs: of tenants; where there are none, those whose last proof is the oldest.
        number: how many of these.
        actor: who asks for it.
        settings: of the storage.

    Returns:
        The number of the run; it may be one with nothing to do.
    """
    settings.need("backup_url")
    archives = [find.archive_of(slug) for slug in slugs] or find.least_proven(number)
    # Counted by archives, so that a drill stands in no restore's way.
    members = [Member(-row.id, row.name, row.slug, {"archive": row.name}) for row in archives]
    return _start(f"drill of {len(members)} tenants", {"action": DRILL}, members, actor=actor)


def start_clone(slug: str, new_slug: str, *, actor: str) -> int:
    """Begin to make a new tenant that is as another one is now.

    Returns:
        The number of the run.

    Raises:
        TenantNotFoundError, SlugTakenError, InvalidInputError
        TenantStateError: it has no data.
    """
    source = _with_data(slug)
    target = find.provision(new_slug, source.name)
    member = _of(target)._replace(result={"source": source.schema_name})
    return _start(f"clone {slug} as {new_slug}", {"action": CLONE}, [member], actor=actor)


def start_archive(slug: str, *, actor: str, settings: Settings) -> int:
    """Begin to close a tenant: back it up, read that back, then drop its schema.

    Called again for a tenant whose schema was not dropped to the end, it goes on with that.

    Returns:
        The number of the run.

    Raises:
        ConfigError: no storage is set.
        TenantNotFoundError
        TenantStateError: it has no data.
    """
    settings.need("backup_url")
    tenant = service.get(slug)
    if tenant.state != ARCHIVED:
        _with_data(slug)
    set_ = shelve.new_set(actor)
    member = _of(tenant)._replace(result={"state": tenant.state})
    params = {"action": ARCHIVE, "set_id": set_.id, "set": set_.name}
    run_id = _start(f"archive {slug}", params, [member], actor=actor)
    set_.run_id = run_id
    db.session.flush()
    return run_id


def _with_data(slug: str) -> Tenant:
    tenant = service.get(slug)
    if tenant.state not in find.WITH_DATA:
        raise service.TenantStateError(f"{slug} is {tenant.state}.")
    return tenant


def _of(tenant: Tenant) -> Member:
    return Member(tenant.id, tenant.schema_name, tenant.slug, {})


def _start(title: str, params: Mapping[str, Any], members: Sequence[Member], *, actor: str) -> int:
    # One tenant that cannot be restored says nothing about the others.
    limits = Limits(max_failures=len(members), max_attempts=MAX_ATTEMPTS)
    return runs.start(KIND, title, params, [members], limits, actor=actor)


@performs(KIND)
@contextmanager
def perform(params: Mapping[str, Any], settings: Settings) -> Iterator[Perform]:
    """What does the work of a run; nothing that goes wrong with one tenant is raised."""
    work = _work(params, settings)

    def perform_next(item: Item) -> Outcome:
        outcome = _attempt(work, item)
        is_final = outcome.state == FAILED and not (outcome.retry and item.attempts < MAX_ATTEMPTS)
        if is_final and params["action"] in (RESTORE, CLONE) and _discard(item):
            # There is nothing left that this run could be resumed for.
            return replace(outcome, error=f"{outcome.error} Ask for it anew.")
        return outcome

    yield perform_next


def _work(params: Mapping[str, Any], settings: Settings) -> Callable[[Item], dict[str, Any]]:
    action = params["action"]
    if action == UNDO:
        return partial(restore.undo, settings=settings, schema_name=params.get("schema_name"))
    if action == CLONE:
        return partial(clone.clone, settings=settings)
    storage = Storage(settings.need("backup_url"))
    if action == TABLES:
        tables = params["tables"]
        return partial(restore.put_aside_tables, storage=storage, settings=settings, tables=tables)
    if action == DRILL:
        return partial(drill.drill, storage=storage, settings=settings)
    if action == ARCHIVE:
        set_ = SetRef(params["set_id"], params["set"])
        return partial(shelve.shelve, storage=storage, settings=settings, set_=set_)
    return partial(
        restore.restore,
        storage=storage,
        settings=settings,
        with_deleted_users=params["with_deleted_users"],
    )


def _attempt(work: Callable[[Item], dict[str, Any]], item: Item) -> Outcome:
    if "replaced" in item.result or "side" in item.result:
        # Done by an attempt whose worker was lost before it could say so.
        return Outcome(DONE)
    try:
        return Outcome(DONE, result=work(item))
    except ClaimLostError as error:
        return Outcome(SKIPPED, error.detail)
    except TenantNotFoundError as error:
        return Outcome(FAILED, error.detail)
    except Exception as error:
        # Whatever one archive holds must not stop the others.
        is_known = isinstance(error, (AppError, sa.exc.DBAPIError))
        trace = None if is_known else error
        log.warning("restore failed", tenant=item.slug, error=first_line(error), exc_info=trace)
        is_passing = isinstance(error, (UnavailableError, NeverQuietError))
        return Outcome(FAILED, first_line(error), is_passing or is_worth_another_try(error))


def _discard(item: Item) -> bool:
    """Drop a new tenant whose restore has failed for good; one that has data is not touched.

    Returns:
        Whether it was one.
    """
    this = sa.and_(Tenant.id == item.tenant_id, Tenant.state == PROVISIONING)
    # Where this fails, the sweep of deleted tenants does it.
    with suppress(sa.exc.DBAPIError, BusyError, TenantNotFoundError):
        with own_connection() as connection:
            marked = connection.execute(sa.update(Tenant).where(this).values(state=DELETING))
        if marked.rowcount:
            tenant_schemas.drop(item.schema_name)
            return True
    return False


def replaced(slug: str | None = None) -> list[dict[str, Any]]:
    """What is kept of earlier restores, the newest first."""
    statement = (
        sa.select(
            Tenant.slug.label("tenant"),
            ReplacedSchema.schema_name,
            ReplacedSchema.revision,
            ReplacedSchema.archive,
            ReplacedSchema.replaced_at,
            ReplacedSchema.keep_until,
        )
        .join(Tenant, Tenant.id == ReplacedSchema.tenant_id)
        .order_by(ReplacedSchema.replaced_at.desc())
    )
    if slug is not None:
        statement = statement.where(Tenant.slug == slug)
    return [dict(row._mapping) for row in db.session.execute(statement)]
