"""Numbers about the tasks that somebody may see. Days and hours are those of the user's clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.accounts.models import User
from todo_app.activity.models import Activity
from todo_app.database import db
from todo_app.invitations.models import Invitation
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import visible_lists
from todo_app.todos.models import Task, TaskAssignee, TodoList
from todo_app.todos.workflow import DONE, IN_PROGRESS, OPEN

GROUPS = ("status", "priority", "list", "user")
TIMES = ("day", "hour")
PERCENTILES = (0.5, 0.85, 0.95)

_NOW = sa.func.now()
_IS_OPEN = Task.status.in_(OPEN)
_IS_DONE = Task.status == DONE
_IS_OVERDUE = _IS_OPEN & (Task.due_at < _NOW)


def _count(which: sa.ColumnElement[bool] | None = None) -> Any:
    counted = sa.func.count()
    return counted if which is None else counted.filter(which)


def _seen(actor: CurrentUser, list_uuid: object = None) -> sa.ColumnElement[bool]:
    """Whether a task is there for the user to see, in a list where one is given."""
    seen = visible_lists(actor)
    if list_uuid is not None:
        seen = seen.where(TodoList.uuid == list_uuid)
    return Task.deleted_at.is_(None) & Task.list_id.in_(seen)


def _zone(actor: CurrentUser) -> Any:
    return sa.select(User.timezone).where(User.id == actor.id).scalar_subquery()


def counters(actor: CurrentUser) -> dict[str, int]:
    """What a start page shows: open, overdue, due and done today, and the user's own."""
    today = sa.func.date_trunc("day", _NOW, _zone(actor))
    # By the user's clock: some days have 23 hours, or 25.
    zone = _zone(actor)
    tomorrow, in_a_week = (
        sa.func.timezone(
            zone, sa.func.timezone(zone, today) + sa.literal_column(f"interval '{n}d'")
        )
        for n in (1, 7)
    )
    is_mine = sa.exists().where(TaskAssignee.task_id == Task.id, TaskAssignee.user_id == actor.id)
    row = db.session.execute(
        sa.select(
            _count(_IS_OPEN).label("open"),
            _count(_IS_OVERDUE).label("overdue"),
            _count(_IS_OPEN & (Task.due_at >= today) & (Task.due_at < tomorrow)).label("due_today"),
            _count(_IS_OPEN & (Task.due_at >= today) & (Task.due_at < in_a_week)).label(
                "due_this_week"
            ),
            _count(_IS_OPEN & Task.due_at.is_(None)).label("without_due"),
            _count(_IS_OPEN & is_mine).label("mine"),
            _count(_IS_OVERDUE & is_mine).label("mine_overdue"),
            _count(_IS_DONE & (Task.completed_at >= today)).label("done_today"),
            _count(_IS_DONE).label("done"),
        ).where(_seen(actor))
    ).one()
    return row._asdict()


