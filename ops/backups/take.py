"""Takes the archive of one tenant into the storage, and into the catalogue."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.archives.codec import Counting, encoding
from ops.archives.errors import KeyForgottenError
from ops.archives.keys import new_identity, recipient_of, unwrap, wrap
from ops.archives.manifest import Header, Manifest
from ops.archives.models import ArchiveRow, BackupSet, TenantKey
from ops.archives.writer import MOMENT, Snapshot, write_archive
from ops.runs.claims import Item, Outcome
from ops.runs.models import DONE, FAILED, SKIPPED
from ops.runs.work import Perform
from ops.upgrades.locks import lock_schema
from ops.upgrades.move import SCHEMAS_SEEN, is_worth_another_try
from todo_app.config import ConfigError, Settings
from todo_app.database import own_connection
from todo_app.errors import AppError, first_line
from todo_app.files.store import open_storage
from todo_app.storage import Storage
from todo_app.tenants.models import Tenant

TRIES_IN_A_SNAPSHOT = 6
PAUSE_SECONDS = 1.0

SNAPSHOT_LOST = (
    "The snapshot of the set has ended with the worker that held it: ask for a new consistent set."
)


class SetRef(NamedTuple):
    """The set that archives are taken for."""

    id: int
    name: str


@dataclass(frozen=True)
class Taken:
    """An archive that has been taken."""

    name: str
    header: Header
    manifest: Manifest
    size: int
    """Bytes of the file."""
    sha256: str
    recipient: str | None

    def descriptor(self) -> bytes:
        """What lies beside the archive, so that it can be found without being opened."""
        tenant = self.header.tenant
        return json.dumps(
            {
                "format": self.header.format,
                "archive": self.name,
                "tenant": {name: tenant[name] for name in ("uuid", "slug", "name")},
                "revision": self.header.revision,
                "taken_at": self.header.taken_at,
                "rows": self.manifest.rows,
                "bytes": self.size,
                "sha256": self.sha256,
                "recipient": self.recipient,
            },
            indent=1,
            ensure_ascii=False,
        ).encode()


def archive_name(set_name: str, slug: str, tenant_uuid: object, *, is_encrypted: bool) -> str:
    """Name of an archive in the storage."""
    return f"{set_name}/{slug}.{tenant_uuid}.tar.zst{'.age' if is_encrypted else ''}"


def descriptor_name(archive: str) -> str:
    """Name of what lies beside an archive."""
    return f"{archive.removesuffix('.age').removesuffix('.tar.zst')}.json"


def take(
    connection: sa.Connection,
    storage: Storage,
    settings: Settings,
    set_: SetRef,
    schema_name: str,
    snapshot: Snapshot | None = None,
) -> Taken | None:
    """Archive a tenant, whatever state it is in.

    Args:
        connection: an own one, in autocommit mode.
        storage: where to.
        settings: whose recipients the tenant's key is kept for.
        set_: that the archive belongs to.
        schema_name: of the tenant.
        snapshot: what to see instead of the present.

    Returns:
        The archive; None where there is no such tenant any more.

    Raises:
        BusyError: another operation works on the tenant.
        KeyForgottenError: nobody could open the archive.
        StorageError: it cannot be stored; nothing of it is left.
    """
    with lock_schema(connection, schema_name):
        tenant = connection.execute(_TENANT, {"schema": schema_name}).one_or_none()
        if tenant is None:
            return None
        recipient = _recipient(connection, storage, settings, tenant)
        files = open_storage(settings) if settings.backup_files else None
        name = archive_name(set_.name, tenant.slug, tenant.uuid, is_encrypted=recipient is not None)
        with storage.writing(name) as file:
            counted = Counting(file)
            with encoding(counted, recipient) as plain:
                header, manifest = write_archive(connection, schema_name, plain, snapshot, files)
        taken = Taken(name, header, manifest, counted.bytes, counted.sha256, recipient)
        storage.put(descriptor_name(name), taken.descriptor())
        connection.execute(_catalogued(set_, taken))
        return taken


_TENANT = (
    sa.select(
        Tenant.uuid, Tenant.slug, TenantKey.recipient, TenantKey.wrapped, TenantKey.forgotten_at
    )
    .outerjoin(TenantKey, TenantKey.tenant_uuid == Tenant.uuid)
    .where(Tenant.schema_name == sa.bindparam("schema"))
)


def _recipient(
    connection: sa.Connection, storage: Storage, settings: Settings, tenant: Any
) -> str | None:
    """What the tenant's archives are encrypted to: a key of its own, made with its first one."""
    if not settings.backup_recipients:
        return None
    if tenant.forgotten_at is not None:
        raise KeyForgottenError(
            f"The key of {tenant.slug} was forgotten: nobody could open an archive of it."
        )
    if tenant.recipient is not None:
        return str(tenant.recipient)
    recipient, identity = new_identity()
    wrapped = wrap(identity, settings.backup_recipients)
    # In the storage first: an archive must never be all that is left of a key. And never in the
    # place of another one, as where the database was lost and older archives were not.
    if not storage.create(key_name(tenant.uuid), wrapped):
        wrapped = storage.get(key_name(tenant.uuid))
        recipient = recipient_of(unwrap(wrapped, settings.backup_identity))
    values = {"tenant_uuid": tenant.uuid, "recipient": recipient, "wrapped": wrapped}
    connection.execute(sa.insert(TenantKey).values(values))
    return recipient


