"""Mails about what others do, as each person wants to be told of it.

The timeline is what there is to tell; each entry is told once. Who changes something calls the
workers, who look at the tenant a minute later: what happened meanwhile is one mail to each person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert

from todo_app import outbox
from todo_app.accounts.models import User
from todo_app.activity.models import Activity
from todo_app.database import current_session, db
from todo_app.languages import format_time, translate
from todo_app.mails import Recipient, send_all
from todo_app.notifications.models import HeldNotice
from todo_app.permissions.models import Role
from todo_app.tenancy import current_tenant
from todo_app.todos.details import may_see
from todo_app.todos.models import Task, TaskAssignee, TodoList

DELAY = timedelta(minutes=1)
MAX_ENTRIES = 1_000
"""That are told at once."""
MAX_LINES = 50
"""Of one mail."""
MAX_VALUE = 100
"""Characters of a comment that a mail repeats."""

LINES = {
    "task.added": "{who} added {task}.",
    "task.changed": "{who} changed {task}: {fields}.",
    "task.deleted": "{who} deleted {task}.",
    "task.restored": "{who} brought {task} back.",
    "comment.added": "{who} on {task}: {text}",
}
"""What people are told of, by the action of the timeline."""
TIMES = frozenset({"start_at", "due_at"})
FOLLOWING = frozenset({"completed_at"})
"""What changes with the status, which says enough."""
MORE = "And {number} more."

_CALLED = "people_called_by"


CALL = outbox.message(
    outbox.NOTICES, sa.bindparam("called_for", type_=JSONB), sa.func.now() + DELAY
)
"""Calls the workers for a tenant; to be sent together with the entry of the timeline."""


def call() -> dict[str, Any] | None:
    """Call the workers for the current tenant, once this transaction has been committed.

    One call is enough for a transaction, but what is written after a savepoint goes when that is
    rolled back.

    Returns:
        The parameters of CALL; None where this transaction has called.
    """
    session = current_session()
    innermost = session.get_nested_transaction() or session.get_transaction()
    if innermost is not None and session.info.get(_CALLED) is innermost:
        return None
    # The transaction of the first statement has not begun yet.
    session.connection()
    session.info[_CALLED] = session.get_nested_transaction() or session.get_transaction()
    return {"called_for": {"schema_name": current_tenant().schema_name}}


def wake() -> None:
    """Send CALL, for entries of the timeline that were written otherwise."""
    parameters = call()
    if parameters is not None:
        db.session.execute(CALL, parameters)


def call_at(moment: datetime) -> None:
    """Call the workers for the current tenant at a moment."""
    outbox.put(outbox.NOTICES, {"schema_name": current_tenant().schema_name}, moment)


def tell() -> int:
    """Mail people what they want to know of what has happened and was not told.

    Returns:
        How many entries of the timeline were told.
    """
    untold = (
        sa.select(Activity.id).where(~Activity.is_told).order_by(Activity.id).limit(MAX_ENTRIES)
    )
    keys = list(db.session.scalars(untold.with_for_update(skip_locked=True)))
    if not keys:
        return 0
    db.session.execute(
        sa.update(Activity)
        .where(Activity.id.in_(keys))
        .values(is_told=True)
        .execution_options(synchronize_session=False)
    )
    _send(_told_to(Activity.id.in_(keys)))
    return len(keys)


def tell_held() -> int:
    """Mail people what has waited for the end of their quiet hours, if it is still for them to see.

    Returns:
        How many notices had waited.
    """
    due = (
        sa.select(HeldNotice.user_id, HeldNotice.activity_id)
        .where(HeldNotice.until <= sa.func.now())
        .order_by(HeldNotice.until)
        .limit(MAX_ENTRIES)
    )
    key = sa.tuple_(HeldNotice.user_id, HeldNotice.activity_id)
    held = (
        sa.delete(HeldNotice)
        .where(key.in_(due.with_for_update(skip_locked=True)))
        .returning(HeldNotice.user_id, HeldNotice.activity_id)
        .execution_options(synchronize_session=False)
    )
    keys = [tuple(row) for row in db.session.execute(held)]
    if keys:
        _send(_told_to(sa.tuple_(User.id, Activity.id).in_(keys)))
    return len(keys)


def next_held() -> datetime | None:
    """When the next quiet hours are over that something waits for; None for never."""
    moment: datetime | None = db.session.scalar(sa.select(sa.func.min(HeldNotice.until)))
    return moment


def _send(told_to: sa.Select[*tuple[Any, ...]]) -> None:
    """Mail each person what they are told of, or hold it until their quiet hours are over."""
    entries: dict[int, list[Any]] = defaultdict(list)
    for row in db.session.execute(told_to):
        entries[row.user_id].append(row)
    mails, held = [], []
    now = datetime.now(UTC)
    for user_id, rows in entries.items():
        one = rows[-1]
        until = end_of_quiet(now, one.timezone, one.quiet_from, one.quiet_until)
        if until is None:
            mails.append(_mail(one, rows))
        else:
            # Not the mail: until then they may no longer be allowed to see what is in it.
            held += [{"user_id": user_id, "activity_id": row.id, "until": until} for row in rows]
    if held:
        db.session.execute(insert(HeldNotice).on_conflict_do_nothing(), held)
    send_all(mails)


def _told_to(which: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    """Each entry with each person who is told of it, in the order in which things happened."""
    is_assigned = sa.exists().where(
        TaskAssignee.task_id == Activity.task_id, TaskAssignee.user_id == User.id
    )
    is_named = Activity.changes["mentions"][1].contains(sa.func.jsonb_build_array(User.uuid))
    wants = sa.case(
        (User.notification_level == "all", sa.true()),
        (User.notification_level == "mine", sa.or_(is_assigned, sa.func.coalesce(is_named, False))),
        else_=sa.false(),
    )
    who = sa.orm.aliased(User)
    symbol = sa.case((Task.number > 0, TodoList.symbol + "-" + sa.cast(Task.number, sa.Text)))
    return (
        sa.select(
            Activity.action,
            Activity.changes,
            Task.title,
            symbol.label("symbol"),
            (who.first_name + " " + who.last_name).label("who"),
            Activity.id,
            User.id.label("user_id"),
            User.first_name,
            User.email,
            User.language,
            User.timezone,
            User.quiet_from,
            User.quiet_until,
        )
        .select_from(Activity)
        .join(Task, Task.id == Activity.task_id)
        .join(TodoList, TodoList.id == Task.list_id)
        .outerjoin(who, who.id == Activity.actor_id)
        .join(User, User.id.is_distinct_from(Activity.actor_id))
        .join(Role, Role.id == User.role_id)
        .where(
            which,
            Activity.action.in_(LINES),
            # A comment that was deleted meanwhile has no text any more.
            sa.or_(
                Activity.action != "comment.added", Activity.changes["text"][1].astext.is_not(None)
            ),
            TodoList.deleted_at.is_(None),
            User.is_active,
            User.deleted_at.is_(None),
            Role.permissions.contains(["tasks:read"]),
            may_see(Activity.list_id),
            # It may be in another list by now, and has the title that it has there.
            may_see(Task.list_id),
            wants,
        )
        .order_by(Activity.id)
    )


def _mail(person: Any, rows: list[Any]) -> Recipient:
    lines = [_line(row, person) for row in rows[:MAX_LINES]]
    if len(rows) > MAX_LINES:
        lines.append(translate(MORE, person.language).format(number=len(rows) - MAX_LINES))
    values = {"name": person.first_name, "company": current_tenant().name, "lines": lines}
    return Recipient(
        "changes",
        person.email,
        person.language,
        person.timezone,
        values,
    )


def _line(row: Any, person: Any) -> str:
    symbol = f"{row.symbol} " if row.symbol else ""
    text = (row.changes.get("text") or [None, ""])[1] or ""
    return translate(LINES[row.action], person.language).format(
        who=row.who or current_tenant().name,
        task=f"{symbol}{row.title}",
        fields=", ".join(_fields(row.changes, person)),
        text=text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…",
    )


def _fields(changes: dict[str, Any], person: Any) -> Iterable[str]:
    for name, (_, new) in sorted(changes.items()):
        if name in FOLLOWING:
            continue
        if new and name in TIMES:
            new = format_time(datetime.fromisoformat(new), person.language, person.timezone)
        is_short = isinstance(new, str | int | float) and len(str(new)) <= MAX_VALUE
        yield f"{name} = {new}" if is_short and name != "description" else name


def end_of_quiet(
    now: datetime, timezone: str, begins: time | None, ends: time | None
) -> datetime | None:
    """When the quiet hours are over in which a moment is; None where it is in none.

    Args:
        now: the moment.
        timezone: of the person, in the IANA database.
        begins: on their clock.
        ends: on their clock; earlier than `begins` for hours over midnight, the same for all day,
            which is never quiet.
    """
    if begins is None or ends is None or begins == ends:
        return None
    here = now.astimezone(ZoneInfo(timezone))
    clock = here.time()
    is_quiet = begins <= clock < ends if begins < ends else clock >= begins or clock < ends
    if not is_quiet:
        return None
    day = here.date() if clock < ends else here.date() + timedelta(days=1)
    return datetime.combine(day, ends, here.tzinfo).astimezone(UTC)
