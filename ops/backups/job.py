"""Backup sets: begin one, verify one, and say when one is complete."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from ops.archives.models import ArchiveRow, BackupSet
from ops.backups.take import SetRef, taking
from ops.backups.verify import verifying
from ops.runs import job as runs
from ops.runs.job import Limits, Member
from ops.runs.kinds import performs
from ops.runs.models import PENDING, Run, RunItem
from ops.runs.models import RUNNING as RUN_RUNNING
from ops.runs.work import TASK_SECONDS_PARAM, Performing
from todo_app.config import Settings
from todo_app.database import db
from todo_app.errors import InvalidInputError, NotFoundError, UnavailableError
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenants.models import ACTIVE, SUSPENDED, Tenant

KIND = "backups"
LATEST = "latest"
CREATE = "create"
VERIFY = "verify"

LONGEST_SNAPSHOT_SECONDS = 3600.0
"""How long a consistent set may take; its snapshot keeps PostgreSQL from cleaning up meanwhile."""

SETS_ORDER_BY = {"created_at": BackupSet.created_at, "name": BackupSet.name}
ARCHIVES_ORDER_BY = {"slug": ArchiveRow.slug, "taken_at": ArchiveRow.taken_at}


class NoStorageError(UnavailableError):
    """No storage is set."""

    code = "no-storage"
    detail = "BACKUP_URL is not set: there are no backups."


def create(
    slugs: Sequence[str],
    *,
    actor: str,
    settings: Settings,
    is_consistent: bool = False,
    spread_seconds: float = 0,
) -> tuple[BackupSet, int]:
    """Begin a set.

    Args:
        slugs: of the tenants; all that have data where there are none.
        actor: who asks for it.
        settings: of the storage.
        is_consistent: whether all archives show one moment.
        spread_seconds: over which the tenants are spread.

    Returns:
        The set, and the number of the run that fills it.

    Raises:
        NoStorageError: this installation has none.
        InvalidInputError: there is no such tenant, or it has no data.
        RunUnderwayError: another set is being filled with one of these tenants.
    """
    members = _members(slugs)
    set_ = open_set(settings, actor=actor, is_consistent=is_consistent, is_whole=not slugs)
    params: dict[str, Any] = {"action": CREATE, "set_id": set_.id, "set": set_.name}
    if is_consistent:
        params |= {"is_consistent": True, TASK_SECONDS_PARAM: LONGEST_SNAPSHOT_SECONDS}
    limits = Limits(
        # A tenant that cannot be archived says nothing about the others.
        max_failures=len(members),
        concurrency=1 if is_consistent else Limits.concurrency,
    )
    title = f"back up to {set_.name}"
    run_id = runs.start(
        KIND, title, params, [members], limits, actor=actor, spread_seconds=spread_seconds
    )
    set_.run_id = run_id
    db.session.flush()
    return set_, run_id


def open_set(
    settings: Settings, *, actor: str, is_consistent: bool = False, is_whole: bool = False
) -> BackupSet:
    """Write a set that nothing is in yet; its `run_id` is to be set to the run that fills it.

    Raises:
        NoStorageError: this installation has none.
    """
    need_storage(settings)
    set_ = BackupSet(name=_set_name(), actor=actor, is_consistent=is_consistent, is_whole=is_whole)
    db.session.add(set_)
    db.session.flush()
    return set_


def need_storage(settings: Settings) -> None:
    """Check that archives have a place to be.

    Raises:
        NoStorageError: they have none.
    """
    if not settings.backup_url:
        raise NoStorageError


def _set_name() -> str:
    """Sorts by time; the end keeps two sets of one second apart."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}-{secrets.token_hex(3)}"


_IS_BEING_TAKEN = (
    sa.exists()
    .where(Run.id == RunItem.run_id, Run.kind == KIND, Run.state == RUN_RUNNING)
    .where(RunItem.tenant_id == Tenant.id, RunItem.state.in_((PENDING, RUN_RUNNING)))
)


def _members(slugs: Sequence[str]) -> list[Member]:
    statement = sa.select(Tenant.id, Tenant.schema_name, Tenant.slug).where(
        Tenant.state.in_((ACTIVE, SUSPENDED))
    )
    if slugs:
        statement = statement.where(Tenant.slug.in_(slugs))
    else:
        # One tenant that is just being archived must not keep all others from it.
        statement = statement.where(~_IS_BEING_TAKEN)
    members = [
        Member(row.id, row.schema_name, row.slug, {})
        for row in db.session.execute(statement.order_by(Tenant.id))
    ]
    unknown = sorted(set(slugs) - {member.slug for member in members})
    if unknown:
        raise InvalidInputError(f"There is no tenant with data named {', '.join(unknown)}.")
    if not members:
        raise InvalidInputError("There is no tenant to archive, or all are being archived.")
    return members


