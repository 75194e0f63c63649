"""Destroys a tenant's key, so that nobody can open its archives any more."""

from __future__ import annotations

import uuid
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.archives.models import ArchiveRow, TenantKey
from ops.backups.take import key_name
from ops.restores import files
from todo_app.config import Settings
from todo_app.database import db
from todo_app.errors import ConflictError, NotFoundError
from todo_app.storage import Storage
from todo_app.tenants.models import ACTIVE, SUSPENDED, Tenant


class NotShreddableError(ConflictError):
    """Destroying a key would change nothing."""

    code = "archives-not-encrypted"
    detail = "The archives are not encrypted: they have to be deleted instead."


class StillLivingError(ConflictError):
    """The tenant works with its data."""

    code = "tenant-living"
    detail = "The tenant is not archived or gone."


class Doomed(NamedTuple):
    """Whose key would be destroyed."""

    tenant_uuid: uuid.UUID
    now: str
    """What became of the tenant, in words."""


def find(slug: str, *, may_live: bool = False) -> Doomed:
    """Whose archives are meant by a name.

    Args:
        slug: of a tenant; or a name that only archives still have.
        may_live: whether a tenant that is served may be meant.

    Raises:
        NotFoundError: there are no archives of such a tenant.
        StillLivingError: it is served, or suspended.
        ConflictError: archives of several tenants have this name.
    """
    living = db.session.execute(
        sa.select(Tenant.uuid, Tenant.slug, Tenant.state).where(Tenant.slug == slug)
    ).one_or_none()
    if living is None:
        by_name = sa.select(ArchiveRow.tenant_uuid).where(ArchiveRow.slug == slug).distinct()
        found = sorted(db.session.scalars(by_name), key=str)
        if not found:
            raise NotFoundError(f"There are no archives of {slug}.")
        if len(found) > 1:
            raise ConflictError(
                f"{len(found)} tenants were called {slug}: {', '.join(map(str, found))}."
            )
        living = db.session.execute(
            sa.select(Tenant.uuid, Tenant.slug, Tenant.state).where(Tenant.uuid == found[0])
        ).one_or_none()
        if living is None:
            return Doomed(found[0], "gone")
    if living.state in (ACTIVE, SUSPENDED) and not may_live:
        raise StillLivingError(
            f"{living.slug} is {living.state}: its backups would be worth nothing. Say --living if"
            " that is what you want."
        )
    return Doomed(living.uuid, f"{living.slug}, {living.state}")


def forget(settings: Settings, tenant_uuid: uuid.UUID) -> int:
    """Destroy the key of a tenant in the storage and in the catalogue.

    Unless it is served or suspended, the contents of its files are deleted, too.

    Returns:
        How many archives nobody can open from now on.

    Raises:
        NotShreddableError: some of its archives are not encrypted.
        StorageError: the storage refuses; nothing has changed, or nothing but the key.
    """
    these = sa.select(ArchiveRow.is_encrypted).where(ArchiveRow.tenant_uuid == tenant_uuid)
    encrypted = list(db.session.scalars(these))
    if not all(encrypted):
        raise NotShreddableError
    Storage(settings.need("backup_url")).delete([key_name(tenant_uuid)])
    gone = {"wrapped": None, "forgotten_at": sa.func.now()}
    statement = insert(TenantKey).values(tenant_uuid=tenant_uuid, recipient="", **gone)
    db.session.execute(statement.on_conflict_do_update(index_elements=["tenant_uuid"], set_=gone))
    working = sa.select(Tenant.id).where(
        Tenant.uuid == tenant_uuid, Tenant.state.in_([ACTIVE, SUSPENDED])
    )
    if db.session.scalar(working) is None:
        files.delete_all(settings, tenant_uuid)
    return len(encrypted)
