"""Fleets whose revisions wait or fail where a test says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ops.fleet import Fleet
from tests.ops.upgrades.faulty import forget, prepare


@pytest.fixture(scope="module")
def prepared_fleet(shared_fleet: Fleet) -> Fleet:
    """A fleet with faulty revisions."""
    prepare(shared_fleet)
    return shared_fleet


@pytest.fixture
def faulty(prepared_fleet: Fleet) -> Iterator[Fleet]:
    """The same, for one test; it has no worker."""
    yield prepared_fleet
    forget(prepared_fleet)


@pytest.fixture(scope="module")
def fleet_worker(prepared_fleet: Fleet) -> Iterator[None]:
    """A worker of the fleet that the tests of a module share."""
    with prepared_fleet.worker():
        yield
