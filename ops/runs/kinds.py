"""What a run of each kind does to a tenant. The ledger itself knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ops.runs.work import Perform

MakePerform = Callable[[Mapping[str, Any]], Perform]

_kinds: dict[str, MakePerform] = {}


def performs(kind: str) -> Callable[[MakePerform], MakePerform]:
    """Register a function that turns the params of a run of `kind` into what its workers do."""

    def register(make: MakePerform) -> MakePerform:
        _kinds[kind] = make
        return make

    return register


def perform_of(kind: str, params: Mapping[str, Any]) -> Perform:
    """What a worker does for a run.

    Raises:
        AppError: this process cannot do it, because its code is older than the run.
    """
    return _kinds[kind](params)
