"""Rebuilds the catalogue of archives from the storage alone."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from ops.archives.models import COMPLETE, INCOMPLETE, RUNNING, ArchiveRow, BackupSet, TenantKey
from ops.backups.closing import set_manifest_name
from ops.backups.take import descriptor_name, key_name
from ops.runs.models import RUNNING as RUN_RUNNING
from ops.runs.models import Run
from todo_app.config import Settings
from todo_app.database import db
from todo_app.errors import ConflictError
from todo_app.storage import Storage


class Scan(NamedTuple):
    """What a rescan has found."""

    sets: int
    archives: int
    keys: int
    forgotten: list[str]
    """Archives of the catalogue that the storage does not have."""
    changed: list[str]
    """Archives whose descriptor is not the one that was written here; they are marked."""
    unreadable: list[str]
    """Descriptors that make no sense, or are of a second archive of one tenant in a set."""


class StorageEmptyError(ConflictError):
    """The storage has nothing of what the catalogue knows."""

    code = "storage-empty"
    detail = (
        "The storage has none of the archives that are known: is it the right one, and mounted?"
        " Say --yes to forget them all."
    )


def rescan(settings: Settings, *, may_forget_all: bool = False) -> Scan:
    """Bring the catalogue in line with the storage; sets that are being filled are left alone.

    What the catalogue knows of an archive stays: it is what the archive is checked against.

    Args:
        settings: of the storage.
        may_forget_all: whether an empty storage is believed.

    Raises:
        ConfigError: no storage is set.
        StorageEmptyError: it has nothing of what is known.
        StorageError: it does not answer; the catalogue stays as it was.
    """
    storage = Storage(settings.need("backup_url"))
    # Before the storage is listed: what is written meanwhile is in neither.
    underway = set(db.session.scalars(_UNDERWAY))
    known = {row.name: row for row in db.session.scalars(sa.select(ArchiveRow))}
    names = set(storage.names())
    # And those that have begun while it was listed.
    underway |= set(db.session.scalars(_UNDERWAY))
    found, unreadable = _found(storage, names, underway)
    gone = [name for name in known if name not in found and name.partition("/")[0] not in underway]
    if known and not found and gone and not may_forget_all:
        raise StorageEmptyError
    # First, as a set has one archive of a tenant only.
    _forget(gone)
    changed = []
    sets = {name: _set(storage, name, names) for name in {row["set"] for row in found.values()}}
    ids = {name: _upsert_set(name, values) for name, values in sets.items()}
    recipients: dict[uuid.UUID, str] = {}
    for row in found.values():
        if row["recipient"] is not None:
            recipients[row["tenant_uuid"]] = row["recipient"]
        if row["name"] not in known:
            values = {key: row[key] for key in row if key not in ("set", "recipient")}
            db.session.execute(sa.insert(ArchiveRow).values(set_id=ids[row["set"]], **values))
        elif known[row["name"]].sha256 != row["sha256"]:
            changed.append(row["name"])
    _mark(changed)
    keys = [_upsert_key(storage, names, *pair) for pair in recipients.items()]
    return Scan(len(sets), len(found), sum(keys), sorted(gone), sorted(changed), unreadable)


_UNDERWAY = sa.select(BackupSet.name).where(
    sa.or_(
        BackupSet.state == RUNNING,
        sa.exists().where(Run.id == BackupSet.run_id, Run.state == RUN_RUNNING),
    )
)


def _found(
    storage: Storage, names: set[str], underway: set[str]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What the descriptors say, by archive, of those that lie beside theirs; and the rest."""
    found: dict[tuple[str, uuid.UUID], dict[str, Any]] = {}
    unreadable = []
    for name in sorted(names):
        set_name, _, rest = name.partition("/")
        is_descriptor = rest.endswith(".json") and name != set_manifest_name(set_name)
        if not is_descriptor or set_name in underway:
            continue
        try:
            row = _row(_read(storage, name)) | {"set": set_name}
        except (KeyError, TypeError, ValueError):
            unreadable.append(name)
            continue
        if row["name"] not in names:
            continue
        this = (set_name, row["tenant_uuid"])
        is_its_own = descriptor_name(row["name"]) == name and row["name"].startswith(set_name)
        if not is_its_own or (this in found and found[this]["taken_at"] >= row["taken_at"]):
            unreadable.append(name)
            continue
        if this in found:
            unreadable.append(descriptor_name(found[this]["name"]))
        found[this] = row
    return {row["name"]: row for row in found.values()}, sorted(unreadable)


def _forget(names: list[str]) -> None:
    known = sa.any_(sa.cast(names, sa.ARRAY(sa.Text)))
    statement = sa.delete(ArchiveRow).where(ArchiveRow.name == known)
    db.session.execute(statement.execution_options(synchronize_session=False))
    db.session.expire_all()


def _mark(names: list[str]) -> None:
    known = sa.any_(sa.cast(names, sa.ARRAY(sa.Text)))
    statement = sa.update(ArchiveRow).where(ArchiveRow.name == known).values(error=CHANGED)
    db.session.execute(statement.execution_options(synchronize_session=False))


CHANGED = "Its descriptor in the storage is not the one that was written."


def _read(storage: Storage, name: str) -> Any:
    try:
        return json.loads(storage.get(name))
    except ValueError:
        return None


def _row(described: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tenant_uuid": uuid.UUID(described["tenant"]["uuid"]),
        "slug": str(described["tenant"]["slug"]),
        "name": str(described["archive"]),
        "revision": str(described["revision"]),
        "rows": int(described["rows"]),
        "bytes": int(described["bytes"]),
        "sha256": str(described["sha256"]),
        "is_encrypted": described["recipient"] is not None,
        "taken_at": datetime.fromisoformat(described["taken_at"]),
        "recipient": described["recipient"],
    }


def _set(storage: Storage, name: str, names: set[str]) -> dict[str, Any]:
    """What the storage says of a set; one that was never finished is incomplete."""
    manifest = set_manifest_name(name)
    said = _read(storage, manifest) if manifest in names else None
    if not isinstance(said, dict):
        return {"state": INCOMPLETE, "actor": "unknown"}
    values = {
        key: said[key] for key in ("is_consistent", "is_whole", "actor", "failures") if key in said
    }
    for key in ("created_at", "finished_at"):
        if said.get(key):
            values[key] = datetime.fromisoformat(said[key])
    return {**values, "state": COMPLETE if said.get("state") == COMPLETE else INCOMPLETE}


def _upsert_set(name: str, values: Mapping[str, Any]) -> int:
    statement = insert(BackupSet).values(name=name, **values)
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"state": statement.excluded.state}
    )
    return db.session.execute(statement.returning(BackupSet.id)).scalar_one()


def _upsert_key(storage: Storage, names: set[str], tenant_uuid: uuid.UUID, recipient: str) -> bool:
    """Note a tenant's key, unless the catalogue has it, or it was forgotten."""
    name = key_name(tenant_uuid)
    if name not in names:
        return False
    statement = insert(TenantKey).values(
        tenant_uuid=tenant_uuid, recipient=recipient, wrapped=storage.get(name)
    )
    db.session.execute(statement.on_conflict_do_nothing())
    return True
