"""The timeline: who did what, when, and what it was before."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.accounts.models import User
from todo_app.activity.models import Activity
from todo_app.database import db
from todo_app.errors import NotFoundError
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import visible_lists
from todo_app.todos.models import Task, TodoList
from todo_app.todos.shown import NO_SUCH_TASK, person

ORDER_BY = {"at": Activity.at}

_ROWS = sa.select(
    Activity.at,
    Activity.action,
    Activity.changes,
    person(Activity.actor_id).label("actor"),
    sa.func.jsonb_build_object("uuid", TodoList.uuid, "title", TodoList.title).label("list"),
)


def page_of_activity(actor: CurrentUser, request: PageRequest, filters: dict[str, Any]) -> Page:
    """A page of the entries of all lists that `actor` may see; `search` looks into the action.

    Args:
        actor: who asks.
        request: which page.
        filters: any of `list_uuid`, `task_uuid`, `actor_uuid`, `action`, `at_from` and `at_before`;
            an entry must meet all.
    """
    # A task may be in another list by now, of which those who see this one know nothing.
    task = (
        sa.select(sa.func.jsonb_build_object("uuid", Task.uuid, "title", Task.title))
        .where(Task.id == Activity.task_id, Task.list_id.in_(visible_lists(actor).correlate(None)))
        .correlate(Activity)
        .scalar_subquery()
    )
    rows = (
        _ROWS.add_columns(task.label("task"))
        .join(TodoList, TodoList.id == Activity.list_id)
        .where(Activity.list_id.in_(visible_lists(actor)))
    )
    if request.search:
        rows = rows.where(Activity.action.ilike(contains(request.search)))
    if "list_uuid" in filters:
        rows = rows.where(Activity.list_id == _key(aliased(TodoList), filters["list_uuid"]))
    if "task_uuid" in filters:
        rows = rows.where(Activity.task_id == _key(aliased(Task), filters["task_uuid"]))
    if "actor_uuid" in filters:
        rows = rows.where(Activity.actor_id == _key(User, filters["actor_uuid"]))
    if "action" in filters:
        rows = rows.where(Activity.action == filters["action"])
    if "at_from" in filters:
        rows = rows.where(Activity.at >= filters["at_from"])
    if "at_before" in filters:
        rows = rows.where(Activity.at < filters["at_before"])
    return PageQuery(rows, ORDER_BY, Activity.id).fetch(request)


def page_of_task(
    actor: CurrentUser, task_uuid: uuid.UUID, request: PageRequest, filters: dict[str, Any]
) -> Page:
    """A page of the entries of one task; those of a list that it has left only for who sees that.

    Args: as of `page_of_activity`.

    Raises:
        NotFoundError: there is no such task, or it is not for the actor to see.
    """
    is_there = sa.exists().where(
        Task.uuid == task_uuid, Task.deleted_at.is_(None), Task.list_id.in_(visible_lists(actor))
    )
    if not db.session.scalar(sa.select(is_there)):
        raise NotFoundError(NO_SUCH_TASK)
    return page_of_activity(actor, request, {**filters, "task_uuid": task_uuid})


def _key(model: Any, key: uuid.UUID) -> Any:
    return sa.select(model.id).where(model.uuid == key).scalar_subquery()
