"""Keys: made, wrapped for the operators, opened, and forgotten."""

from __future__ import annotations

import pytest

from ops.archives.errors import (
    ArchiveDamagedError,
    KeyForgottenError,
    NoIdentityError,
    WrongKeyError,
)
from ops.archives.keys import check_identity, check_recipients, new_identity, unwrap, wrap
from todo_app.config import ConfigError


def test_a_new_identity_is_a_pair() -> None:
    recipient, identity = new_identity()

    assert recipient.startswith("age1")
    assert identity.startswith(b"AGE-SECRET-KEY-1")
    assert new_identity() != (recipient, identity)
    check_recipients([recipient])
    check_identity(identity.decode())


def test_each_operator_opens_it() -> None:
    _, secret = new_identity()
    operators = [new_identity() for _ in range(3)]
    wrapped = wrap(secret, [recipient for recipient, _ in operators])

    for _, master in operators:
        assert unwrap(wrapped, f" {master.decode()}\n") == secret
    assert secret not in wrapped


def test_old_and_new_identity_together() -> None:
    _, secret = new_identity()
    (old, old_master), (new, new_master) = new_identity(), new_identity()
    both = f"{new_master.decode()} {old_master.decode()}"

    assert unwrap(wrap(secret, [old]), both) == unwrap(wrap(secret, [new]), both) == secret


def test_another_operator_does_not() -> None:
    wrapped = wrap(b"secret", [new_identity()[0]])

    with pytest.raises(WrongKeyError, match="other operators"):
        unwrap(wrapped, new_identity()[1].decode())


def test_a_forgotten_key() -> None:
    with pytest.raises(KeyForgottenError):
        unwrap(None, new_identity()[1].decode())


@pytest.mark.parametrize("master", ["", " \n"])
def test_no_identity(master: str) -> None:
    with pytest.raises(NoIdentityError, match="BACKUP_IDENTITY"):
        unwrap(wrap(b"secret", [new_identity()[0]]), master)


def test_every_byte_of_a_wrapped_key_counts() -> None:
    recipient, master = new_identity()
    wrapped = wrap(new_identity()[1], [recipient])

    for place in range(len(wrapped)):
        changed = wrapped[:place] + bytes([wrapped[place] ^ 1]) + wrapped[place + 1 :]
        for bad in (changed, wrapped[:place]):
            with pytest.raises((ArchiveDamagedError, WrongKeyError)):
                unwrap(bad, master.decode())
    with pytest.raises(ArchiveDamagedError, match="damaged"):
        unwrap(wrapped + b"x", master.decode())


def test_bad_recipients() -> None:
    secret = new_identity()[1].decode()

    for bad in ("", "age1", new_identity()[0][:-1], secret, "ssh-ed25519 AAAA"):
        with pytest.raises(ConfigError, match="BACKUP_RECIPIENTS") as raised:
            check_recipients([new_identity()[0], bad])
        assert secret not in str(raised.value)
    with pytest.raises(ConfigError, match="BACKUP_RECIPIENTS"):
        wrap(b"secret", ["age1"])
    with pytest.raises(ConfigError, match="BACKUP_RECIPIENTS is not set"):
        wrap(b"secret", [])


def test_bad_identities() -> None:
    recipient, identity = new_identity()
    bad_ones = ("", "AGE-SECRET-KEY-1", recipient, f"{identity.decode()} {recipient}")

    for bad in bad_ones:
        with pytest.raises(ConfigError, match="BACKUP_IDENTITY") as raised:
            check_identity(bad)
        assert identity.decode() not in str(raised.value)
    with pytest.raises(ConfigError, match="BACKUP_IDENTITY"):
        unwrap(wrap(b"secret", [recipient]), "not a key")
