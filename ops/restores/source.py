"""An archive that can be opened, and what becomes known of it when it is."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from ops.archives.errors import ArchiveDamagedError
from ops.archives.manifest import Header, Manifest
from ops.archives.models import ArchiveRow
from ops.archives.reader import Expected, opened
from ops.backups.verify import expected, identity_of
from ops.restores.files import Home
from ops.restores.load import bring_to_head, load
from ops.restores.progress import Progress
from ops.restores.scratch import text_transaction
from todo_app.config import Settings
from todo_app.storage import NotStoredError, Storage
from todo_app.tenants.models import Tenant


class Source(NamedTuple):
    """What is needed to read an archive."""

    storage: Storage
    expected: Expected
    identity: bytes | None
    rows: int


class Filled(NamedTuple):
    """A scratch schema that holds an archive, proven equal to it and upgraded."""

    header: Header
    manifest: Manifest
    revision: str

    @property
    def result(self) -> dict[str, Any]:
        """For the ledger."""
        return {
            "rows": self.manifest.rows,
            "bytes": self.manifest.size,
            "taken_at": self.header.taken_at,
            "revision": self.revision,
        }


def find_source(
    connection: sa.Connection, storage: Storage, settings: Settings, name: str
) -> Source:
    """An archive of the catalogue.

    Raises:
        NotStoredError: it is no longer there.
        KeyForgottenError, NoIdentityError, WrongKeyError: it cannot be opened.
    """
    archives = ArchiveRow.__table__
    row = connection.execute(sa.select(archives).where(archives.c.name == name)).one_or_none()
    if row is None:
        raise NotStoredError("The archive is no longer in the catalogue.")
    identity = identity_of(connection, settings, row.tenant_uuid) if row.is_encrypted else None
    return Source(storage, expected(row), identity, row.rows)


def fill(
    connection: sa.Connection,
    source: Source,
    schema_name: str,
    role: str | None,
    settings: Settings,
    progress: Progress,
    home: Home | None = None,
) -> Filled:
    """Make a schema of an archive: loaded, compared, and upgraded to head.

    Until it is compared nobody else sees anything of it, and nothing is left where it fails. What
    is found is noted in the catalogue.

    Args:
        connection: as the owner, in autocommit mode.
        source: the archive.
        schema_name: of the scratch schema.
        role: as in `scratch.build`.
        settings: with the bounds of upgrades.
        progress: is told how far it is.
        home: as in `load`.
    """
    progress.total = source.rows
    try:
        with (
            opened(source.storage, source.expected, source.identity) as archive,
            text_transaction(connection),
        ):
            header = archive.header
            manifest = load(connection, archive, schema_name, role, progress, home=home)
    except ArchiveDamagedError as error:
        _note(connection, source.expected.name, error=error.detail, verified_at=sa.func.now())
        raise
    progress.begin("upgrading")
    revision = bring_to_head(connection, schema_name, header.revision, settings)
    _stamp(connection, source)
    return Filled(header, manifest, revision)


def _stamp(connection: sa.Connection, source: Source) -> None:
    """Note that the archive can be restored."""
    now = sa.func.now()
    if _note(connection, source.expected.name, proven_at=now, verified_at=now, error=None):
        this = Tenant.uuid == source.expected.tenant_uuid
        connection.execute(sa.update(Tenant).where(this).values(last_proven_restore=now))


def _note(connection: sa.Connection, name: str, **values: Any) -> bool:
    """Write into the catalogue; false where it does not have the archive."""
    this = ArchiveRow.name == name
    return connection.execute(sa.update(ArchiveRow).where(this).values(values)).rowcount == 1