def verify(name: str, *, actor: str, settings: Settings) -> int:
    """Begin to read every byte of a set's archives.

    Returns:
        The number of the run.

    Raises:
        NoStorageError: this installation has none.
        NotFoundError: there is no such set.
        RunUnderwayError: the set is being filled, or verified already.
    """
    need_storage(settings)
    set_ = get(name)
    rows = db.session.execute(
        sa.select(ArchiveRow.id, ArchiveRow.slug, ArchiveRow.name).where(
            ArchiveRow.set_id == set_.id
        )
    )
    # The tenants may be gone: the ledger counts archives by their own numbers here.
    members = [Member(-row.id, row.name, row.slug, {"archive": row.name}) for row in rows]
    params = {"action": VERIFY, "set_id": set_.id, "set": set_.name}
    limits = Limits(max_failures=len(members))
    return runs.start(KIND, f"verify {set_.name}", params, [members], limits, actor=actor)


@performs(KIND)
def perform(params: Mapping[str, Any], settings: Settings) -> Performing:
    """What does the work of a run."""
    if params["action"] == VERIFY:
        return verifying(settings)
    set_ = SetRef(params["set_id"], params["set"])
    return taking(settings, set_, is_consistent=params.get("is_consistent", False))


def get(name: str) -> BackupSet:
    """The set of this name; `latest` is the newest one of all tenants.

    Raises:
        NotFoundError: there is none.
    """
    statement = sa.select(BackupSet)
    if name == LATEST:
        newest = BackupSet.created_at.desc()
        statement = statement.where(BackupSet.is_whole).order_by(newest).limit(1)
    else:
        statement = statement.where(BackupSet.name == name)
    set_ = db.session.scalars(statement).one_or_none()
    if set_ is None:
        raise NotFoundError(f"There is no backup set {name}.")
    return set_


_SUMMED = (
    sa.select(
        ArchiveRow.set_id,
        sa.func.count().label("archives"),
        sa.func.sum(ArchiveRow.bytes).label("bytes"),
        sa.func.sum(ArchiveRow.rows).label("rows"),
        sa.func.min(ArchiveRow.verified_at).label("verified_at"),
        sa.func.max(ArchiveRow.proven_at).label("last_proven_restore"),
        sa.func.count(ArchiveRow.error).label("damaged"),
    )
    .group_by(ArchiveRow.set_id)
    .subquery()
)

_SETS = sa.select(
    *(column for column in BackupSet.__table__.c if column.name not in ("id", "snapshot")),
    sa.func.coalesce(_SUMMED.c.archives, 0).label("archives"),
    sa.func.coalesce(_SUMMED.c.bytes, 0).label("bytes"),
    sa.func.coalesce(_SUMMED.c.rows, 0).label("rows"),
    sa.func.coalesce(_SUMMED.c.damaged, 0).label("damaged"),
    _SUMMED.c.last_proven_restore,
).outerjoin(_SUMMED, _SUMMED.c.set_id == BackupSet.id)


def page(request: PageRequest) -> Page:
    """A page of sets; `search` looks into name, state and actor."""
    table = BackupSet.__table__
    rows = _SETS
    if request.search:
        pattern = contains(request.search)
        rows = rows.where(
            sa.or_(*(table.c[name].ilike(pattern) for name in ("name", "state", "actor")))
        )
    return PageQuery(rows, SETS_ORDER_BY, table.c.id).fetch(request)


def recent(limit: int) -> list[dict[str, Any]]:
    """The newest sets."""
    statement = _SETS.order_by(BackupSet.created_at.desc()).limit(limit)
    return [dict(row) for row in db.session.execute(statement).mappings()]


def archives(name: str | None = None, slug: str | None = None) -> list[ArchiveRow]:
    """Archives of a set by tenant, or of a tenant with the newest first.

    Raises:
        NotFoundError: there is no such set.
    """
    statement = sa.select(ArchiveRow)
    if name is not None:
        statement = statement.where(ArchiveRow.set_id == get(name).id).order_by(ArchiveRow.slug)
    if slug is not None:
        statement = statement.where(ArchiveRow.slug == slug)
    return list(db.session.scalars(statement.order_by(ArchiveRow.taken_at.desc())))


def page_archives(request: PageRequest, set_name: str | None = None) -> Page:
    """A page of archives; `search` looks into the slug.

    Raises:
        NotFoundError: there is no such set.
    """
    table = ArchiveRow.__table__
    rows = sa.select(*table.c)
    if set_name is not None:
        rows = rows.where(table.c.set_id == get(set_name).id)
    if request.search:
        rows = rows.where(table.c.slug.ilike(contains(request.search)))
    return PageQuery(rows, ARCHIVES_ORDER_BY, table.c.id).fetch(request)
