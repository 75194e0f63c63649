"""Tasks from a file: all of them or none, in as many statements for one as for thousands."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from todo_app.activity import events
from todo_app.activity.models import Activity
from todo_app.database import db
from todo_app.notifications import service as notifications
from todo_app.tenancy import CurrentUser
from todo_app.todos import positions
from todo_app.todos.marks import mark_tasks
from todo_app.todos.models import Task, TaskAssignee, TaskTag, TodoList
from todo_app.transfer.csv_files import Line, Report
from todo_app.transfer.places import make_tags
from todo_app.transfer.rows import array, insert_all
from todo_app.transfer.task_lines import Found, find

MAX_LINES = 10_000
MAX_BYTES = 20 * 1024 * 1024

COLUMNS = (
    "id",
    "parent",
    "list",
    "section",
    "title",
    "description",
    "status",
    "priority",
    "start",
    "due",
    "timezone",
    "recurrence",
    "recurs_from",
    "estimate_seconds",
    "completed",
    "assignees",
    "tags",
)

_TOLD = (
    "title",
    "description",
    "status",
    "priority",
    "start_at",
    "due_at",
    "is_all_day",
    "timezone",
    "estimate_seconds",
    "recurrence",
    "recurs_from",
    "completed_at",
)
"""Columns that the timeline tells about, where they are not what they would be anyway."""


def import_tasks(
    actor: CurrentUser,
    lines: Sequence[Line],
    report: Report,
    *,
    into: uuid.UUID | None = None,
    dry_run: bool = False,
) -> int:
    """Add tasks, all of them or none, each behind those of its list.

    Args:
        actor: who does it.
        lines: with values of COLUMNS; where the report has something to say, it is completed and
            nothing is added.
        report: what is wrong with the file already.
        into: the list of those lines that name none.
        dry_run: whether this only checks.

    Returns:
        How many were added.

    Raises:
        InvalidInputError: the report, where there is anything in it.
    """
    found, tag_names = find(actor, lines, report, into)
    report.raise_if_any()
    if dry_run:
        return 0
    tags = make_tags(tag_names)
    _number(found)
    _write(actor, found, tags)
    return len(found)


def _number(found: list[Found]) -> None:
    """Give the tasks of each list, which is held alone, numbers and places behind all others."""
    lists: dict[int, list[Found]] = defaultdict(list)
    for each in found:
        lists[each.place.id].append(each)
    for row in _take_numbers({list_id: len(some) for list_id, some in lists.items()}):
        some = lists[row.id]
        places = _behind(row.position, len(some))
        first = row.last_number - len(some) + 1
        for number, (each, position) in enumerate(zip(some, places, strict=True), first):
            each.row |= {"number": number, "position": position}


def _take_numbers(counts: dict[int, int]) -> Sequence[Any]:
    """Take so many numbers of each list; its key, the last number, and the last position in it."""
    last = (
        sa.select(Task.position)
        .where(Task.list_id == TodoList.id)
        .order_by(Task.position.desc(), Task.id.desc())
        .limit(1)
        .correlate(TodoList)
        .scalar_subquery()
    )
    wanted = sa.func.unnest(
        array(list(counts), sa.BigInteger()), array(list(counts.values()), sa.BigInteger())
    )
    row = wanted.table_valued("id", "count").render_derived()
    taken = (
        sa.update(TodoList)
        .where(TodoList.id == row.c.id)
        # A list has not changed because something was put into it.
        .values(last_number=TodoList.last_number + row.c.count, updated_at=TodoList.updated_at)
        .returning(TodoList.id, TodoList.last_number, last.label("position"))
        .execution_options(synchronize_session=False)
    )
    return db.session.execute(taken).all()


def _behind(last: str | None, count: int) -> list[str]:
    try:
        return positions.evenly(last, None, count)
    except positions.NoRoomError:
        # Equal ones are in the order of their keys.
        return [last or positions.FIRST] * count


def _write(actor: CurrentUser, found: list[Found], tags: dict[str, tuple[int, uuid.UUID]]) -> None:
    rows = insert_all(Task, [each.row for each in found], Task.id, Task.uuid)
    keys = {row.uuid: row.id for row in rows}
    for each in found:
        each.id = keys[each.row["uuid"]]
    _write_parents([each for each in found if each.parent is not None])
    insert_all(
        TaskTag,
        [{"task_id": each.id, "tag_id": tags[key][0]} for each in found for key in each.tags],
    )
    insert_all(
        TaskAssignee,
        [{"task_id": each.id, "user_id": user_id} for each in found for user_id in each.people],
    )
    _tell(actor, found, tags)
    mark_tasks(Task.id == sa.any_(array([each.id for each in found], sa.BigInteger())))


def _write_parents(inside: list[Found]) -> None:
    if not inside:
        return
    pairs = sa.func.unnest(
        array([each.id for each in inside], sa.BigInteger()),
        array([_key(each.parent) for each in inside], sa.BigInteger()),
    )
    row = pairs.table_valued("id", "parent_id").render_derived()
    db.session.execute(
        sa.update(Task)
        .where(Task.id == row.c.id)
        .values(parent_id=row.c.parent_id)
        .execution_options(synchronize_session=False)
    )


def _key(parent: Found | int | None) -> int | None:
    return parent.id if isinstance(parent, Found) else parent


def _tell(actor: CurrentUser, found: list[Found], tags: dict[str, tuple[int, uuid.UUID]]) -> None:
    """Put the tasks into the timeline, and tell webhooks of them."""
    entries: list[dict[str, Any]] = [
        {
            "actor_id": actor.id,
            "list_id": each.place.id,
            "task_id": each.id,
            "action": "task.added",
            "changes": _told(each, tags),
        }
        for each in found
    ]
    made = insert_all(Activity, entries, Activity.id)
    notifications.wake()
    if db.session.scalar(sa.select(events.IS_HEARD)):
        events.publish_all(actor, "task.added", [row.id for row in made])


def _told(found: Found, tags: dict[str, tuple[int, uuid.UUID]]) -> dict[str, list[Any]]:
    row = found.row
    told = {name: [None, _plain(row[name])] for name in _TOLD if row[name] or name == "title"}
    if found.parent_uuid:
        told["parent_uuid"] = [None, str(found.parent_uuid)]
    if found.people:
        told["assignees"] = [[], sorted(map(str, found.people.values()))]
    if found.tags:
        told["tags"] = [[], sorted(str(tags[key][1]) for key in found.tags)]
    return told


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
