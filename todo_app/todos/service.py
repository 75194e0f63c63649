"""Use cases of lists and tasks.

Whatever is shown is read as plain column rows. People and the list of a task are subqueries of the
select list: PostgreSQL puts those off until after ORDER BY and stops at LIMIT, so a page costs one
statement, and nobody is looked up for the rows behind it, however many tasks there are.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from todo_app.accounts.models import User
from todo_app.database import Versions, db
from todo_app.errors import InvalidInputError, NotFoundError, PreconditionFailedError
from todo_app.filters.compiler import compile as compile_filter
from todo_app.filters.context import Context
from todo_app.filters.language import parse
from todo_app.filters.tasks import TASK_FIELDS
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.tenancy import CurrentUser
from todo_app.todos.models import DONE, NEW, Task, TodoList

NO_SUCH_LIST = "There is no such list."
NO_SUCH_TASK = "There is no such task."
NO_SUCH_USER = "There is no such user."

Shown: TypeAlias = sa.Row[*tuple[Any, ...]]
"""A list or task as it is shown, with its `version`."""

Lockable = TypeVar("Lockable", TodoList, Task)


def _person(user_id: Any) -> Any:
    """A user as JSON; null where there is none. Deleted users keep their names."""
    person = aliased(User)
    shape = sa.func.jsonb_build_object(
        "uuid", person.uuid, "first_name", person.first_name, "last_name", person.last_name
    )
    return sa.select(shape).where(person.id == user_id).scalar_subquery()


_LIST = sa.func.jsonb_build_object("uuid", TodoList.uuid, "title", TodoList.title)

_LISTS = sa.select(
    TodoList.uuid,
    TodoList.title,
    TodoList.description,
    TodoList.color,
    TodoList.version,
    TodoList.created_at,
    TodoList.updated_at,
    _person(TodoList.created_by_id).label("created_by"),
)
_TASKS = sa.select(
    Task.uuid,
    Task.title,
    Task.description,
    Task.status,
    Task.priority,
    Task.due_at,
    Task.completed_at,
    Task.version,
    Task.created_at,
    Task.updated_at,
    sa.select(_LIST).where(TodoList.id == Task.list_id).scalar_subquery().label("list"),
    _person(Task.assignee_id).label("assignee"),
    _person(Task.created_by_id).label("created_by"),
)
LISTS_ORDER_BY = {
    "title": TodoList.title,
    "created_at": TodoList.created_at,
    "updated_at": TodoList.updated_at,
}
TASKS_ORDER_BY = {
    "title": Task.title,
    "status": Task.status,
    "priority": Task.priority,
    "due_at": Task.due_at,
    "completed_at": Task.completed_at,
    "created_at": Task.created_at,
    "updated_at": Task.updated_at,
}


def page_of_lists(request: PageRequest) -> Page:
    """A page of the tenant's lists; `search` looks into title and description."""
    rows = _LISTS
    if request.search:
        pattern = contains(request.search)
        rows = rows.where(
            sa.or_(TodoList.title.ilike(pattern), TodoList.description.ilike(pattern))
        )
    return PageQuery(rows, LISTS_ORDER_BY, TodoList.id).fetch(request)


def get_list(list_uuid: uuid.UUID) -> Shown:
    """One list as it is shown.

    Raises:
        NotFoundError: the tenant has no such list.
    """
    return _show(_LISTS.where(TodoList.uuid == list_uuid), NO_SUCH_LIST)


def add_list(actor: CurrentUser, values: dict[str, Any]) -> Shown:
    """Add a list; the answer is the list as it is shown."""
    todo_list = TodoList(**values, created_by_id=actor.id)
    db.session.add(todo_list)
    db.session.flush()
    return get_list(todo_list.uuid)


def change_list(list_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions) -> Shown:
    """Change only what `changes` names.

    Raises:
        NotFoundError: the tenant has no such list.
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    todo_list = _lock_list(list_uuid, versions)
    for column, value in changes.items():
        setattr(todo_list, column, value)
    db.session.flush()
    return get_list(list_uuid)


def delete_list(list_uuid: uuid.UUID, versions: Versions) -> None:
    """Delete a list and all its tasks.

    Raises:
        NotFoundError: the tenant has no such list.
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    db.session.delete(_lock_list(list_uuid, versions))
    db.session.flush()


def page_of_tasks(actor: CurrentUser, request: PageRequest, filters: dict[str, Any]) -> Page:
    """A page of the tenant's tasks; `search` looks into title and description.

    Args:
        actor: whom `me` means in a filter, and in whose time zone its days are.
        request: which page.
        filters: any of `list_uuid`, `assignee_uuid`, `status`, and `filter`, a text in the filter
            language; a task must meet all.

    Raises:
        FilterError: the text is no filter, or asks for what tasks do not have.
    """
    rows = _TASKS
    if request.search:
        pattern = contains(request.search)
        rows = rows.where(sa.or_(Task.title.ilike(pattern), Task.description.ilike(pattern)))
    if "list_uuid" in filters:
        rows = rows.where(Task.list_id == _find_list(filters["list_uuid"]).scalar_subquery())
    if "assignee_uuid" in filters:
        assignee = sa.select(User.id).where(User.uuid == filters["assignee_uuid"])
        rows = rows.where(Task.assignee_id == assignee.scalar_subquery())
    if "status" in filters:
        rows = rows.where(Task.status == filters["status"])
    if "filter" in filters:
        rows = rows.where(_found_by(filters["filter"], actor))
    return PageQuery(rows, TASKS_ORDER_BY, Task.id).fetch(request)


