"""Fixtures of the tests of everything at once."""

from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, running
from tests.ops.conftest import fleet

__all__ = ["fleet"]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running `flask up`, for the tests of one module."""
    with running(tmp_path_factory.mktemp("clone")) as started:
        yield started
