"""What follows from an entry of the timeline: webhooks are told, and people are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from todo_app.reminders import sending as reminders
from todo_app.tenancy import CurrentUser
from todo_app.webhooks import messages

IS_HEARD = messages.IS_ANY_ON
"""Asked by the statement that adds the entry: no webhook costs no statement."""


def publish(
    actor: CurrentUser | None,
    action: str,
    *,
    list_id: int,
    task_id: int | None,
    changes: Mapping[str, Any],
    is_heard: bool = True,
) -> None:
    """Have everybody told who wants to know, once the current transaction has been committed.

    Args:
        actor: who did it; None where the program did.
        action: what was done, such as `task.changed`.
        list_id: the list that it belongs to.
        task_id: the task, where it is about one.
        changes: by field, a pair of what it was and what it is, as JSON has them.
        is_heard: what IS_HEARD has given.
    """
    if task_id is not None and ("due_at" in changes or action == "task.restored"):
        reminders.follow(task_id)
    if is_heard:
        messages.queue(actor, action, list_id=list_id, task_id=task_id, changes=changes)


def publish_all(actor: CurrentUser, action: str, entries: Sequence[int]) -> None:
    """The same of things that have just been made, of which nobody wants to be reminded yet.

    Args:
        actor: who made them.
        action: what was done, such as `task.added`.
        entries: keys of the timeline's entries.
    """
    messages.queue_all(actor, action, entries)
