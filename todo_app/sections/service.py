"""The sections of a list, and their order.

Whoever changes them holds the row of the list, so no two changes of one list come together.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa

from todo_app.activity.changes import changed
from todo_app.activity.service import record
from todo_app.database import Versions, db
from todo_app.errors import ConflictError, NotFoundError, PreconditionFailedError
from todo_app.lists.locks import lock_contents
from todo_app.lists.shown import Shown
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import find
from todo_app.todos.marks import change_tasks
from todo_app.todos.models import READ, Section, Task, TodoList
from todo_app.todos.placing import Order, Place

NO_SUCH_SECTION = "There is no such section in this list."
MAX_SECTIONS = 200
"""Of a list."""

_SECTIONS = sa.select(
    Section.uuid,
    Section.title,
    Section.position,
    Section.version,
    Section.created_at,
    Section.updated_at,
)
_IN_LIST = _SECTIONS.where(Section.list_id == sa.bindparam("list_id"))
ORDER_BY = {
    "position": Section.position,
    "title": Section.title,
    "created_at": Section.created_at,
    "updated_at": Section.updated_at,
}
_PAGES = PageQuery(_IN_LIST, ORDER_BY, Section.id)
_SEARCH = PageQuery(_IN_LIST.where(matches(Section.title)), ORDER_BY, Section.id)


class TooManySectionsError(ConflictError):
    """A list has as many sections as it may have."""

    code = "too-many-sections"
    detail = f"A list has at most {MAX_SECTIONS} sections."


def page_of_sections(actor: CurrentUser, list_uuid: uuid.UUID, request: PageRequest) -> Page:
    """A page of a list's sections; `search` looks into the title.

    Raises:
        NotFoundError: there is no such list, or it is not for the actor to see.
    """
    list_id = find(actor, list_uuid, READ)
    if request.search:
        return _SEARCH.fetch(request, search=request.search, list_id=list_id)
    return _PAGES.fetch(request, list_id=list_id)


def get_section(actor: CurrentUser, list_uuid: uuid.UUID, section_uuid: uuid.UUID) -> Shown:
    """One section as it is shown.

    Raises:
        NotFoundError: there is no such list or section, or it is not for the actor to see.
    """
    return _show(find(actor, list_uuid, READ), section_uuid)


def add_section(actor: CurrentUser, list_uuid: uuid.UUID, values: dict[str, Any]) -> Shown:
    """Add a section at the end of a list.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `lock_contents`.
        TooManySectionsError
    """
    todo_list = lock_contents(actor, list_uuid)
    number = sa.select(sa.func.count()).where(Section.list_id == todo_list.id)
    if (db.session.scalar(number) or 0) >= MAX_SECTIONS:
        raise TooManySectionsError
    position = _order(todo_list.id).find(Place(), None, _moved_apart)
    section = Section(**values, list_id=todo_list.id, position=position)
    db.session.add(section)
    db.session.flush()
    _tell(actor, "section.added", section, {"title": (None, section.title)})
    return _show(todo_list.id, section.uuid)


def change_section(
    actor: CurrentUser,
    list_uuid: uuid.UUID,
    section_uuid: uuid.UUID,
    changes: dict[str, Any],
    versions: Versions,
) -> Shown:
    """Change only what `changes` names.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `lock_contents`.
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    todo_list, section = _lock(actor, list_uuid, section_uuid, versions)
    told = {
        name: (getattr(section, name), value)
        for name, value in changes.items()
        if getattr(section, name) != value
    }
    if told:
        for name in told:
            setattr(section, name, changes[name])
        db.session.flush()
        _tell(actor, "section.changed", section, told)
    return _show(todo_list.id, section_uuid)


def move_section(
    actor: CurrentUser,
    list_uuid: uuid.UUID,
    section_uuid: uuid.UUID,
    place: Place,
    versions: Versions,
) -> Shown:
    """Move a section to another place in its list.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError and the others of `change_section`
        InvalidInputError: there is no such section beside which it could be.
    """
    todo_list, section = _lock(actor, list_uuid, section_uuid, versions)
    position = _order(todo_list.id).find(place, section.id, _moved_apart)
    told = {"position": (section.position, position)}
    section.position = position
    db.session.flush()
    _tell(actor, "section.moved", section, told)
    return _show(todo_list.id, section_uuid)


def delete_section(
    actor: CurrentUser, list_uuid: uuid.UUID, section_uuid: uuid.UUID, versions: Versions
) -> None:
    """Delete a section; its tasks stay in the list.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError and the others of `change_section`
    """
    todo_list, section = _lock(actor, list_uuid, section_uuid, versions, alone=True)
    change_tasks(Task.section_id == section.id, section_id=None)
    db.session.delete(section)
    db.session.flush()
    record(actor, "section.deleted", list_id=todo_list.id, changes={"title": (section.title, None)})
    changed("section", section_uuid, list_id=todo_list.id, deleted=True)


def _order(list_id: int) -> Order:
    is_there = Section.list_id == list_id
    return Order(Section.id, Section.position, is_there, Section.uuid, NO_SUCH_SECTION)


def _moved_apart(keys: list[int]) -> None:
    for key in keys:
        row = db.session.execute(
            sa.update(Section)
            .where(Section.id == key)
            .values(version=Section.version + 1)
            .returning(Section.uuid, Section.list_id)
            .execution_options(synchronize_session=False)
        ).one()
        changed("section", row.uuid, list_id=row.list_id)


def _lock(
    actor: CurrentUser,
    list_uuid: uuid.UUID,
    section_uuid: uuid.UUID,
    versions: Versions,
    *,
    alone: bool = False,
) -> tuple[TodoList, Section]:
    todo_list = lock_contents(actor, list_uuid, alone=alone)
    found = sa.select(Section).where(Section.uuid == section_uuid, Section.list_id == todo_list.id)
    section = db.session.scalars(found.with_for_update()).one_or_none()
    if section is None:
        raise NotFoundError(NO_SUCH_SECTION)
    if versions is not None and section.version not in versions:
        raise PreconditionFailedError
    return todo_list, section


def _show(list_id: int, section_uuid: uuid.UUID) -> Shown:
    found = _SECTIONS.where(Section.list_id == list_id, Section.uuid == section_uuid)
    row = db.session.execute(found).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_SECTION)
    return row


def _tell(
    actor: CurrentUser, action: str, section: Section, told: dict[str, tuple[Any, Any]]
) -> None:
    record(actor, action, list_id=section.list_id, changes=told)
    changed("section", section.uuid, list_id=section.list_id)
