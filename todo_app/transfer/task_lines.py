"""Lines of a file of tasks, and what becomes of them: nothing is written yet."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.tenancy import CurrentUser
from todo_app.todos import markdown, recurrence
from todo_app.todos.models import Task
from todo_app.todos.rrule import RecurrenceError
from todo_app.todos.schedule import NO_DUE_DATE, STARTS_LATE, time_of
from todo_app.todos.subtasks import NO_SUCH_PARENT, CycleError
from todo_app.todos.workflow import DONE, NEW
from todo_app.transfer.csv_files import Line, Report
from todo_app.transfer.places import Key, Keys, Lists, Place, UnclearError, people, sections_of
from todo_app.transfer.rows import array

MAX_RECURRING = 1_000
"""Tasks that recur in one file: a rule that never comes true takes 12 ms to find out."""
MAX_LINKED = 500_000
"""Characters of descriptions that define links, in one file: those take 9 ms for 1,000."""

DEFINES_LINKS = "]:"
"""Without this no link stands in a description more often than its text is long."""

TOO_MANY_RECUR = f"At most {MAX_RECURRING:,} tasks of a file recur."
TOO_MANY_LINKS = f"Descriptions that define links have {MAX_LINKED:,} characters in a file."
NO_LIST = "There is no list here, and none in the request."


@dataclass
class Found:
    """A line, and what it becomes."""

    line: Line
    place: Place
    row: dict[str, Any]
    parent: Found | int | None = None
    parent_uuid: uuid.UUID | None = None
    people: dict[int, uuid.UUID] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    """Without their case."""
    id: int = 0


def find(
    actor: CurrentUser, lines: Sequence[Line], report: Report, into: uuid.UUID | None
) -> tuple[list[Found], dict[str, str]]:
    """Find what lines name: lists, sections, people, and the tasks around them.

    Args:
        actor: who imports them.
        lines: those that could be read.
        report: is told what is wrong with them.
        into: the list of those lines that name none.

    Returns:
        What becomes of each, and the names of all tags by what they are without their case.

    Raises:
        InvalidInputError: the report, of a file that would take too long to check.
    """
    sound = [line for line in lines if line.is_sound]
    _check_effort(sound, report)
    keys = Keys({cell for line in sound for cell in _cells(line)})
    found = _find_places(actor, sound, keys, into, report)
    _set_columns(actor, found, report)
    _find_sections(found, keys, report)
    _find_people(found, report)
    _find_parents(found, report)
    return found, _name_tags(found, keys)


def _check_effort(lines: Sequence[Line], report: Report) -> None:
    """Refuse a file that would take minutes to check.

    Raises:
        InvalidInputError: the report.
    """
    recurring = linked = 0
    for line in lines:
        text = line.values.get("description") or ""
        recurring += bool(line.values.get("recurrence"))
        linked += len(text) if DEFINES_LINKS in text else 0
        if recurring > MAX_RECURRING:
            report.add(line.number, "recurrence", TOO_MANY_RECUR)
        if linked > MAX_LINKED:
            report.add(line.number, "description", TOO_MANY_LINKS)
        if recurring > MAX_RECURRING or linked > MAX_LINKED:
            report.raise_if_any()


def _cells(line: Line) -> Iterator[str]:
    """The names in a line."""
    for name in ("list", "section"):
        if line.values.get(name):
            yield line.values[name]
    yield from line.values.get("tags") or ()


def _find_places(
    actor: CurrentUser,
    lines: Sequence[Line],
    keys: Keys,
    into: uuid.UUID | None,
    report: Report,
) -> list[Found]:
    """The lines whose list can be told."""
    named = {line.number: _list_key(line, keys, into) for line in lines}
    lists = Lists(actor, {key for key in named.values() if key is not None})
    found = []
    for line in lines:
        key = named[line.number]
        try:
            if key is None:
                raise UnclearError(NO_LIST)
            found.append(Found(line, lists.get(key), {}))
        except UnclearError as error:
            report.add(line.number, "list", str(error))
    return found


def _list_key(line: Line, keys: Keys, into: uuid.UUID | None) -> Key | None:
    cell = line.values.get("list")
    return keys[cell] if cell else into


def _set_columns(actor: CurrentUser, found: list[Found], report: Report) -> None:
    own_zone = db.session.scalars(sa.select(User.timezone).where(User.id == actor.id)).one()
    now = db.session.scalars(sa.select(sa.func.now())).one()
    for each in found:
        values = each.line.values
        status = values.get("status") or NEW
        each.row = {
            "uuid": uuid.uuid4(),
            "list_id": each.place.id,
            "section_id": None,
            "title": values["title"],
            "description": values.get("description"),
            "status": status,
            "priority": values.get("priority") or 0,
            "estimate_seconds": values.get("estimate_seconds"),
            "completed_at": (values.get("completed") or now) if status == DONE else None,
            "created_by_id": actor.id,
            **_schedule(each.line, own_zone, report),
        }
        if values.get("completed") and status != DONE:
            report.add(each.line.number, "completed", "Only a task that is done has this.")
        text = values.get("description") or ""
        if DEFINES_LINKS in text:
            try:
                markdown.render(text)
            except markdown.MarkdownError as error:
                report.add(each.line.number, "description", error.detail)


def _schedule(line: Line, own_zone: str, report: Report) -> dict[str, Any]:
    """When a task is due: days are those of its time zone."""
    values = line.values
    start: date | None = values.get("start")
    due: date | None = values.get("due")
    rule: str | None = values.get("recurrence")
    days = [not isinstance(at, datetime) for at in (start, due) if at is not None]
    is_all_day = bool(days) and all(days)
    if any(days) and not is_all_day:
        report.add(line.number, "start", "Start and due are both days, or both times.")
        start = due = None
    name = values.get("timezone") or (own_zone if is_all_day or rule else None)
    zone = ZoneInfo(name or "UTC")
    start_at, due_at = _first_moment(start, zone), _first_moment(due, zone)
    row: dict[str, Any] = {
        "start_at": start_at,
        "due_at": due_at,
        "is_all_day": is_all_day,
        "timezone": name,
        "recurrence": None,
        "recurs_from": None,
        "recurs_since": None,
        "recurs_at": None,
    }
    if start_at and due_at and start_at > due_at:
        report.add(line.number, "start", STARTS_LATE)
    if rule and due is None:
        report.add(line.number, "recurrence", NO_DUE_DATE)
    elif rule and values.get("status") == DONE:
        report.add(line.number, "recurrence", "A task that is done does not recur.")
    elif rule and due:
        try:
            row["recurrence"] = str(recurrence.accept(rule, due, zone))
        except RecurrenceError as error:
            report.add(line.number, "recurrence", error.detail)
        row["recurs_from"] = values.get("recurs_from") or recurrence.FROM_DUE
        row["recurs_since"] = row["recurs_at"] = due_at
    return row


def _first_moment(at: date | None, zone: ZoneInfo) -> datetime | None:
    if at is None:
        return None
    return at.astimezone(UTC) if isinstance(at, datetime) else time_of(at, zone)


def _find_sections(found: list[Found], keys: Keys, report: Report) -> None:
    named = [each for each in found if each.line.values.get("section")]
    sections = sections_of({each.place.id for each in named}) if named else None
    for each in named:
        assert sections is not None  # noqa: S101 (tells the type checker)
        try:
            cell = each.line.values["section"]
            each.row["section_id"] = sections.get((each.place.id, keys[cell]))
        except UnclearError as error:
            report.add(each.line.number, "section", str(error))


def _find_people(found: list[Found], report: Report) -> None:
    named = [each for each in found if each.line.values.get("assignees")]
    every = {key for each in named for key in each.line.values["assignees"]}
    private = sorted({each.place.id for each in named if each.place.is_private})
    users = people(every, private)
    for each in named:
        for key in each.line.values["assignees"]:
            try:
                user_id, user_uuid = users.get(key)
                if each.place.is_private:
                    users.get((each.place.id, key))
                each.people[user_id] = user_uuid
            except UnclearError:
                problem = f"There is no user {key}, or they cannot see the list."
                report.add(each.line.number, "assignees", problem)


def _find_parents(found: list[Found], report: Report) -> None:
    """Set the parents: lines of the file, or tasks that are there, in the same list."""
    by_id: dict[str, Found] = {}
    for each in found:
        own = each.line.values.get("id")
        if own and by_id.setdefault(own, each) is not each:
            problem = f"Stands in line {by_id[own].line.number}, too."
            report.add(each.line.number, "id", problem)
    named = [each for each in found if each.line.values.get("parent")]
    cells = {each.line.values["parent"] for each in named} - set(by_id)
    others = _tasks({cell: key for cell in cells if (key := _uuid(cell))})
    for each in named:
        cell = each.line.values["parent"]
        if cell in by_id:
            each.parent, list_id = by_id[cell], by_id[cell].place.id
            each.parent_uuid = by_id[cell].row["uuid"]
        elif cell in others:
            each.parent, list_id, each.parent_uuid = others[cell]
        else:
            list_id = None
        if list_id != each.place.id:
            each.parent = None
            report.add(each.line.number, "parent", NO_SUCH_PARENT)
    for each in _in_circles(named):
        report.add(each.line.number, "parent", CycleError.detail)


def _uuid(cell: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(cell)
    except ValueError:
        return None


def _tasks(ids: dict[str, uuid.UUID]) -> dict[str, tuple[int, int, uuid.UUID]]:
    """Key, list and id of tasks, by what stands in a cell; several cells may mean one task."""
    if not ids:
        return {}
    rows = sa.select(Task.id, Task.list_id, Task.uuid).where(
        Task.uuid == sa.any_(array(list(set(ids.values())), sa.Uuid())), Task.deleted_at.is_(None)
    )
    found = {row.uuid: (row.id, row.list_id, row.uuid) for row in db.session.execute(rows)}
    return {cell: found[key] for cell, key in ids.items() if key in found}


def _in_circles(found: list[Found]) -> list[Found]:
    """Those that are inside themselves, or inside one that is."""
    circles: dict[int, bool] = {}
    """By line, whether what is around it never ends."""
    for first in found:
        path: dict[int, None] = {}
        each: Found | int | None = first
        while isinstance(each, Found):
            number = each.line.number
            if number in path or number in circles:
                break
            path[number] = None
            each = each.parent
        is_one = isinstance(each, Found) and circles.get(each.line.number, True)
        circles.update(dict.fromkeys(path, is_one))
    return [each for each in found if circles[each.line.number]]


def _name_tags(found: list[Found], keys: Keys) -> dict[str, str]:
    names: dict[str, str] = {}
    for each in found:
        for name in each.line.values.get("tags") or ():
            key = keys.name(name)
            names.setdefault(key, name)
            if key not in each.tags:
                each.tags.append(key)
    return names
