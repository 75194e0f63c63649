"""The statuses of a task, and from which to which it may go.

Whatever is open may be done, rejected or put aside at any time, and what is closed may be opened
again. Back to `new`, where nobody has looked at it yet, goes only what has not begun or is closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from todo_app.errors import ConflictError

NEW = "new"
ACCEPTED = "accepted"
REJECTED = "rejected"
ASSIGNED = "assigned"
IN_PROGRESS = "in_progress"
PAUSED = "paused"
DONE = "done"

OPEN = (NEW, ACCEPTED, ASSIGNED, IN_PROGRESS, PAUSED)
CLOSED = (REJECTED, DONE)
STATUSES = (NEW, ACCEPTED, REJECTED, ASSIGNED, IN_PROGRESS, PAUSED, DONE)

TRANSITIONS = {
    NEW: (ACCEPTED, REJECTED, ASSIGNED, IN_PROGRESS, PAUSED, DONE),
    ACCEPTED: (NEW, REJECTED, ASSIGNED, IN_PROGRESS, PAUSED, DONE),
    REJECTED: (NEW, ACCEPTED),
    ASSIGNED: (NEW, ACCEPTED, REJECTED, IN_PROGRESS, PAUSED, DONE),
    IN_PROGRESS: (ACCEPTED, REJECTED, ASSIGNED, PAUSED, DONE),
    PAUSED: (ACCEPTED, REJECTED, ASSIGNED, IN_PROGRESS, DONE),
    DONE: (NEW, IN_PROGRESS),
}
"""By status, what a task may become."""


class StatusTransitionError(ConflictError):
    """A task does not go from its status to the one that is wanted."""

    code = "status-transition"
    detail = "The task cannot take this status."


class Entered(NamedTuple):
    """A status, and when a task got it."""

    status: str
    at: datetime


def check(old: str, new: str) -> None:
    """Check that a task may go from one status to another; to its own it always may.

    Raises:
        StatusTransitionError: it may not; says where to it may.
    """
    allowed = TRANSITIONS[old]
    if new != old and new not in allowed:
        raise StatusTransitionError(
            f"A task that is {old} cannot become {new}.",
            errors={"json": {"status": [f"Allowed from {old}: {', '.join(allowed)}."]}},
        )


def time_in_status(entries: Iterable[Entered], until: datetime) -> dict[str, float]:
    """How long a task has had each of its statuses.

    Args:
        entries: each status that it got, in any order; those of one moment in theirs.
        until: the end of the last one: now, or the end of a report. What comes later is left out.

    Returns:
        Seconds by status, of those that it had.
    """
    seconds: dict[str, float] = {}
    in_order = sorted(entries, key=attrgetter("at"))
    ends = [entry.at for entry in in_order[1:]] + [until]
    for entry, end in zip(in_order, ends, strict=False):
        if entry.at <= until:
            spent = (min(end, until) - entry.at).total_seconds()
            seconds[entry.status] = seconds.get(entry.status, 0.0) + spent
    return seconds
