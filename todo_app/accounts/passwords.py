"""Password hashes, and which passwords are good enough, after NIST SP 800-63B.

Length counts, the kinds of characters do not. What is refused are passwords that many people have
had, and those that are just the person's own name, address or company.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import re
import unicodedata
from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from todo_app.errors import InvalidInputError

MIN_LENGTH = 8
MAX_LENGTH = 256
"""NIST SP 800-63B asks for at least 8 and for accepting 64; the bound keeps hashing cheap."""

SHORTEST_CONTEXT_WORD = 4
"""A shorter name says nothing about a password."""

UNUSABLE = "!"
"""Stands where a hash would for somebody who has no password yet: no password is right."""

_WORDS = re.compile(r"\w+")

# argon2id with 2 passes over 19 MiB in one lane: OWASP Password Storage Cheat Sheet. The larger
# parameters of RFC 9106 would let 40 people who sign in at once take 2.5 GB.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def check_password(
    password: str, context: Iterable[str], field: tuple[str, ...] = ("password",)
) -> None:
    """Check that a new password is good enough.

    Args:
        password: as it was typed.
        context: the person's address and names, and the company's name.
        field: where the password stands in the request's body.

    Raises:
        InvalidInputError: it is too short or too long, was found in breaches, or is made of the
            context alone.
    """
    text = _normalize(password)
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        problem = f"Must have {MIN_LENGTH} to {MAX_LENGTH} characters."
    elif text.casefold() in _common():
        problem = "This password is too common: it was found in breaches of other services."
    elif _core(text) in _context_words(context):
        problem = "Must not be just your name, address or company."
    else:
        return
    errors: dict[str, object] = {field[-1]: [problem]}
    for name in reversed(field[:-1]):
        errors = {name: errors}
    raise InvalidInputError(errors={"json": errors})


def hash_password(password: str) -> str:
    """The argon2id hash of a password, with its salt and parameters."""
    return _hasher.hash(_normalize(password))


def verify_password(password_hash: str | None, password: str) -> bool:
    """Whether the password is the right one.

    Without a hash (there is no such user, or the user has no password) it takes just as long and is
    never right, so that the time of an answer does not tell who has an account.
    """
    is_hash = password_hash is not None and password_hash.startswith("$argon2")
    try:
        _hasher.verify(
            password_hash if password_hash and is_hash else _decoy(), _normalize(password)
        )
    except (VerificationError, InvalidHashError):
        return False
    return is_hash


def needs_rehash(password_hash: str) -> bool:
    """Whether a hash was made with other parameters than those of today."""
    return _hasher.check_needs_rehash(password_hash)


@functools.cache
def _common() -> frozenset[str]:
    """Passwords found most often in breaches."""
    # The lists take 14 MiB: who never sets a password, such as a worker, does without them.
    lists = importlib.import_module("zxcvbn.frequency_lists").FREQUENCY_LISTS
    return frozenset(word.casefold() for word in lists["passwords"] if len(word) >= MIN_LENGTH)


def _normalize(password: str) -> str:
    """One form for what looks the same, whichever keyboard it was typed on."""
    return unicodedata.normalize("NFKC", password)


def _context_words(context: Iterable[str]) -> set[str]:
    """The forms in which the context may be a password: each part, or two in a row."""
    parts = {
        core
        for word in context
        for part in (word, word.partition("@")[0], *_WORDS.findall(word))
        if (core := _core(_normalize(part)))
    }
    pairs = {first + second for first, second in itertools.permutations(parts, 2)}
    return {word for word in parts | pairs if len(word) >= SHORTEST_CONTEXT_WORD}


def _core(text: str) -> str:
    """A text's letters and inner digits: what is left of `Acme Ltd. 2024!` is `acmeltd`."""
    return "".join(filter(str.isalnum, text.casefold())).strip("0123456789")


@functools.cache
def _decoy() -> str:
    return _hasher.hash("nobody has this password")
