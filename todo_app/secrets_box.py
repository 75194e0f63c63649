"""Secrets that must be read again, encrypted with the keys of the setting SECRETS_KEYS."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from flask import current_app

from todo_app.config import Settings


class NoKeyError(Exception):
    """There is no key, or none of those that are there opens this."""


def seal(secret: str) -> bytes:
    """Encrypt a secret with the newest key.

    Raises:
        NoKeyError
    """
    return _box().encrypt(secret.encode())


def unseal(sealed: bytes) -> str:
    """The secret that `seal` was given.

    Raises:
        NoKeyError
    """
    try:
        return _box().decrypt(sealed).decode()
    except InvalidToken:
        raise NoKeyError from None


def _box() -> MultiFernet:
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.secrets_keys:
        raise NoKeyError
    return MultiFernet([Fernet(key) for key in settings.secrets_keys])
