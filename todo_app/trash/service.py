"""What is in the trash: lists and tasks that were deleted, each with what was deleted with it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import RANKS, is_visible, rank, visible_lists
from todo_app.todos.models import ADMIN, Task, TodoList

KINDS = ("list", "task")
ORDER_BY = ("deleted_at", "title")


def page_of_trash(actor: CurrentUser, request: PageRequest, filters: dict[str, Any]) -> Page:
    """A page of what `actor` can bring back; `search` looks into the title.

    What was deleted together with a list or task around it is not shown beside it.

    Args:
        actor: who asks.
        request: which page.
        filters: `kind`, one of KINDS, for these only.
    """
    rows = sa.union_all(_lists(actor), _tasks(actor)).subquery("trash")
    shown = sa.select(*(column for column in rows.c if column.name != "id"))
    if request.search:
        shown = shown.where(rows.c.title.ilike(contains(request.search)))
    if "kind" in filters:
        shown = shown.where(rows.c.kind == filters["kind"])
    order_by = {name: rows.c[name] for name in ORDER_BY}
    return PageQuery(shown, order_by, rows.c.uuid).fetch(request)


def _lists(actor: CurrentUser) -> sa.Select[*tuple[Any, ...]]:
    parent = aliased(TodoList)
    goes_along = sa.exists().where(
        parent.id == TodoList.parent_id,
        parent.deleted_at == TodoList.deleted_at,
        rank(actor, parent) >= RANKS[ADMIN],
    )
    return sa.select(
        sa.literal("list").label("kind"),
        TodoList.uuid,
        TodoList.title,
        TodoList.deleted_at,
        sa.cast(sa.null(), sa.Uuid).label("list_uuid"),
        TodoList.id,
    ).where(
        TodoList.deleted_at.is_not(None),
        is_visible(actor),
        rank(actor) >= RANKS[ADMIN],
        ~goes_along,
    )


def _tasks(actor: CurrentUser) -> sa.Select[*tuple[Any, ...]]:
    parent = aliased(Task)
    goes_along = sa.exists().where(
        parent.id == Task.parent_id, parent.deleted_at == Task.deleted_at
    )
    list_uuid = sa.select(TodoList.uuid).where(TodoList.id == Task.list_id).scalar_subquery()
    return sa.select(
        sa.literal("task").label("kind"),
        Task.uuid,
        Task.title,
        Task.deleted_at,
        list_uuid.label("list_uuid"),
        Task.id,
    ).where(Task.deleted_at.is_not(None), Task.list_id.in_(visible_lists(actor)), ~goes_along)
