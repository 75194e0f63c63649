"""Which archive a restore means, and which tenant it is for."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time

import sqlalchemy as sa

from ops.archives.errors import ArchiveDamagedError
from ops.archives.models import ArchiveRow, BackupSet, TenantKey
from todo_app.database import db
from todo_app.errors import InvalidInputError, NotFoundError
from todo_app.tenants import service
from todo_app.tenants.models import (
    ACTIVE,
    DELETING,
    PROVISIONING,
    SUSPENDED,
    Tenant,
)

WITH_DATA = (ACTIVE, SUSPENDED)


def parse_until(text: str) -> datetime:
    """The moment that `--date` means: a day's end in UTC, or the time itself.

    Raises:
        InvalidInputError: it is neither.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidInputError(
                f"{text!r} is neither a day, such as 2026-01-31, nor a time, such as "
                "2026-01-31T12:00:00Z."
            ) from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.combine(day, time.max, UTC)


def archive_of(slug: str, until: datetime | None = None, set_name: str | None = None) -> ArchiveRow:
    """The last archive of a tenant.

    Args:
        slug: of the tenant, or of one that is gone.
        until: when it was taken at the latest.
        set_name: of the set that it has to belong to.

    Raises:
        NotFoundError: there is none.
        InvalidInputError: the name alone does not say whose archive is meant.
        ArchiveDamagedError: the last one is known to be damaged; the text names the one before.
    """
    uuids = set(db.session.scalars(sa.select(Tenant.uuid).where(Tenant.slug == slug)))
    statement = sa.select(ArchiveRow)
    if until is not None:
        statement = statement.where(ArchiveRow.taken_at <= until)
    if set_name is not None:
        sets = sa.select(BackupSet.id).where(BackupSet.name == set_name)
        statement = statement.where(ArchiveRow.set_id.in_(sets))
    statement = statement.order_by(ArchiveRow.taken_at.desc(), ArchiveRow.id.desc())
    # A tenant that was renamed keeps its archives; one that is gone is known by their name alone.
    by_slug = ArchiveRow.slug == slug
    if not uuids:
        _check_name(slug)
    known = statement.where(ArchiveRow.tenant_uuid.in_(uuids) if uuids else by_slug)
    rows = list(db.session.scalars(known.limit(50)))
    if not rows:
        what = f" up to {until:%Y-%m-%d %H:%M:%S} UTC" if until else ""
        where = f" in the set {set_name}" if set_name else ""
        raise NotFoundError(f"There is no archive of {slug}{where}{what}.")
    if rows[0].error is not None:
        good = next((row for row in rows if row.error is None), None)
        before = f" The last good one is of {_moment(good.taken_at)}." if good else ""
        raise ArchiveDamagedError(
            f"The archive of {slug} of {_moment(rows[0].taken_at)} is damaged "
            f"({rows[0].error}).{before} Choose with --date."
        )
    return rows[0]


def _check_name(slug: str) -> None:
    """Raise where a name that no tenant has any more stands for a living tenant, or for several."""
    by_name = sa.select(ArchiveRow.tenant_uuid).where(ArchiveRow.slug == slug).distinct()
    found = sorted(db.session.scalars(by_name), key=str)
    if len(found) > 1:
        raise InvalidInputError(
            f"{len(found)} tenants were called {slug}: {', '.join(map(str, found))}. Restore from "
            "a set in which only one of them is."
        )
    tenant = _by_uuid(found[0]) if found else None
    if tenant is not None:
        raise InvalidInputError(f"That tenant is called {tenant.slug} now.")


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def archives_of_set(set_name: str) -> list[ArchiveRow]:
    """All archives of a set.

    Raises:
        NotFoundError: there is no such set, or it is empty.
    """
    statement = (
        sa.select(ArchiveRow)
        .join(BackupSet, BackupSet.id == ArchiveRow.set_id)
        .where(BackupSet.name == set_name)
        .order_by(ArchiveRow.id)
    )
    rows = list(db.session.scalars(statement))
    if not rows:
        raise NotFoundError(f"There is no backup set {set_name} with archives.")
    return rows


def target_of(archive: ArchiveRow) -> Tenant:
    """The tenant that an archive is of; where it is gone, a new one of its name and identity.

    Raises:
        InvalidInputError: it is being deleted.
        SlugTakenError: its slug is another tenant's now.
    """
    tenant = _by_uuid(archive.tenant_uuid)
    if tenant is None:
        tenant = provision(archive.slug, archive.slug)
        tenant.uuid = archive.tenant_uuid
        db.session.flush()
    if tenant.state == DELETING:
        raise InvalidInputError(f"{tenant.slug} is being deleted: wait until it is gone.")
    return tenant


def provision(slug: str, name: str) -> Tenant:
    """A new tenant that nobody can use yet, with an empty schema.

    What an earlier attempt has left is taken again.

    Raises:
        SlugTakenError, InvalidInputError: the slug is taken or cannot be used.
    """
    begun = db.session.scalars(
        sa.select(Tenant).where(Tenant.slug == slug, Tenant.state == PROVISIONING)
    ).one_or_none()
    if begun is not None:
        # It may have been meant for another company's data, which must not be found through it.
        begun.uuid = uuid.uuid4()
        db.session.flush()
        return begun
    tenant = service.create(name, slug)
    tenant.state = PROVISIONING
    db.session.flush()
    return tenant


def _by_uuid(tenant_uuid: uuid.UUID) -> Tenant | None:
    return db.session.scalars(sa.select(Tenant).where(Tenant.uuid == tenant_uuid)).one_or_none()


def least_proven(number: int) -> list[ArchiveRow]:
    """The newest good archives of those tenants whose restore was proven longest ago, or never."""
    newest = (
        sa.select(ArchiveRow.id)
        .where(ArchiveRow.tenant_uuid == Tenant.uuid, ArchiveRow.error.is_(None))
        .order_by(ArchiveRow.taken_at.desc(), ArchiveRow.id.desc())
        .limit(1)
        .correlate(Tenant)
        .scalar_subquery()
    )
    is_forgotten = sa.exists().where(
        TenantKey.tenant_uuid == Tenant.uuid, TenantKey.forgotten_at.is_not(None)
    )
    statement = (
        sa.select(ArchiveRow)
        .select_from(Tenant)
        .join(ArchiveRow, ArchiveRow.id == newest)
        .where(Tenant.state.in_(WITH_DATA), ~is_forgotten)
        .order_by(Tenant.last_proven_restore.asc().nulls_first(), Tenant.id)
        .limit(number)
    )
    return list(db.session.scalars(statement))
