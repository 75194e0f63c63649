"""Filters that are kept: smart lists, of one person or for all of the company.

What a shared one finds depends on who asks: `me` is the asker, and nobody finds what they may not
see. Its owner alone changes it.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa

from todo_app.activity.changes import changed
from todo_app.database import Versions, db
from todo_app.errors import ConflictError, ForbiddenError, NotFoundError, PreconditionFailedError
from todo_app.filters.models import SavedFilter
from todo_app.filters.service import check
from todo_app.lists.shown import Shown
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenancy import CurrentUser
from todo_app.todos.placing import Order, Place
from todo_app.todos.shown import person

NO_SUCH_FILTER = "There is no such filter."
NOT_YOURS = "This filter is somebody else's."
MAX_FILTERS = 200
"""Of one person."""
ORDER_LOCK = 7301011
"""First key of the advisory lock of a person's filters; the second stands for schema and person."""

ORDER_BY = {
    "position": SavedFilter.position,
    "title": SavedFilter.title,
    "created_at": SavedFilter.created_at,
    "updated_at": SavedFilter.updated_at,
}


class TooManyFiltersError(ConflictError):
    """Somebody has as many filters as they may have."""

    code = "too-many-filters"
    detail = f"A person has at most {MAX_FILTERS} filters."


def rows(actor: CurrentUser) -> sa.Select[*tuple[Any, ...]]:
    """The filters that `actor` may see: their own, and shared ones."""
    is_own = SavedFilter.user_id == actor.id
    return sa.select(
        SavedFilter.uuid,
        SavedFilter.title,
        SavedFilter.filter,
        SavedFilter.is_shared,
        SavedFilter.position,
        SavedFilter.version,
        SavedFilter.created_at,
        SavedFilter.updated_at,
        person(SavedFilter.user_id).label("owner"),
    ).where(sa.or_(is_own, SavedFilter.is_shared))


def page_of_filters(actor: CurrentUser, request: PageRequest) -> Page:
    """A page of the filters that `actor` may see; `search` looks into the title."""
    shown = rows(actor)
    if request.search:
        shown = shown.where(SavedFilter.title.ilike(contains(request.search)))
    return PageQuery(shown, ORDER_BY, SavedFilter.id).fetch(request)


def get_filter(actor: CurrentUser, filter_uuid: uuid.UUID) -> Shown:
    """One filter as it is shown.

    Raises:
        NotFoundError: there is no such filter, or it is somebody else's own.
    """
    row = db.session.execute(rows(actor).where(SavedFilter.uuid == filter_uuid)).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_FILTER)
    return row


def add_filter(actor: CurrentUser, values: dict[str, Any]) -> Shown:
    """Keep a filter, as the last of the actor's.

    Raises:
        FilterError: the text is no filter.
        TooManyFiltersError
    """
    check(actor, values["filter"])
    _lock_order(actor)
    number = sa.select(sa.func.count()).where(SavedFilter.user_id == actor.id)
    if (db.session.scalar(number) or 0) >= MAX_FILTERS:
        raise TooManyFiltersError
    position = _order(actor).find(Place(), None, _moved_apart)
    kept = SavedFilter(**values, user_id=actor.id, position=position)
    db.session.add(kept)
    db.session.flush()
    changed("filter", kept.uuid, list_id=None)
    return get_filter(actor, kept.uuid)


def change_filter(
    actor: CurrentUser, filter_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> Shown:
    """Change only what `changes` names.

    Raises:
        NotFoundError: there is no such filter, or it is somebody else's own.
        ForbiddenError: it is somebody else's, and shared.
        PreconditionFailedError: `versions` are given and the current one is not among them.
        FilterError: the text is no filter.
    """
    if "filter" in changes:
        check(actor, changes["filter"])
    kept = _lock(actor, filter_uuid, versions)
    for name, value in changes.items():
        setattr(kept, name, value)
    db.session.flush()
    changed("filter", filter_uuid, list_id=None)
    return get_filter(actor, filter_uuid)


def move_filter(
    actor: CurrentUser, filter_uuid: uuid.UUID, place: Place, versions: Versions
) -> Shown:
    """Move a filter to another place among the actor's.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError: as of `change_filter`.
        InvalidInputError: there is no such filter beside which it could be.
    """
    _lock_order(actor)
    kept = _lock(actor, filter_uuid, versions)
    kept.position = _order(actor).find(place, kept.id, _moved_apart)
    db.session.flush()
    changed("filter", filter_uuid, list_id=None)
    return get_filter(actor, filter_uuid)


def delete_filter(actor: CurrentUser, filter_uuid: uuid.UUID, versions: Versions) -> None:
    """Delete a filter.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError: as of `change_filter`.
    """
    db.session.delete(_lock(actor, filter_uuid, versions))
    db.session.flush()
    changed("filter", filter_uuid, list_id=None, deleted=True)


def _lock(actor: CurrentUser, filter_uuid: uuid.UUID, versions: Versions) -> SavedFilter:
    found = sa.select(SavedFilter).where(SavedFilter.uuid == filter_uuid).with_for_update()
    kept = db.session.scalars(found).one_or_none()
    if kept is None or (kept.user_id != actor.id and not kept.is_shared):
        raise NotFoundError(NO_SUCH_FILTER)
    if kept.user_id != actor.id:
        raise ForbiddenError(NOT_YOURS)
    if versions is not None and kept.version not in versions:
        raise PreconditionFailedError
    return kept


def _lock_order(actor: CurrentUser) -> None:
    here = sa.func.hashtext(sa.func.current_schema() + sa.literal(f" {actor.id}"))
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(ORDER_LOCK, here)))


def _order(actor: CurrentUser) -> Order:
    is_own = SavedFilter.user_id == actor.id
    return Order(SavedFilter.id, SavedFilter.position, is_own, SavedFilter.uuid, NO_SUCH_FILTER)


def _moved_apart(keys: list[int]) -> None:
    moved = (
        sa.update(SavedFilter)
        .where(SavedFilter.id.in_(keys))
        .values(version=SavedFilter.version + 1)
        .returning(SavedFilter.uuid)
        .execution_options(synchronize_session=False)
    )
    for filter_uuid in sorted(db.session.scalars(moved)):
        changed("filter", filter_uuid, list_id=None)
