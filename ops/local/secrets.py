"""The generated passwords and keys of a local run."""

import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cryptography.fernet import Fernet
from pyrage.x25519 import Identity

from ops.local.errors import LocalError
from ops.local.files import write_private


@dataclass(frozen=True, slots=True)
class Secrets:
    """One each; letters, digits, `-`, `_` and `=` only, so they need no quoting anywhere."""

    superuser: str
    ops_role: str
    api_role: str
    valkey: str
    flower: str
    metrics: str
    demo: str
    backup_identity: str
    """The operators' key of the archives, as age writes it."""
    secrets_key: str
    """Encrypts the secrets of second factors."""


def load_secrets(path: Path) -> Secrets:
    """Read the passwords from `path`; those that are missing are made and kept there.

    Raises:
        LocalError: the file cannot be understood.
    """
    try:
        known = json.loads(path.read_text()) if path.exists() else {}
        kept = {
            field.name: str(known[field.name]) for field in fields(Secrets) if known.get(field.name)
        }
    except (ValueError, TypeError, AttributeError):
        raise LocalError(
            f"{path} is damaged: restore it, or remove its directory to start anew."
        ) from None
    made = {field.name: secrets.token_urlsafe(18) for field in fields(Secrets)}
    made["backup_identity"] = str(Identity.generate())
    made["secrets_key"] = Fernet.generate_key().decode()
    result = Secrets(**(made | kept))
    if asdict(result) != known:
        write_private(path, json.dumps(asdict(result), indent=2))
    path.chmod(0o600)
    return result
