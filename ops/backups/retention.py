"""Which archives are kept: grandfather, father, son; and how the others go."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from ops.archives.models import RUNNING, ArchiveRow, BackupSet
from ops.backups.closing import set_manifest_name
from ops.backups.take import descriptor_name
from todo_app.config import Settings
from todo_app.database import db, transaction
from todo_app.errors import InvalidInputError
from todo_app.storage import Storage
from todo_app.tenancy import operations
from todo_app.tenants.models import Tenant

MOST = 10_000


class Rules(NamedTuple):
    """For how many days, weeks, months and years the last archive of each is kept."""

    daily: int
    weekly: int
    monthly: int
    yearly: int


class Kept(NamedTuple):
    """What the rules look at in an archive."""

    id: int
    taken_at: datetime
    is_good: bool
    """Whether nothing was found wrong with it."""
    proven_at: datetime | None


_PERIODS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "daily": lambda moment: (moment.year, moment.month, moment.day),
    "weekly": lambda moment: tuple(moment.isocalendar()[:2]),
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: (moment.year,),
}


def rules_of(settings: Settings, own: Mapping[str, int] | None) -> Rules:
    """The rules of a tenant: its own, and the settings where it has none."""
    general = {
        "daily": settings.keep_daily,
        "weekly": settings.keep_weekly,
        "monthly": settings.keep_monthly,
        "yearly": settings.keep_yearly,
    }
    return Rules(**(general | dict(own or {})))


def kept(archives: Iterable[Kept], rules: Rules) -> set[int]:
    """Ids of the archives of one tenant that stay.

    These are, of the newest periods that have one, the last good archive of each; the newest good
    one and the last one whose restore was proven, whatever the rules say; and, where none is good,
    the newest.
    """
    newest_first = sorted(archives, key=lambda archive: archive.taken_at, reverse=True)
    good = [archive for archive in newest_first if archive.is_good]
    stay = {archive.id for archive in (good or newest_first)[:1]}
    proven = [archive for archive in newest_first if archive.proven_at is not None]
    # By the time of the proof: an old archive that was proven today is sure to be of use.
    stay |= {archive.id for archive in sorted(proven, key=_proven_at)[-1:]}
    for name, number in rules._asdict().items():
        seen: set[tuple[int, ...]] = set()
        for archive in good:
            period = _PERIODS[name](archive.taken_at)
            if period not in seen and len(seen) < number:
                seen.add(period)
                stay.add(archive.id)
    return stay


def _proven_at(archive: Kept) -> datetime:
    assert archive.proven_at is not None  # noqa: S101 (for mypy)
    return archive.proven_at


_OWN_RULES = sa.select(Tenant.uuid, Tenant.retention).where(Tenant.retention.is_not(None))


def superfluous(settings: Settings) -> list[ArchiveRow]:
    """The archives that no rule keeps, of all tenants, the oldest first.

    Those of sets that are being filled are left alone, and so are damaged ones as long as the days
    are kept: somebody has to see them.
    """
    rows = db.session.scalars(
        sa.select(ArchiveRow)
        .join(BackupSet, BackupSet.id == ArchiveRow.set_id)
        .where(BackupSet.state != RUNNING)
    )
    own = {row.uuid: row.retention for row in db.session.execute(_OWN_RULES)}
    by_tenant: dict[uuid.UUID, list[ArchiveRow]] = {}
    for row in rows:
        by_tenant.setdefault(row.tenant_uuid, []).append(row)
    left = []
    for tenant_uuid, archives in by_tenant.items():
        rules = rules_of(settings, own.get(tenant_uuid))
        stay = kept((_look(row) for row in archives), rules)
        left += [row for row in archives if row.id not in stay]
    seen_until = datetime.now(UTC) - timedelta(days=max(1, settings.keep_daily))
    left = [row for row in left if row.error is None or row.taken_at < seen_until]
    return sorted(left, key=lambda row: (row.taken_at, row.slug))


def _look(row: ArchiveRow) -> Kept:
    return Kept(row.id, row.taken_at, row.error is None, row.proven_at)


def prune(settings: Settings, archives: Iterable[ArchiveRow]) -> None:
    """Delete archives, each in a transaction of its own, and what is empty or half-written then.

    Killed in the middle, it leaves at most one archive that is still listed and no longer there;
    the next time deletes it.

    Raises:
        ConfigError: no storage is set.
        StorageError: the storage refuses; what was deleted until then is gone.
    """
    storage = Storage(settings.need("backup_url"))
    for archive in archives:
        with operations(), transaction():
            # What names the archive goes first: without it, the archive does not exist.
            storage.delete([descriptor_name(archive.name)])
            storage.delete([archive.name])
            db.session.execute(sa.delete(ArchiveRow).where(ArchiveRow.id == archive.id))
    with operations(), transaction():
        _delete_empty_sets(storage, settings)
    storage.sweep()


def _delete_empty_sets(storage: Storage, settings: Settings) -> None:
    """Delete the sets of which nothing is left; those of the last days show their failures."""
    filled = sa.exists().where(ArchiveRow.set_id == BackupSet.id)
    days = max(1, settings.keep_daily)
    is_old = BackupSet.created_at < sa.func.now() - timedelta(days=days)
    empty = sa.select(BackupSet).where(BackupSet.state != RUNNING, ~filled, is_old)
    for set_ in db.session.scalars(empty):
        storage.delete([set_manifest_name(set_.name)])
        db.session.delete(set_)
    db.session.flush()


def set_rules(slug: str, own: Mapping[str, int | None]) -> dict[str, Any] | None:
    """Give a tenant rules of its own.

    Args:
        slug: of the tenant.
        own: by name of the rule its number; None takes the settings' again.

    Returns:
        The tenant's own rules.

    Raises:
        InvalidInputError: there is no such tenant or rule, or the number cannot be.
    """
    tenant = db.session.scalars(sa.select(Tenant).where(Tenant.slug == slug)).one_or_none()
    if tenant is None:
        raise InvalidInputError(f"There is no tenant {slug}.")
    unknown = sorted(set(own) - set(Rules._fields))
    if unknown:
        raise InvalidInputError(f"Rules are {', '.join(Rules._fields)}, not {unknown[0]}.")
    if any(number is not None and not 0 <= number <= MOST for number in own.values()):
        raise InvalidInputError(f"Numbers are from 0 to {MOST}.")
    merged = {**(tenant.retention or {}), **own}
    tenant.retention = {name: n for name, n in merged.items() if n is not None} or None
    db.session.flush()
    return tenant.retention
