"""Secrets that must be read again, encrypted with the keys of the setting SECRETS_KEYS."""

from __future__ import annotations

import importlib
from typing import Any

from flask import current_app

from todo_app.config import Settings


class NoKeyError(Exception):
    """There is no key, or none of those that are there opens this."""


def seal(secret: str) -> bytes:
    """Encrypt a secret with the newest key.

    Raises:
        NoKeyError
    """
    sealed: bytes = _box().encrypt(secret.encode())
    return sealed


def unseal(sealed: bytes) -> str:
    """The secret that `seal` was given.

    Raises:
        NoKeyError
    """
    try:
        secret: bytes = _box().decrypt(sealed)
    except _fernet().InvalidToken:
        raise NoKeyError from None
    return secret.decode()


def _box() -> Any:
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.secrets_keys:
        raise NoKeyError
    fernet = _fernet()
    return fernet.MultiFernet([fernet.Fernet(key) for key in settings.secrets_keys])


def _fernet() -> Any:
    # It takes 6 MiB: who never sees a secret, such as a worker that takes archives, does without.
    return importlib.import_module("cryptography.fernet")
