"""Password rules: length counts, what many people have had does not pass, and hashes keep time."""

from __future__ import annotations

import unicodedata

import pytest
from argon2 import PasswordHasher

from todo_app.accounts import passwords
from todo_app.accounts.passwords import (
    UNUSABLE,
    check_password,
    hash_password,
    needs_rehash,
    verify_password,
)
from todo_app.errors import InvalidInputError

CONTEXT = ("ada.lovelace@acme.com", "Ada", "Lovelace", "Acme Ltd.")

GOOD = [
    "correct horse battery",
    "kjdhgfkj",
    "zażółć gęślą jaźń",
    "🦄🐉🦕🦖🐍🐲🐊🦎",
    "        long spaces   ",
    "p" * 200,
    "ada loves engines",
    "x" + "y" * 255,
]
BAD = [
    "short",
    "",
    "e\u0301" * 4,
    "p" * 257,
    "password",
    "PASSWORD",
    "12345678",
    "qwertyuiop",
    "Password123",
    "ada.lovelace@acme.com",
    "ADA.LOVELACE",
    "ada lovelace",
    "LovelaceAda",
    "lovelace1815",
    "Acme Ltd.",
    "acme-ltd-2024",
    "Acme Lovelace",
    "\uff41\uff44\uff41 \uff4c\uff4f\uff56\uff45\uff4c\uff41\uff43\uff45",
]


@pytest.mark.parametrize("password", GOOD)
def test_any_characters_will_do(password: str) -> None:
    check_password(password, CONTEXT)
    assert verify_password(hash_password(password), password)


@pytest.mark.parametrize("password", BAD)
def test_what_is_not_good_enough(password: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        check_password(password, CONTEXT)
    assert set(error.value.errors or {}) == {"json"}
    assert set((error.value.errors or {})["json"]) == {"password"}


def test_the_place_of_the_field_is_told() -> None:
    with pytest.raises(InvalidInputError) as error:
        check_password("short", CONTEXT, ("user", "password"))
    assert set((error.value.errors or {})["json"]["user"]) == {"password"}


def test_short_or_missing_context_forbids_nothing() -> None:
    check_password("83625417a", ("A", "", "@", "1"))


def test_what_looks_the_same_is_the_same() -> None:
    composed = unicodedata.normalize("NFC", "zażółć gęślą")
    assert verify_password(hash_password(composed), unicodedata.normalize("NFD", composed))
    assert not verify_password(hash_password(composed), "zazolc gesla")


@pytest.mark.usefixtures("real_hashes")
@pytest.mark.parametrize("stored", [None, UNUSABLE, "", "none: nobody signs in"])
def test_without_a_hash_nothing_is_right_and_the_work_is_the_same(
    monkeypatch: pytest.MonkeyPatch, stored: str | None
) -> None:
    verified: list[str] = []

    class Watched(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:
            verified.append(str(hash))
            return super().verify(hash, password)

    monkeypatch.setattr(
        passwords, "_hasher", Watched(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    )
    for password in ("nobody has this password", "wrong password"):
        assert not verify_password(stored, password)
    real = hash_password("correct horse battery")
    assert not verify_password(real, "wrong password")
    assert len(verified) == 3
    assert {text.rpartition("$")[0].rpartition("$")[0] for text in verified} == {
        "$argon2id$v=19$m=19456,t=2,p=1"
    }


def test_old_parameters_are_seen() -> None:
    assert not needs_rehash(hash_password("correct horse battery"))
    assert needs_rehash(PasswordHasher(time_cost=1, memory_cost=1024).hash("x"))
