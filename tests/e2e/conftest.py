"""Fixtures that the tests of `ops` have too."""

from tests.ops.conftest import fleet

__all__ = ["fleet"]
