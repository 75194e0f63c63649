"""With whom a list is shared.

The creator of a list is always its admin and needs no share. What is shared of a company's list
counts once it is private.

Users and groups are locked before lists, as by those who delete them.
"""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.accounts.models import User
from todo_app.activity.changes import changed
from todo_app.activity.service import record
from todo_app.database import db
from todo_app.errors import ConflictError, NotFoundError
from todo_app.groups.models import Group
from todo_app.lists.locks import lock_list
from todo_app.lists.shown import Shown, person
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.shares.heirs import hand_on_lists
from todo_app.tenancy import CurrentUser
from todo_app.todos.access import find
from todo_app.todos.marks import mark_contents
from todo_app.todos.models import ADMIN, READ, ListMember, TodoList

_GROUP = (
    sa.select(sa.func.jsonb_build_object("uuid", Group.uuid, "name", Group.name))
    .where(Group.id == ListMember.group_id)
    .correlate(ListMember)
    .scalar_subquery()
)
_NAME = sa.func.coalesce(User.first_name + " " + User.last_name, Group.name, "")
_MEMBERS = (
    sa.select(
        ListMember.access,
        ListMember.created_at,
        person(ListMember.user_id).label("user"),
        _GROUP.label("group"),
    )
    .outerjoin(User, User.id == ListMember.user_id)
    .outerjoin(Group, Group.id == ListMember.group_id)
    .where(User.deleted_at.is_(None))
)
_IN_LIST = _MEMBERS.where(ListMember.list_id == sa.bindparam("list_id"))
ORDER_BY = {"name": _NAME, "access": ListMember.access, "created_at": ListMember.created_at}
_PAGES = PageQuery(_IN_LIST, ORDER_BY, ListMember.id)
_SEARCH = PageQuery(_IN_LIST.where(matches(_NAME)), ORDER_BY, ListMember.id)


class CreatorError(ConflictError):
    """The creator of a list is its admin, whatever is shared."""

    code = "is-the-creator"
    detail = "Who has made a list is always its admin."


def page_of_members(actor: CurrentUser, list_uuid: uuid.UUID, request: PageRequest) -> Page:
    """A page of those with whom a list is shared; `search` looks into the name.

    Raises:
        NotFoundError: there is no such list, or it is not for the actor to see.
    """
    list_id = find(actor, list_uuid, READ)
    if request.search:
        return _SEARCH.fetch(request, search=request.search, list_id=list_id)
    return _PAGES.fetch(request, list_id=list_id)


def put_user(actor: CurrentUser, list_uuid: uuid.UUID, user_uuid: uuid.UUID, access: str) -> Shown:
    """Share a list with a user, or change what they may do.

    Raises:
        NotFoundError: there is no such list or user.
        ForbiddenError: the actor is no admin of the list.
        CreatorError
    """
    user_id = _user_id(user_uuid)
    todo_list, _ = lock_list(actor, list_uuid, ADMIN, alone=True)
    if user_id == todo_list.created_by_id:
        raise CreatorError
    return _put(actor, todo_list, access, ("user_id", user_id), f"user:{user_uuid}")


def put_group(
    actor: CurrentUser, list_uuid: uuid.UUID, group_uuid: uuid.UUID, access: str
) -> Shown:
    """Share a list with all in a group, or change what they may do.

    Raises:
        NotFoundError: there is no such list or group.
        ForbiddenError: the actor is no admin of the list.
    """
    group_id = _group_id(group_uuid)
    todo_list, _ = lock_list(actor, list_uuid, ADMIN, alone=True)
    return _put(actor, todo_list, access, ("group_id", group_id), f"group:{group_uuid}")


def delete_user(actor: CurrentUser, list_uuid: uuid.UUID, user_uuid: uuid.UUID) -> None:
    """Take a list from a user; nothing happens where it is not shared with them.

    Everybody may leave a list.

    Raises:
        NotFoundError: there is no such list or user.
        ForbiddenError: it is somebody else, and the actor is no admin of the list.
    """
    wanted = READ if user_uuid == actor.uuid else ADMIN
    user_id = _user_id(user_uuid)
    todo_list, _ = lock_list(actor, list_uuid, wanted, alone=True)
    _delete(actor, todo_list, ("user_id", user_id), f"user:{user_uuid}")


def delete_group(actor: CurrentUser, list_uuid: uuid.UUID, group_uuid: uuid.UUID) -> None:
    """Take a list from a group; nothing happens where it is not shared with it.

    Raises:
        NotFoundError: there is no such list or group.
        ForbiddenError: the actor is no admin of the list.
    """
    group_id = _group_id(group_uuid)
    todo_list, _ = lock_list(actor, list_uuid, ADMIN, alone=True)
    _delete(actor, todo_list, ("group_id", group_id), f"group:{group_uuid}")


def _put(
    actor: CurrentUser, todo_list: TodoList, access: str, member: tuple[str, int], name: str
) -> Shown:
    column = ListMember.__table__.c[member[0]]
    is_theirs = sa.and_(ListMember.list_id == todo_list.id, column == member[1])
    before = db.session.scalar(sa.select(ListMember.access).where(is_theirs))
    if before != access:
        values = {"list_id": todo_list.id, member[0]: member[1], "access": access}
        db.session.execute(
            insert(ListMember)
            .values(values)
            .on_conflict_do_update(
                index_elements=[ListMember.list_id, column], set_={"access": access}
            )
        )
        _tell(actor, todo_list, "list.shared", {name: (before, access)})
    return db.session.execute(_MEMBERS.where(is_theirs)).one()


def _delete(actor: CurrentUser, todo_list: TodoList, member: tuple[str, int], name: str) -> None:
    removed = db.session.execute(
        sa.delete(ListMember)
        .where(
            ListMember.list_id == todo_list.id,
            ListMember.__table__.c[member[0]] == member[1],
        )
        .returning(ListMember.access)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if removed is not None:
        _tell(actor, todo_list, "list.unshared", {name: (removed.access, None)})


def _tell(
    actor: CurrentUser, todo_list: TodoList, action: str, told: dict[str, tuple[Any, Any]]
) -> None:
    record(actor, action, list_id=todo_list.id, changes=told)
    changed("list", todo_list.uuid, list_id=todo_list.id)
    mark_contents([todo_list.id])
    hand_on_lists(actor)


def _user_id(user_uuid: uuid.UUID) -> int:
    """A user, who stays until the transaction ends."""
    found = sa.select(User.id).where(User.uuid == user_uuid, User.deleted_at.is_(None))
    return _present(db.session.scalar(found.with_for_update(read=True)), "user")


def _group_id(group_uuid: uuid.UUID) -> int:
    """A group, which stays until the transaction ends."""
    found = sa.select(Group.id).where(Group.uuid == group_uuid)
    return _present(db.session.scalar(found.with_for_update(read=True)), "group")


def _present(key: int | None, what: str) -> int:
    if key is None:
        raise NotFoundError(f"There is no such {what}.")
    return key
