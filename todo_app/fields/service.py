"""The fields of their own that the tasks of a list have.

Whoever changes them holds the row of the list, and lets nobody write tasks of it meanwhile, so no
value comes in that has just ceased to be one.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa

from todo_app.activity.changes import changed
from todo_app.activity.service import record
from todo_app.database import Versions, db
from todo_app.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
)
from todo_app.lists.locks import lock_contents
from todo_app.lists.shown import Shown
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import find
from todo_app.todos.marks import change_tasks, mark_tasks
from todo_app.todos.models import CHOICE, READ, FieldValue, ListField, Task, TodoList
from todo_app.todos.placing import Order, Place

MAX_FIELDS = 50
"""Of a list."""

NO_SUCH_FIELD = "There is no such field in this list."

_FIELDS = sa.select(
    ListField.uuid,
    ListField.name,
    ListField.kind,
    ListField.options,
    ListField.position,
    ListField.version,
    ListField.created_at,
    ListField.updated_at,
)
_IN_LIST = _FIELDS.where(ListField.list_id == sa.bindparam("list_id"))
ORDER_BY = {
    "position": ListField.position,
    "name": ListField.name,
    "created_at": ListField.created_at,
    "updated_at": ListField.updated_at,
}
_PAGES = PageQuery(_IN_LIST, ORDER_BY, ListField.id)
_SEARCH = PageQuery(_IN_LIST.where(matches(ListField.name)), ORDER_BY, ListField.id)


class FieldExistsError(ConflictError):
    """Another field of the list has this name, in whatever case."""

    code = "field-exists"
    detail = "The list has a field with this name."


class OptionInUseError(ConflictError):
    """Tasks have a value that would be an option no more."""

    code = "option-in-use"
    detail = "Tasks have a value that would be an option no more."


class TooManyFieldsError(ConflictError):
    """A list has as many fields as it may have."""

    code = "too-many-fields"
    detail = f"A list has at most {MAX_FIELDS} fields."


def page_of_fields(actor: CurrentUser, list_uuid: uuid.UUID, request: PageRequest) -> Page:
    """A page of a list's fields; `search` looks into the name.

    Raises:
        NotFoundError: there is no such list, or it is not for the actor to see.
    """
    list_id = find(actor, list_uuid, READ)
    if request.search:
        return _SEARCH.fetch(request, search=request.search, list_id=list_id)
    return _PAGES.fetch(request, list_id=list_id)


def get_field(actor: CurrentUser, list_uuid: uuid.UUID, field_uuid: uuid.UUID) -> Shown:
    """One field as it is shown.

    Raises:
        NotFoundError: there is no such list or field, or it is not for the actor to see.
    """
    return _show(find(actor, list_uuid, READ), field_uuid)


def add_field(actor: CurrentUser, list_uuid: uuid.UUID, values: dict[str, Any]) -> Shown:
    """Add a field, behind the others of its list.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `lock_contents`.
        InvalidInputError: a choice has no options, or another kind has some.
        FieldExistsError, TooManyFieldsError
    """
    todo_list = lock_contents(actor, list_uuid)
    _check_options(values["kind"], values.get("options", []))
    _check_name(todo_list.id, values["name"])
    number = sa.select(sa.func.count()).where(ListField.list_id == todo_list.id)
    if (db.session.scalar(number) or 0) >= MAX_FIELDS:
        raise TooManyFieldsError
    position = _order(todo_list.id).find(Place(), None, _moved_apart)
    field = ListField(**values, list_id=todo_list.id, position=position)
    db.session.add(field)
    db.session.flush()
    told = {name: (None, value) for name, value in values.items()}
    _tell(actor, "field.added", todo_list, told)
    return _show(todo_list.id, field.uuid)


def change_field(
    actor: CurrentUser,
    list_uuid: uuid.UUID,
    field_uuid: uuid.UUID,
    changes: dict[str, Any],
    versions: Versions,
) -> Shown:
    """Change only what `changes` names.

    Raises:
        NotFoundError, ForbiddenError, FolderError, ListArchivedError: as of `lock_contents`.
        PreconditionFailedError: `versions` are given and the current one is not among them.
        InvalidInputError: a choice would have no options, or another kind some.
        FieldExistsError
        OptionInUseError: an option is taken away that tasks have.
    """
    todo_list, field = _lock(actor, list_uuid, field_uuid, versions)
    told = {
        name: (getattr(field, name), value)
        for name, value in changes.items()
        if getattr(field, name) != value
    }
    if "options" in told:
        _check_options(field.kind, changes["options"])
        _check_unused(field, changes["options"])
    if "name" in told:
        _check_name(todo_list.id, changes["name"], field.id)
    if told:
        for name in told:
            setattr(field, name, changes[name])
        db.session.flush()
        _tell(actor, "field.changed", todo_list, told)
        mark_tasks(_has_value(field))
    return _show(todo_list.id, field_uuid)


def move_field(
    actor: CurrentUser,
    list_uuid: uuid.UUID,
    field_uuid: uuid.UUID,
    place: Place,
    versions: Versions,
) -> Shown:
    """Move a field to another place among those of its list.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError and the others of `change_field`
        InvalidInputError: there is no such field beside which it could be.
    """
    todo_list, field = _lock(actor, list_uuid, field_uuid, versions)
    position = _order(todo_list.id).find(place, field.id, _moved_apart)
    told = {"position": (field.position, position)}
    field.position = position
    db.session.flush()
    _tell(actor, "field.moved", todo_list, told)
    return _show(todo_list.id, field_uuid)


def delete_field(
    actor: CurrentUser, list_uuid: uuid.UUID, field_uuid: uuid.UUID, versions: Versions
) -> None:
    """Delete a field, with what the tasks have in it.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError and the others of `change_field`
    """
    todo_list, field = _lock(actor, list_uuid, field_uuid, versions)
    change_tasks(_has_value(field))
    db.session.delete(field)
    db.session.flush()
    _tell(actor, "field.deleted", todo_list, {"name": (field.name, None)})


def _check_options(kind: str, options: list[str]) -> None:
    problem = None
    if kind == CHOICE and not options:
        problem = "A choice needs options."
    elif kind != CHOICE and options:
        problem = "Only a choice has options."
    elif len(set(options)) < len(options):
        problem = "An option is there twice."
    if problem:
        raise InvalidInputError(errors={"json": {"options": [problem]}})


def _check_name(list_id: int, name: str, besides: int | None = None) -> None:
    taken = sa.select(ListField.id).where(
        ListField.list_id == list_id,
        sa.func.lower(ListField.name) == sa.func.lower(name),
        ListField.id.is_distinct_from(besides),
    )
    if db.session.scalar(taken) is not None:
        raise FieldExistsError


def _check_unused(field: ListField, options: list[str]) -> None:
    value = FieldValue.value.op("#>>", return_type=sa.Text)(sa.literal_column("'{}'"))
    found = sa.select(value).where(FieldValue.field_id == field.id, value.not_in(options))
    used = db.session.scalars(found.distinct().limit(3)).all()
    if used:
        raise OptionInUseError(f"Tasks have these options: {', '.join(map(repr, used))}.")


def _has_value(field: ListField) -> sa.ColumnElement[bool]:
    return Task.id.in_(sa.select(FieldValue.task_id).where(FieldValue.field_id == field.id))


def _order(list_id: int) -> Order:
    is_there = ListField.list_id == list_id
    return Order(ListField.id, ListField.position, is_there, ListField.uuid, NO_SUCH_FIELD)


def _moved_apart(keys: list[int]) -> None:
    db.session.execute(
        sa.update(ListField)
        .where(ListField.id.in_(keys))
        .values(version=ListField.version + 1)
        .execution_options(synchronize_session=False)
    )


def _lock(
    actor: CurrentUser, list_uuid: uuid.UUID, field_uuid: uuid.UUID, versions: Versions
) -> tuple[TodoList, ListField]:
    todo_list = lock_contents(actor, list_uuid, alone=True)
    found = sa.select(ListField).where(
        ListField.uuid == field_uuid, ListField.list_id == todo_list.id
    )
    field = db.session.scalars(found.with_for_update()).one_or_none()
    if field is None:
        raise NotFoundError(NO_SUCH_FIELD)
    if versions is not None and field.version not in versions:
        raise PreconditionFailedError
    return todo_list, field


def _show(list_id: int, field_uuid: uuid.UUID) -> Shown:
    found = _FIELDS.where(ListField.list_id == list_id, ListField.uuid == field_uuid)
    row = db.session.execute(found).one_or_none()
    if row is None:
        raise NotFoundError(NO_SUCH_FIELD)
    return row


def _tell(
    actor: CurrentUser, action: str, todo_list: TodoList, told: dict[str, tuple[Any, Any]]
) -> None:
    # Clients read the fields of a list anew where the list is marked.
    record(actor, action, list_id=todo_list.id, changes=told)
    changed("list", todo_list.uuid, list_id=todo_list.id)
