"""Password hashes."""

from __future__ import annotations

import functools

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH = 8
MAX_LENGTH = 256
"""NIST SP 800-63B asks for at least 8 and for accepting 64; the bound keeps hashing cheap."""

# argon2id with 2 passes over 19 MiB in one lane: OWASP Password Storage Cheat Sheet. The larger
# parameters of RFC 9106 would let 40 people who sign in at once take 2.5 GB.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hash_password(password: str) -> str:
    """The argon2id hash of a password, with its salt and parameters."""
    return _hasher.hash(password)


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether the password is the right one.

    Without a hash (there is no such user) it takes just as long and is never right, so that the
    time of an answer does not tell who has an account.
    """
    try:
        _hasher.verify(password_hash or _decoy(), password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


@functools.cache
def _decoy() -> str:
    return _hasher.hash("nobody has this password")
