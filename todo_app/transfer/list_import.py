"""Lists and folders from a file, all of them or none, and written into one."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.activity import events
from todo_app.activity.models import Activity, Change
from todo_app.database import db
from todo_app.lists import tree
from todo_app.lists.service import NO_SYMBOL, SymbolTakenError
from todo_app.notifications import service as notifications
from todo_app.tenancy import CurrentUser
from todo_app.todos import positions
from todo_app.todos.access import NO_SUCH_LIST, RANKS, rank, visible_lists
from todo_app.todos.models import COMPANY, FOLDER, LIST, WRITE, TodoList
from todo_app.transfer.csv_files import Line, Report
from todo_app.transfer.places import Key, Keys
from todo_app.transfer.rows import insert_all

MAX_LINES = 10_000
MAX_BYTES = 10 * 1024 * 1024
ROWS_AT_ONCE = 500

COLUMNS = (
    "id",
    "parent",
    "title",
    "description",
    "kind",
    "visibility",
    "color",
    "icon",
    "symbol",
)
_TOLD = ("title", "description", "kind", "visibility", "color", "icon", "symbol")


@dataclass
class _Above:
    """A list that is there, into which others are put."""

    id: int
    uuid: uuid.UUID
    depth: int


@dataclass
class _Found:
    """A line, and what it becomes."""

    line: Line
    row: dict[str, Any]
    parent: _Found | _Above | None = None
    depth: int = 0
    """1 at the top; 0 where that is not known."""
    id: int = 0


def import_lists(
    actor: CurrentUser, lines: Sequence[Line], report: Report, *, dry_run: bool = False
) -> int:
    """Add lists, all of them or none, each behind those around it.

    Args:
        actor: who does it.
        lines: with values of COLUMNS; where the report has something to say, it is completed and
            nothing is added.
        report: what is wrong with the file already.
        dry_run: whether this only checks.

    Returns:
        How many were added.

    Raises:
        InvalidInputError: the report, where there is anything in it.
        SymbolTakenError: somebody has taken a symbol just now.
    """
    tree.lock_tree()
    found = [_Found(line, _columns(actor, line)) for line in lines if line.is_sound]
    _find_parents(actor, found, report)
    _check_symbols(found, report)
    report.raise_if_any()
    if dry_run:
        return 0
    _place(found)
    try:
        with db.session.begin_nested():
            _insert(found)
    except sa.exc.IntegrityError as error:
        if "uq_lists_symbol" in str(error.orig):
            raise SymbolTakenError from None
        raise
    _tell(actor, found)
    return len(found)


def _columns(actor: CurrentUser, line: Line) -> dict[str, Any]:
    values = line.values
    return {
        "uuid": uuid.uuid4(),
        "title": values["title"],
        "description": values.get("description"),
        "kind": values.get("kind") or LIST,
        "visibility": values.get("visibility") or COMPANY,
        "color": values.get("color"),
        "icon": values.get("icon"),
        "symbol": values.get("symbol"),
        "created_by_id": actor.id,
    }


def _find_parents(actor: CurrentUser, found: list[_Found], report: Report) -> None:
    """Set what is around each: a line of the file, or a list that is there."""
    by_id: dict[str, _Found] = {}
    for each in found:
        own = each.line.values.get("id")
        if own and by_id.setdefault(own, each) is not each:
            report.add(each.line.number, "id", f"Stands in line {by_id[own].line.number}, too.")
    named = [each for each in found if each.line.values.get("parent")]
    cells = {each.line.values["parent"] for each in named} - set(by_id)
    keys = Keys(cells)
    others = _lists_above(actor, {cell: keys[cell] for cell in cells})
    for each in named:
        cell = each.line.values["parent"]
        above = by_id.get(cell) or others[cell]
        if isinstance(above, str):
            report.add(each.line.number, "parent", above)
        else:
            each.parent = above
    for each in found:
        _set_depth(each)
        if each.depth > tree.MAX_DEPTH:
            report.add(each.line.number, "parent", tree.TooDeepError.detail)


def _set_depth(found: _Found) -> None:
    """Count the lists around one; one that is in a circle is too deep."""
    depth, around = 1, found.parent
    while isinstance(around, _Found) and depth <= tree.MAX_DEPTH:
        depth, around = depth + 1, around.parent
    found.depth = depth + (around.depth if isinstance(around, _Above) else 0)


def _lists_above(actor: CurrentUser, cells: Mapping[str, Key]) -> dict[str, _Above | str]:
    """By cell the one list that is meant, or what is wrong with it."""
    ids = [key for key in cells.values() if isinstance(key, uuid.UUID)]
    names = [key for key in cells.values() if isinstance(key, str)]
    if not cells:
        return {}
    name = sa.func.lower(TodoList.title)
    rows: dict[Key, list[Any]] = defaultdict(list)
    wanted = sa.select(
        TodoList.id,
        TodoList.uuid,
        name.label("name"),
        TodoList.archived_at,
        rank(actor).label("rank"),
    ).where(
        sa.or_(TodoList.uuid.in_(ids), name.in_(names)),
        TodoList.id.in_(visible_lists(actor)),
    )
    for row in db.session.execute(wanted.order_by(TodoList.id)):
        rows[row.uuid].append(row)
        rows[row.name].append(row)
    return {cell: _above(rows.get(key, [])) for cell, key in cells.items()}


def _above(rows: list[Any]) -> _Above | str:
    if len(rows) != 1:
        return "Several lists have this name: give the id." if rows else NO_SUCH_LIST
    if rows[0].rank < RANKS[WRITE]:
        return "You may not write in this list."
    if rows[0].archived_at is not None:
        return "This list is archived."
    return _Above(rows[0].id, rows[0].uuid, len(tree.above(rows[0].id)))


def _check_symbols(found: list[_Found], report: Report) -> None:
    first: dict[str, _Found] = {}
    for each in found:
        symbol = each.row["symbol"]
        if symbol and each.row["kind"] == FOLDER:
            report.add(each.line.number, "symbol", NO_SYMBOL)
        elif symbol and first.setdefault(symbol.lower(), each) is not each:
            number = first[symbol.lower()].line.number
            report.add(each.line.number, "symbol", f"Stands in line {number}, too.")
    symbol = sa.func.lower(TodoList.symbol)
    for taken in db.session.scalars(sa.select(symbol).where(symbol.in_(first))):
        report.add(first[taken].line.number, "symbol", SymbolTakenError.detail)


def _place(found: list[_Found]) -> None:
    """Give each a position behind those that have the same list around them."""
    beside: dict[tuple[bool, Any], list[_Found]] = defaultdict(list)
    for each in found:
        is_new = isinstance(each.parent, _Found)
        key = each.parent.row["uuid"] if isinstance(each.parent, _Found) else _key(each.parent)
        beside[is_new, key].append(each)
    for (is_new, key), some in beside.items():
        last = None if is_new else _last_position(key)
        for each, position in zip(some, _behind(last, len(some)), strict=True):
            each.row["position"] = position


def _last_position(parent_id: int | None) -> str | None:
    are_there = TodoList.parent_id.is_not_distinct_from(parent_id), TodoList.deleted_at.is_(None)
    found = sa.select(sa.func.max(TodoList.position)).where(*are_there)
    return db.session.scalar(found)


def _key(parent: _Found | _Above | None) -> int | None:
    return parent.id if parent else None


def _behind(last: str | None, count: int) -> list[str]:
    try:
        return positions.evenly(last, None, count)
    except positions.NoRoomError:
        # Equal ones are in the order of their keys.
        return [last or positions.FIRST] * count


def _insert(found: list[_Found]) -> None:
    """Write them, those around others first."""
    levels: dict[int, list[_Found]] = defaultdict(list)
    for each in found:
        levels[each.depth].append(each)
    for _, level in sorted(levels.items()):
        rows = [{**each.row, "parent_id": _key(each.parent)} for each in level]
        made = insert_all(TodoList, rows, TodoList.id, TodoList.uuid)
        keys = {row.uuid: row.id for row in made}
        for each in level:
            each.id = keys[each.row["uuid"]]


def _tell(actor: CurrentUser, found: list[_Found]) -> None:
    """Put the lists into the timeline, mark them for clients that sync, and tell webhooks."""
    entries: list[dict[str, Any]] = [
        {
            "actor_id": actor.id,
            "list_id": each.id,
            "action": "list.added",
            "changes": _told(each),
        }
        for each in found
    ]
    made = insert_all(Activity, entries, Activity.id)
    notifications.wake()
    marks = [{"kind": "list", "uuid": each.row["uuid"], "list_id": each.id} for each in found]
    insert_all(Change, sorted(marks, key=lambda mark: str(mark["uuid"])))
    if db.session.scalar(sa.select(events.IS_HEARD)):
        events.publish_all(actor, "list.added", [row.id for row in made])


def _told(found: _Found) -> dict[str, list[Any]]:
    told = {name: [None, found.row[name]] for name in _TOLD if found.row[name]}
    if isinstance(found.parent, _Above):
        told["parent_uuid"] = [None, str(found.parent.uuid)]
    elif found.parent:
        told["parent_uuid"] = [None, str(found.parent.row["uuid"])]
    return told


def next_lists(actor: CurrentUser, after: int) -> tuple[list[Mapping[str, str | None]], int | None]:
    """Some of the lists that `actor` may see, archived ones too, in order of their keys.

    Args:
        actor: who asks.
        after: key of the last list that was read; 0 for none.

    Returns:
        Cells by column, and the key of the last list where there may be more behind it.
    """
    parent = aliased(TodoList)
    around = (
        sa.select(sa.cast(parent.uuid, sa.Text))
        .where(parent.id == TodoList.parent_id, parent.id.in_(visible_lists(actor)))
        .correlate(TodoList)
        .scalar_subquery()
    )
    found = sa.select(
        TodoList.id.label("key"),
        sa.cast(TodoList.uuid, sa.Text).label("id"),
        around.label("parent"),
        *(getattr(TodoList, name) for name in _TOLD),
    ).where(TodoList.id > after, TodoList.id.in_(visible_lists(actor)))
    rows = db.session.execute(found.order_by(TodoList.id).limit(ROWS_AT_ONCE)).all()
    last = rows[-1].key if len(rows) == ROWS_AT_ONCE else None
    return [{name: getattr(row, name) for name in COLUMNS} for row in rows], last
