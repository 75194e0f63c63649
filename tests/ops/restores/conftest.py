"""A storage of its own for each test, and what works with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from pyrage import x25519

from tests.ops.restores.keeping import Keeper, settings_of


@pytest.fixture
def keeper(app: Flask, tmp_path: Path) -> Iterator[Keeper]:
    """Takes encrypted archives into a directory, and restores them."""
    identity = x25519.Identity.generate()
    directory = tmp_path / "archives"
    with settings_of(
        app,
        backup_url=directory.as_uri(),
        backup_recipients=(str(identity.to_public()),),
        backup_identity=str(identity),
    ) as settings:
        yield Keeper(app, settings, directory)
