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
from ops.archives.storage import Storage
from ops.backups.job import set_manifest_name
from ops.backups.take import key_name
from todo_app.config import Settings
from todo_app.database import db


class Scan(NamedTuple):
    """What a rescan has found."""

    sets: int
    archives: int
    keys: int
    forgotten: list[str]
    """Archives of the catalogue that the storage does not have."""
    unreadable: list[str]
    """Descriptors that make no sense."""


def rescan(settings: Settings) -> Scan:
    """Bring the catalogue in line with the storage; sets that are being filled are left alone.

    What the catalogue alone knows, such as when an archive was proven, stays.

    Raises:
        ConfigError: no storage is set.
        StorageError: the storage does not answer; the catalogue stays as it was.
    """
    storage = Storage(settings.need("backup_url"))
    names = set(storage.names())
    underway = set(db.session.scalars(sa.select(BackupSet.name).where(BackupSet.state == RUNNING)))
    found: dict[str, dict[str, Any]] = {}
    unreadable = []
    for name in sorted(names):
        set_name, _, rest = name.partition("/")
        if not rest.endswith(".json") or name == set_manifest_name(set_name):
            continue
        if set_name in underway:
            continue
        described = _read(storage, name)
        try:
            if described["archive"] in names:
                found[described["archive"]] = _row(described) | {"set": set_name}
        except (KeyError, TypeError, ValueError):
            unreadable.append(name)
    sets = {name: _set(storage, name, names) for name in {row["set"] for row in found.values()}}
    ids = {name: _upsert_set(name, values) for name, values in sets.items()}
    recipients: dict[uuid.UUID, str] = {}
    for row in found.values():
        if row["recipient"] is not None:
            recipients[row["tenant_uuid"]] = row["recipient"]
        _upsert_archive(ids[row.pop("set")], row)
    keys = [_upsert_key(storage, names, *pair) for pair in recipients.items()]
    forgotten = _forget_all_but(list(found), underway)
    return Scan(len(sets), len(found), sum(keys), forgotten, unreadable)


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
    values = {key: said[key] for key in ("is_consistent", "actor", "failures") if key in said}
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


def _upsert_archive(set_id: int, row: Mapping[str, Any]) -> None:
    values = {key: value for key, value in row.items() if key != "recipient"}
    statement = insert(ArchiveRow).values(set_id=set_id, **values)
    same = {key: statement.excluded[key] for key in ("bytes", "sha256", "rows", "taken_at")}
    db.session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=same))


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


def _forget_all_but(names: list[str], underway: set[str]) -> list[str]:
    statement = (
        sa.delete(ArchiveRow)
        .where(
            ArchiveRow.name != sa.all_(sa.cast(names, sa.ARRAY(sa.Text))),
            ArchiveRow.set_id.not_in(sa.select(BackupSet.id).where(BackupSet.name.in_(underway))),
        )
        .returning(ArchiveRow.name)
        .execution_options(synchronize_session=False)
    )
    return sorted(db.session.scalars(statement))
