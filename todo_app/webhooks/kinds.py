"""What a webhook can be told of."""

from __future__ import annotations

EVENTS = (
    "attachment.added",
    "attachment.deleted",
    "comment.added",
    "comment.changed",
    "comment.deleted",
    "field.added",
    "field.changed",
    "field.deleted",
    "field.moved",
    "list.added",
    "list.archived",
    "list.changed",
    "list.deleted",
    "list.moved",
    "list.restored",
    "list.shared",
    "list.unarchived",
    "list.unshared",
    "relation.added",
    "relation.deleted",
    "section.added",
    "section.changed",
    "section.deleted",
    "section.moved",
    "task.added",
    "task.changed",
    "task.deleted",
    "task.moved",
    "task.restored",
    "task.skipped",
    "time.added",
    "time.changed",
    "time.deleted",
    "time.started",
    "time.stopped",
)
"""The actions of the timeline."""

ALL = "*"
TEST = "webhook.test"
"""What is sent when somebody asks for it, whatever was chosen."""


def group_of(event: str) -> str:
    """What stands for all events of the same things: `task.*` for `task.added`."""
    return f"{event.partition('.')[0]}.*"


CHOICES = (ALL, *sorted({group_of(event) for event in EVENTS}), *EVENTS)
"""What people may choose."""
