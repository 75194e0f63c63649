"""Lets a second terminal reach the installation that `flask up` runs in this clone."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ops.local.files import write_private

FILE = Path(__file__).resolve().parents[2] / "var" / "environment.json"
SHARED = (
    "DATABASE_URL",
    "OPS_DATABASE_URL",
    "REDIS_URL",
    "TENANT_ROLES",
    "PUBLIC_URL",
    "LOG_FORMAT",
    "ATTACHMENTS_URL",
    "BACKUP_URL",
    "BACKUP_RECIPIENTS",
    "BACKUP_IDENTITY",
    "SECRETS_KEYS",
)


@contextmanager
def published(path: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """Write down, for as long as the block runs, what a command needs to reach it."""
    write_private(path, json.dumps({name: environ[name] for name in SHARED if name in environ}))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def with_running(environ: Mapping[str, str], path: Path = FILE) -> Mapping[str, str]:
    """`environ`, or, where it names no database, with the settings of the running `flask up`."""
    if environ.get("DATABASE_URL") or not path.exists():
        return environ
    return {**json.loads(path.read_text()), **environ}
