import json
import stat
from dataclasses import asdict
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from ops.local.errors import LocalError
from ops.local.secrets import load_secrets


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = load_secrets(path)
    assert load_secrets(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    values = asdict(made).values()
    assert len(set(values)) == len(values)
    assert all(len(value) >= 20 for value in values)


def test_the_key_of_second_factors_can_be_used(tmp_path: Path) -> None:
    key = load_secrets(tmp_path / "secrets.json").secrets_key
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"secret")) == b"secret"


def test_missing_secret_is_added_and_the_others_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"flower": "kept"}))
    path.chmod(0o644)
    made = load_secrets(path)
    assert made.flower == "kept"
    assert made.superuser
    assert load_secrets(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(text)
    with pytest.raises(LocalError, match=r"secrets\.json is damaged"):
        load_secrets(path)