def key_name(tenant_uuid: uuid.UUID) -> str:
    """Name of a tenant's wrapped key in the storage."""
    return f"keys/{tenant_uuid}.age"


def _catalogued(set_: SetRef, taken: Taken) -> sa.Insert:
    statement = insert(ArchiveRow).values(
        set_id=set_.id,
        tenant_uuid=uuid.UUID(str(taken.header.tenant["uuid"])),
        slug=taken.header.tenant["slug"],
        name=taken.name,
        revision=taken.header.revision,
        rows=taken.manifest.rows,
        bytes=taken.size,
        sha256=taken.sha256,
        is_encrypted=taken.recipient is not None,
        taken_at=datetime.fromisoformat(taken.header.taken_at),
    )
    # A worker that was lost after it had written the archive is followed by another one.
    columns = ("slug", "name", "revision", "rows", "bytes", "sha256", "is_encrypted", "taken_at")
    again = {column: statement.excluded[column] for column in columns}
    nothing_known = {"verified_at": None, "proven_at": None, "error": None}
    return statement.on_conflict_do_update(
        index_elements=["set_id", "tenant_uuid"], set_=again | nothing_known
    )


@contextmanager
def taking(settings: Settings, set_: SetRef, *, is_consistent: bool) -> Iterator[Perform]:
    """What archives one tenant after the other; nothing that goes wrong in one is raised.

    Args:
        settings: of the storage and of the keys.
        set_: that the archives belong to.
        is_consistent: whether all archives show the moment at which the work began. One worker has
            to do all of it then, for the snapshot ends with it.
    """
    with ExitStack() as stack:
        snapshot = stack.enter_context(_one_snapshot(set_)) if is_consistent else None
        connections = stack.enter_context(ExitStack())
        storage: Storage | None = None
        connection: sa.Connection | None = None
        begun = 0

        def take_next(item: Item) -> Outcome:
            nonlocal storage, connection, begun
            if is_consistent and snapshot is None:
                return Outcome(FAILED, SNAPSHOT_LOST)
            try:
                if connection is None or connection.invalidated or begun % SCHEMAS_SEEN == 0:
                    connections.close()
                    connection = None
                    connection = connections.enter_context(own_connection())
                begun += 1
                # A storage that cannot be opened is an error of each tenant, not of the run.
                storage = storage or Storage(settings.need("backup_url"))
                taken = take(connection, storage, settings, set_, item.schema_name, snapshot)
            except (AppError, ConfigError, sa.exc.DBAPIError) as error:
                retry = is_worth_another_try(error)
                return Outcome(FAILED, first_line(error), retry=retry)
            if taken is None:
                return Outcome(SKIPPED, "The tenant is gone.")
            result = {"archive": taken.name, "rows": taken.manifest.rows, "bytes": taken.size}
            return Outcome(DONE, result=result)

        yield _patient(take_next) if is_consistent else take_next


def _patient(perform: Perform) -> Perform:
    """Try again at once: a tenant that comes back later would find its snapshot gone."""

    def perform_patiently(item: Item) -> Outcome:
        for number in range(TRIES_IN_A_SNAPSHOT):
            outcome = perform(item)
            if not outcome.retry:
                break
            time.sleep(PAUSE_SECONDS * (number + 1))
        return replace(outcome, retry=False)

    return perform_patiently


@contextmanager
def _one_snapshot(set_: SetRef) -> Iterator[Snapshot | None]:
    """A snapshot that lasts as long as the block; None where the set had one that has ended."""
    with own_connection() as connection:
        connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = connection.exec_driver_sql(f"SELECT pg_export_snapshot() AS name, {MOMENT}").one()
        snapshot = Snapshot(found.name, found.taken_at, found.lsn)
        with own_connection() as writer:
            first = sa.update(BackupSet).where(
                BackupSet.id == set_.id, BackupSet.snapshot.is_(None)
            )
            is_first = writer.execute(first.values(snapshot=snapshot.name)).rowcount == 1
        yield snapshot if is_first else None