def _found_by(text: str, actor: CurrentUser) -> sa.ColumnElement[bool]:
    condition = parse(text)
    zone = db.session.scalars(sa.select(User.timezone).where(User.id == actor.id)).one()
    context = Context(actor.id, datetime.now(UTC), ZoneInfo(zone))
    return compile_filter(condition, TASK_FIELDS, context)


def get_task(task_uuid: uuid.UUID) -> Shown:
    """One task as it is shown.

    Raises:
        NotFoundError: the tenant has no such task.
    """
    return _show(_TASKS.where(Task.uuid == task_uuid), NO_SUCH_TASK)


def add_task(actor: CurrentUser, values: dict[str, Any]) -> Shown:
    """Add a task; the answer is the task as it is shown.

    Raises:
        InvalidInputError: there is no such list or assignee.
    """
    columns = _columns(values)
    task = Task(created_by_id=actor.id)
    db.session.add(task)
    _write(task, columns)
    return get_task(task.uuid)


def change_task(task_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions) -> Shown:
    """Change only what `changes` names.

    Raises:
        NotFoundError: the tenant has no such task.
        PreconditionFailedError: `versions` are given and the current one is not among them.
        InvalidInputError: there is no such list or assignee.
    """
    task = _lock_task(task_uuid, versions)
    _write(task, _columns(changes))
    return get_task(task_uuid)


def complete_task(task_uuid: uuid.UUID, versions: Versions) -> Shown:
    """Set the status to done; a task that is done already keeps its time of completion.

    Raises:
        NotFoundError, PreconditionFailedError: as in `change_task`.
    """
    return change_task(task_uuid, {"status": DONE}, versions)


def reopen_task(task_uuid: uuid.UUID, versions: Versions) -> Shown:
    """Set a done task back to new; one that is not done stays as it is.

    Raises:
        NotFoundError, PreconditionFailedError: as in `change_task`.
    """
    task = _lock_task(task_uuid, versions)
    if task.status == DONE:
        _write(task, {"status": NEW})
    return get_task(task_uuid)


def delete_task(task_uuid: uuid.UUID, versions: Versions) -> None:
    """Delete a task.

    Raises:
        NotFoundError: the tenant has no such task.
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    db.session.delete(_lock_task(task_uuid, versions))
    db.session.flush()


def release_tasks(user_id: int, to_id: int | None) -> None:
    """Take a user's open tasks from them.

    Args:
        user_id: whose tasks.
        to_id: who gets them; None for nobody.
    """
    mine = sa.select(Task.id).where(Task.assignee_id == user_id, Task.status != DONE)
    # In one order, so that two such changes do not lock each other out.
    keys = db.session.scalars(mine.order_by(Task.id).with_for_update()).all()
    db.session.execute(
        sa.update(Task)
        .where(Task.id.in_(keys))
        .values(assignee_id=to_id, version=Task.version + 1)
        .execution_options(synchronize_session=False)
    )


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    """`values` with the keys of list and assignee in place of their ids."""
    columns = dict(values)
    if "list_uuid" in columns:
        found = _find_list(columns.pop("list_uuid"))
        columns["list_id"] = _key_of(found, "list_uuid", NO_SUCH_LIST)
    if "assignee_uuid" in columns:
        user_uuid = columns.pop("assignee_uuid")
        columns["assignee_id"] = user_uuid and _key_of(
            _find_user(user_uuid), "assignee_uuid", NO_SUCH_USER
        )
    return columns


def _write(task: Task, columns: dict[str, Any]) -> None:
    status = columns.get("status", task.status)
    if status != task.status:
        task.completed_at = sa.func.now() if status == DONE else None
    for name, value in columns.items():
        setattr(task, name, value)
    try:
        db.session.flush()
    except sa.exc.IntegrityError as error:
        # Somebody has deleted the list since it was found.
        if "fk_tasks_list_id_lists" in str(error.orig):
            raise _unknown("list_uuid", NO_SUCH_LIST) from None
        raise


def _find_list(list_uuid: uuid.UUID) -> sa.Select[int]:
    return sa.select(TodoList.id).where(TodoList.uuid == list_uuid)


def _find_user(user_uuid: uuid.UUID) -> sa.Select[int]:
    return sa.select(User.id).where(User.uuid == user_uuid, User.deleted_at.is_(None))


def _key_of(found: sa.Select[int], field: str, missing: str) -> int:
    key = db.session.scalar(found)
    if key is None:
        raise _unknown(field, missing)
    return key


def _unknown(field: str, missing: str) -> InvalidInputError:
    return InvalidInputError(errors={"json": {field: [missing]}})


def _show(rows: sa.Select[*tuple[Any, ...]], missing: str) -> Shown:
    row = db.session.execute(rows).one_or_none()
    if row is None:
        raise NotFoundError(missing)
    return row


def _lock(found: sa.Select[Lockable], versions: Versions, missing: str) -> Lockable:
    row = db.session.scalars(found.with_for_update()).one_or_none()
    if row is None:
        raise NotFoundError(missing)
    if versions is not None and row.version not in versions:
        raise PreconditionFailedError
    return row


def _lock_list(list_uuid: uuid.UUID, versions: Versions) -> TodoList:
    return _lock(sa.select(TodoList).where(TodoList.uuid == list_uuid), versions, NO_SUCH_LIST)


def _lock_task(task_uuid: uuid.UUID, versions: Versions) -> Task:
    return _lock(sa.select(Task).where(Task.uuid == task_uuid), versions, NO_SUCH_TASK)
