"""How sets and archives are printed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ops.archives.models import ArchiveRow


def set_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A set among others."""
    return {
        "set": row["name"],
        "state": row["state"],
        "consistent": row["is_consistent"],
        "archives": row["archives"],
        "failed": len(row["failures"]),
        "damaged": row["damaged"],
        "rows": int(row["rows"]),
        "bytes": int(row["bytes"]),
        "last_proven_restore": _text(row["last_proven_restore"]),
    }


def archive_row(row: ArchiveRow) -> dict[str, Any]:
    """An archive among others."""
    return {
        "tenant": row.slug,
        "taken_at": _text(row.taken_at),
        "revision": row.revision,
        "rows": row.rows,
        "bytes": row.bytes,
        "encrypted": row.is_encrypted,
        "verified_at": _text(row.verified_at),
        "proven_at": _text(row.proven_at),
        "error": row.error,
        "name": row.name,
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
