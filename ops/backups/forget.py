"""Destroys a tenant's key, so that nobody can open its archives any more."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.archives.models import ArchiveRow, TenantKey
from ops.archives.storage import Storage
from ops.backups.take import key_name
from todo_app.config import Settings
from todo_app.database import db
from todo_app.errors import ConflictError, NotFoundError


class NotShreddableError(ConflictError):
    """Destroying a key would change nothing."""

    code = "archives-not-encrypted"
    detail = "The archives are not encrypted: they have to be deleted instead."


def tenant_uuid_of(slug: str) -> uuid.UUID:
    """Whose archives are listed under this name: the last tenant that had it.

    Raises:
        NotFoundError: there are no archives of such a tenant.
    """
    newest = (
        sa.select(ArchiveRow.tenant_uuid)
        .where(ArchiveRow.slug == slug)
        .order_by(ArchiveRow.taken_at.desc())
        .limit(1)
    )
    found = db.session.scalar(newest)
    if found is None:
        raise NotFoundError(f"There are no archives of {slug}.")
    return found


def forget(settings: Settings, tenant_uuid: uuid.UUID) -> int:
    """Destroy the key of a tenant in the storage and in the catalogue.

    Returns:
        How many archives nobody can open from now on.

    Raises:
        NotShreddableError: some of its archives are not encrypted.
        StorageError: the storage refuses; nothing has changed.
    """
    these = sa.select(ArchiveRow.is_encrypted).where(ArchiveRow.tenant_uuid == tenant_uuid)
    encrypted = list(db.session.scalars(these))
    if not all(encrypted):
        raise NotShreddableError
    Storage(settings.need("backup_url")).delete([key_name(tenant_uuid)])
    gone = {"wrapped": None, "forgotten_at": sa.func.now()}
    statement = insert(TenantKey).values(tenant_uuid=tenant_uuid, recipient="", **gone)
    db.session.execute(statement.on_conflict_do_update(index_elements=["tenant_uuid"], set_=gone))
    return len(encrypted)