def groups(
    actor: CurrentUser,
    by: str,
    *,
    list_uuid: object = None,
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[dict[str, Any]]:
    """How many tasks there are of each kind, those with the most first.

    Args:
        actor: who asks.
        by: one of GROUPS. By `user`, a task with several assignees counts for each, and one without
            for nobody.
        list_uuid: only tasks of this list.
        since: only those created then or later.
        before: only those created earlier.
    """
    key, title = _KEYS[by]
    counts = sa.select(
        key.label("key"),
        title.label("title"),
        _count().label("total"),
        _count(_IS_OPEN).label("open"),
        _count(_IS_DONE).label("done"),
        _count(_IS_OVERDUE).label("overdue"),
    ).select_from(Task)
    if by == "list":
        counts = counts.join(TodoList, TodoList.id == Task.list_id)
    if by == "user":
        counts = counts.outerjoin(TaskAssignee, TaskAssignee.task_id == Task.id)
        counts = counts.outerjoin(User, User.id == TaskAssignee.user_id)
    counts = counts.where(_seen(actor, list_uuid), *_within(Task.created_at, since, before))
    counts = counts.group_by(*{key, title}).order_by(sa.desc("total"), "title", "key")
    return [row._asdict() for row in db.session.execute(counts.limit(MAX_GROUPS))]


MAX_GROUPS = 1000

_STATUS, _PRIORITY = Task.status, sa.cast(Task.priority, sa.Text)
_FULL_NAME = User.first_name + " " + User.last_name
_KEYS: dict[str, tuple[Any, Any]] = {
    "status": (_STATUS, _STATUS),
    "priority": (_PRIORITY, _PRIORITY),
    "list": (sa.cast(TodoList.uuid, sa.Text), TodoList.title),
    "user": (sa.cast(User.uuid, sa.Text), _FULL_NAME),
}


def times(
    actor: CurrentUser, by: str, since: datetime, before: datetime, list_uuid: object = None
) -> list[dict[str, Any]]:
    """How many tasks were created and done, by day or by hour of the day, in their order.

    Args:
        actor: who asks.
        by: one of TIMES.
        since: from when on.
        before: up to when.
        list_uuid: only tasks of this list.
    """
    zone = _zone(actor)
    pattern = "YYYY-MM-DD" if by == "day" else "HH24"

    def counted(moment: Any, which: sa.ColumnElement[bool], created: int) -> Any:
        key = sa.func.to_char(sa.func.timezone(zone, moment), pattern)
        return sa.select(
            key.label("key"),
            sa.literal(created).label("created"),
            sa.literal(1 - created).label("done"),
        ).where(which, _seen(actor, list_uuid), moment >= since, moment < before)

    each = sa.union_all(
        counted(Task.created_at, sa.true(), 1), counted(Task.completed_at, _IS_DONE, 0)
    ).subquery()
    rows = db.session.execute(
        sa.select(
            each.c.key,
            sa.func.sum(each.c.created).label("created"),
            sa.func.sum(each.c.done).label("done"),
        )
        .group_by(each.c.key)
        .order_by(each.c.key)
    )
    return [row._asdict() for row in rows]


def flow(
    actor: CurrentUser, since: datetime, before: datetime, list_uuid: object = None
) -> dict[str, Any]:
    """How work flows: tasks done in a time, per day, and how long they took.

    Lead time is from creation to completion, cycle time from the first moment in progress. Source
    of the terms: Anderson, Kanban (2010).

    Args: as of `times`.
    """
    begun = (
        sa.select(sa.func.min(Activity.at))
        .where(
            Activity.task_id == Task.id,
            Activity.changes["status"][1].astext == IN_PROGRESS,
        )
        .correlate(Task)
        .scalar_subquery()
    )
    done = (
        sa.select(
            _seconds(Task.completed_at - Task.created_at).label("lead"),
            _seconds(Task.completed_at - begun).label("cycle"),
        )
        .where(
            _IS_DONE,
            _seen(actor, list_uuid),
            Task.completed_at >= since,
            Task.completed_at < before,
        )
        .subquery()
    )
    row = db.session.execute(
        sa.select(sa.func.count(), _percentiles(done.c.lead), _percentiles(done.c.cycle))
    ).one()
    days = (before - since).total_seconds() / 86_400
    return {
        "done": row[0],
        "done_per_day": row[0] / days,
        "lead_seconds": _named(row[1]),
        "cycle_seconds": _named(row[2]),
    }


def _seconds(duration: Any) -> Any:
    seconds = sa.cast(sa.extract("epoch", duration), sa.Float)
    # GREATEST would make 0 of null: those who were never in progress have no cycle time.
    return sa.case((seconds < 0, 0.0), else_=seconds)


def _percentiles(column: Any) -> Any:
    wanted = sa.cast(list(PERCENTILES), sa.ARRAY(sa.Float))
    return sa.func.percentile_cont(wanted).within_group(column)


def _named(values: list[float] | None) -> dict[str, float | None]:
    names = [f"p{percentile * 100:.0f}" for percentile in PERCENTILES]
    if values is None:
        return dict.fromkeys(names)
    return dict(zip(names, values, strict=True))


def first_steps(actor: CurrentUser) -> dict[str, bool]:
    """What somebody who has just begun has done already."""
    own_task = aliased(Task)
    steps = {
        "added_list": sa.exists().where(TodoList.created_by_id == actor.id),
        "added_task": sa.exists().where(own_task.created_by_id == actor.id),
        "completed_task": sa.exists().where(
            Activity.actor_id == actor.id, Activity.changes["status"][1].astext == DONE
        ),
        "invited_somebody": sa.exists().where(Invitation.invited_by_id == actor.id),
    }
    row = db.session.execute(sa.select(*(step.label(name) for name, step in steps.items()))).one()
    return row._asdict()


def _within(
    column: Any, since: datetime | None, before: datetime | None
) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if since is not None:
        conditions.append(column >= since)
    if before is not None:
        conditions.append(column < before)
    return conditions
