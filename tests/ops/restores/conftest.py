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
        keeper = Keeper(app, settings, directory)
        newest = keeper.sql("SELECT coalesce(max(id), 0) AS id FROM public.archives")[0].id
        yield keeper
        # Their storage goes with the test.
        keeper.sql("DELETE FROM public.archives WHERE id > :newest", newest=newest)


@pytest.fixture
def file_storage(app: Flask, keeper: Keeper, tmp_path: Path) -> Iterator[None]:
    """A storage of files of its own; `keeper` comes first, whose settings these go on top of."""
    with settings_of(app, attachments_url=(tmp_path / "files").as_uri()) as settings:
        keeper.settings = settings
        yield
