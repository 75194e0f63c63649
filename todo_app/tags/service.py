"""Words that tasks of all lists can have. They are everybody's: who may write tasks changes them.

A tag belongs to no list, so its changes are in no timeline.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.activity.changes import changed
from todo_app.database import Versions, db
from todo_app.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
)
from todo_app.lists.shown import Shown
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.todos.marks import change_tasks, mark_tasks
from todo_app.todos.models import Tag, Task, TaskTag

NO_SUCH_TAG = "There is no such tag."

TAGS = sa.select(Tag.uuid, Tag.name, Tag.color, Tag.version, Tag.created_at, Tag.updated_at)
ORDER_BY = {"name": Tag.name, "created_at": Tag.created_at, "updated_at": Tag.updated_at}
_PAGES = PageQuery(TAGS, ORDER_BY, Tag.id)
_SEARCH = PageQuery(TAGS.where(matches(Tag.name)), ORDER_BY, Tag.id)


class TagExistsError(ConflictError):
    """Another tag has this name, in whatever case."""

    code = "tag-exists"
    detail = "There is a tag with this name."


def page_of_tags(request: PageRequest) -> Page:
    """A page of the tenant's tags; `search` looks into the name."""
    if request.search:
        return _SEARCH.fetch(request, search=request.search)
    return _PAGES.fetch(request)


def get_tag(tag_uuid: uuid.UUID) -> Shown:
    """One tag as it is shown.

    Raises:
        NotFoundError: the tenant has no such tag.
    """
    row = db.session.execute(TAGS.where(Tag.uuid == tag_uuid)).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_TAG)
    return row


def add_tag(values: dict[str, Any]) -> Shown:
    """Add a tag.

    Raises:
        TagExistsError
    """
    tag = Tag(**values)
    db.session.add(tag)
    _flush_unique_name()
    changed("tag", tag.uuid, list_id=None)
    return get_tag(tag.uuid)


def change_tag(tag_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions) -> Shown:
    """Change only what `changes` names.

    Raises:
        NotFoundError, TagExistsError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    tag = _lock(tag_uuid, versions)
    for name, value in changes.items():
        setattr(tag, name, value)
    if db.session.is_modified(tag):
        _flush_unique_name()
        changed("tag", tag_uuid, list_id=None)
        mark_tasks(_has(tag.id))
    return get_tag(tag_uuid)


def delete_tag(tag_uuid: uuid.UUID, versions: Versions) -> None:
    """Delete a tag; the tasks that have it lose it.

    Raises:
        NotFoundError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    tag = _lock(tag_uuid, versions)
    change_tasks(_has(tag.id))
    _delete(tag)


def merge_tag(tag_uuid: uuid.UUID, into_uuid: uuid.UUID, versions: Versions) -> Shown:
    """Give the tasks that have one tag another in its place, and delete the first.

    Raises:
        NotFoundError: the tenant has no such tag.
        InvalidInputError: it has no such other tag, or it is the same.
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    if into_uuid == tag_uuid:
        raise InvalidInputError(errors={"json": {"into_uuid": ["This is the same tag."]}})
    # In one order, so that two such changes do not lock each other out.
    both = sa.select(Tag).where(Tag.uuid.in_([tag_uuid, into_uuid])).order_by(Tag.id)
    found = {tag.uuid: tag for tag in db.session.scalars(both.with_for_update())}
    if tag_uuid not in found:
        raise NotFoundError(NO_SUCH_TAG)
    if into_uuid not in found:
        raise InvalidInputError(errors={"json": {"into_uuid": [NO_SUCH_TAG]}})
    tag, into = found[tag_uuid], found[into_uuid]
    if versions is not None and tag.version not in versions:
        raise PreconditionFailedError
    having = sa.select(TaskTag.task_id, sa.literal(into.id)).where(TaskTag.tag_id == tag.id)
    db.session.execute(
        insert(TaskTag).from_select(["task_id", "tag_id"], having).on_conflict_do_nothing()
    )
    change_tasks(_has(tag.id))
    _delete(tag)
    return get_tag(into_uuid)


def _has(tag_id: int) -> sa.ColumnElement[bool]:
    return Task.id.in_(sa.select(TaskTag.task_id).where(TaskTag.tag_id == tag_id))


def _delete(tag: Tag) -> None:
    db.session.delete(tag)
    db.session.flush()
    changed("tag", tag.uuid, list_id=None, deleted=True)


def _lock(tag_uuid: uuid.UUID, versions: Versions) -> Tag:
    found = sa.select(Tag).where(Tag.uuid == tag_uuid).with_for_update()
    tag = db.session.scalars(found).one_or_none()
    if tag is None:
        raise NotFoundError(NO_SUCH_TAG)
    if versions is not None and tag.version not in versions:
        raise PreconditionFailedError
    return tag


def _flush_unique_name() -> None:
    try:
        db.session.flush()
    except sa.exc.IntegrityError as error:
        if "uq_tags_name" in str(error.orig):
            raise TagExistsError from None
        raise
