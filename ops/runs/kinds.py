"""What a run of each kind does to a tenant. The ledger itself knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ops.runs.work import Performing
from todo_app.config import Settings

MakePerforming = Callable[[Mapping[str, Any], Settings], Performing]

_kinds: dict[str, MakePerforming] = {}


def performs(kind: str) -> Callable[[MakePerforming], MakePerforming]:
    """Register a function that turns the params of a run of `kind` into what does its work."""

    def register(make: MakePerforming) -> MakePerforming:
        _kinds[kind] = make
        return make

    return register


def performing(kind: str, params: Mapping[str, Any], settings: Settings) -> Performing:
    """What does the work of a run; entered once.

    Raises:
        AppError: this process cannot do it, because its code is older than the run.
    """
    return _kinds[kind](params, settings)
