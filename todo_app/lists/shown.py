"""Lists as they are shown.

Whatever stands in another table is a subquery of the select list: PostgreSQL puts those off until
after ORDER BY and stops at LIMIT, so a page costs one statement, however many lists there are.
"""

from __future__ import annotations

import uuid
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.accounts.models import User
from todo_app.database import db
from todo_app.errors import NotFoundError
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import NO_SUCH_LIST, RANKS, is_visible, rank
from todo_app.todos.models import Favourite, TodoList

Shown: TypeAlias = sa.Row[*tuple[Any, ...]]
"""A row as it is shown, with its `version`."""

WRITE_TASKS = "tasks:write"

ORDER_BY = ("position", "title", "created_at", "updated_at", "favourite")
"""`favourite` is the order in which the caller keeps favourites."""


def person(user_id: Any) -> Any:
    """A user as JSON; null where there is none. Deleted users keep their names."""
    who = aliased(User)
    shape = sa.func.jsonb_build_object(
        "uuid", who.uuid, "first_name", who.first_name, "last_name", who.last_name
    )
    return sa.select(shape).where(who.id == user_id).scalar_subquery()


def rows(actor: CurrentUser) -> sa.Select[*tuple[Any, ...]]:
    """All lists, as `actor` is shown them; the caller says which."""
    parent = aliased(TodoList)
    sees_parent = parent.deleted_at.is_(None) & is_visible(actor, parent)
    may_write = WRITE_TASKS in actor.permissions
    given = rank(actor) if may_write else sa.literal(1)
    return sa.select(
        TodoList.uuid,
        TodoList.title,
        TodoList.description,
        TodoList.kind,
        TodoList.visibility,
        TodoList.color,
        TodoList.icon,
        TodoList.symbol,
        TodoList.position,
        TodoList.archived_at,
        TodoList.version,
        TodoList.created_at,
        TodoList.updated_at,
        sa.select(parent.uuid)
        .where(parent.id == TodoList.parent_id, sees_parent)
        .scalar_subquery()
        .label("parent_uuid"),
        sa.case({number: name for name, number in RANKS.items()}, value=given).label("access"),
        (_favourites(actor, sa.func.count()) > 0).label("is_favourite"),
        person(TodoList.created_by_id).label("created_by"),
    )


def page_of_lists(actor: CurrentUser, request: PageRequest, filters: dict[str, Any]) -> Page:
    """A page of the lists that `actor` may see; `search` looks into title and description.

    Args:
        actor: who asks.
        request: which page.
        filters: any of `is_archived`, `is_favourite`, `kind` and `parent_uuid`; a list must meet
            all. Without the first, only what is not archived.
    """
    shown = rows(actor).where(TodoList.deleted_at.is_(None), is_visible(actor))
    if request.search:
        pattern = contains(request.search)
        shown = shown.where(
            sa.or_(TodoList.title.ilike(pattern), TodoList.description.ilike(pattern))
        )
    is_archived = TodoList.archived_at.is_not(None)
    shown = shown.where(is_archived if filters.get("is_archived") else ~is_archived)
    if "is_favourite" in filters:
        is_mine = TodoList.id.in_(sa.select(Favourite.list_id).where(Favourite.user_id == actor.id))
        shown = shown.where(is_mine if filters["is_favourite"] else ~is_mine)
    if "kind" in filters:
        shown = shown.where(TodoList.kind == filters["kind"])
    if "parent_uuid" in filters:
        parent = aliased(TodoList)
        key = sa.select(parent.id).where(
            parent.uuid == filters["parent_uuid"], is_visible(actor, parent)
        )
        shown = shown.where(TodoList.parent_id == key.scalar_subquery())
    order_by = {
        "position": TodoList.position,
        "title": TodoList.title,
        "created_at": TodoList.created_at,
        "updated_at": TodoList.updated_at,
        "favourite": _favourites(actor, Favourite.position),
    }
    return PageQuery(shown, order_by, TodoList.id).fetch(request)


def get_list(actor: CurrentUser, list_uuid: uuid.UUID) -> Shown:
    """One list as it is shown.

    Raises:
        NotFoundError: there is no such list, or it is not for the actor to see.
    """
    found = rows(actor).where(
        TodoList.uuid == list_uuid, TodoList.deleted_at.is_(None), is_visible(actor)
    )
    row = db.session.execute(found).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_LIST)
    return row


def _favourites(actor: CurrentUser, shown: Any) -> sa.ScalarSelect[Any]:
    return (
        sa.select(shown)
        .where(Favourite.list_id == TodoList.id, Favourite.user_id == actor.id)
        .correlate(TodoList)
        .scalar_subquery()
    )
