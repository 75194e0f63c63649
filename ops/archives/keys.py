"""The keys of archives: one per tenant, itself encrypted to the operators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyrage
from pyrage.x25519 import Identity, Recipient

from ops.archives.errors import (
    ArchiveDamagedError,
    KeyForgottenError,
    NoIdentityError,
    WrongKeyError,
)
from todo_app.config import ConfigError

NO_MATCH = "No matching keys found"
"""What age says where none of the keys is the right one."""


def new_identity() -> tuple[str, bytes]:
    """A new pair of keys.

    Returns:
        The public one (`age1…`), and the secret one (`AGE-SECRET-KEY-1…`).
    """
    identity = Identity.generate()
    return str(identity.to_public()), str(identity).encode()


def recipient_of(identity: bytes) -> str:
    """The public key that belongs to a secret one."""
    return str(Identity.from_str(identity.decode()).to_public())


def check_recipients(recipients: Iterable[str]) -> None:
    """See whether these are public age keys.

    Raises:
        ConfigError: one is not; the text does not repeat what may be a secret key.
    """
    for recipient in recipients:
        _recipient(recipient)


def check_identity(master: str) -> None:
    """See whether these are secret age keys.

    Raises:
        ConfigError: one is not, or there is none.
    """
    _identities(master)


def wrap(identity: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt a tenant's secret key, so that each of the operators can open it.

    Raises:
        ConfigError: one of the recipients is no public age key.
    """
    if not recipients:
        raise ConfigError("BACKUP_RECIPIENTS is not set")
    wrapped: bytes = pyrage.encrypt(identity, [_recipient(text) for text in recipients])
    return wrapped


def unwrap(wrapped: bytes | None, master: str) -> bytes:
    """Open a tenant's secret key.

    Args:
        wrapped: what `wrap` has made; None of a key that was forgotten.
        master: an operator's secret key, or several with blanks between, old and new.

    Raises:
        KeyForgottenError: there is none any more.
        NoIdentityError: `master` is empty.
        ConfigError: `master` is no secret age key.
        WrongKeyError: it was not encrypted for any of them.
        ArchiveDamagedError: it is not what was written.
    """
    if wrapped is None:
        raise KeyForgottenError
    if not master.strip():
        raise NoIdentityError
    try:
        identity: bytes = pyrage.decrypt(wrapped, _identities(master))
    except pyrage.DecryptError as error:
        if NO_MATCH in str(error):
            raise WrongKeyError(
                "The key of this tenant is encrypted for other operators than BACKUP_IDENTITY."
            ) from None
        raise ArchiveDamagedError("The stored key of this tenant is damaged.") from None
    return identity


def _recipient(text: str) -> Recipient:
    try:
        return Recipient.from_str(text)
    except pyrage.RecipientError:
        raise ConfigError(
            "BACKUP_RECIPIENTS must be public age keys (age1…), as age-keygen prints them"
        ) from None


def _identities(master: str) -> list[Identity]:
    try:
        identities = [Identity.from_str(text) for text in master.split()]
    except pyrage.IdentityError:
        identities = []
    if not identities:
        raise ConfigError(
            "BACKUP_IDENTITY must be a secret age key (AGE-SECRET-KEY-1…), or several with blanks"
            " between"
        )
    return identities
