"""Groups of users, and who is in them."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.accounts.models import User
from todo_app.audit.service import record
from todo_app.database import Versions, db
from todo_app.errors import ConflictError, NotFoundError, PreconditionFailedError
from todo_app.groups.models import Group, GroupMember
from todo_app.pagination import Page, PageQuery, PageRequest, matches
from todo_app.shares.heirs import hand_on_lists
from todo_app.tenancy import CurrentUser
from todo_app.todos.marks import mark_lists_of_group

_MEMBER_COUNT = (
    sa.select(sa.func.count())
    .where(GroupMember.group_id == Group.id)
    .correlate(Group)
    .scalar_subquery()
)
_GROUPS = sa.select(
    Group.uuid,
    Group.name,
    Group.description,
    Group.version,
    Group.created_at,
    Group.updated_at,
    _MEMBER_COUNT.label("member_count"),
)
ORDER_BY = {"name": Group.name, "created_at": Group.created_at, "updated_at": Group.updated_at}
_PAGES = PageQuery(_GROUPS, ORDER_BY, Group.id)
_SEARCH = PageQuery(
    _GROUPS.where(matches(Group.name, sa.func.coalesce(Group.description, ""))), ORDER_BY, Group.id
)


class GroupExistsError(ConflictError):
    """Another group has this name, in whatever case."""

    code = "group-exists"
    detail = "There is a group with this name."


def page_of_groups(request: PageRequest) -> Page:
    """A page of the tenant's groups; `search` looks into name and description."""
    if request.search:
        return _SEARCH.fetch(request, search=request.search)
    return _PAGES.fetch(request)


def get_group(group_uuid: uuid.UUID) -> sa.Row[*tuple[Any, ...]]:
    """One group as it is shown, with its `version`.

    Raises:
        NotFoundError: the tenant has no such group.
    """
    row = db.session.execute(_GROUPS.where(Group.uuid == group_uuid)).one_or_none()
    if row is None:
        raise NotFoundError("There is no such group.")
    return row


def group_id_of(group_uuid: uuid.UUID) -> int:
    """The key of a group.

    Raises:
        NotFoundError: the tenant has no such group.
    """
    key = db.session.scalar(sa.select(Group.id).where(Group.uuid == group_uuid))
    if key is None:
        raise NotFoundError("There is no such group.")
    return key


def add_group(actor: CurrentUser, values: dict[str, Any]) -> sa.Row[*tuple[Any, ...]]:
    """Add a group.

    Raises:
        GroupExistsError
    """
    group = Group(**values)
    db.session.add(group)
    _flush_unique_name()
    record(actor, "group.added", ("group", group.uuid), name=group.name)
    return get_group(group.uuid)


def change_group(
    actor: CurrentUser, group_uuid: uuid.UUID, changes: dict[str, Any], versions: Versions
) -> sa.Row[*tuple[Any, ...]]:
    """Change only what `changes` names.

    Raises:
        NotFoundError, GroupExistsError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    group = _lock(group_uuid, versions)
    for column, value in changes.items():
        setattr(group, column, value)
    if db.session.is_modified(group):
        _flush_unique_name()
        record(actor, "group.changed", ("group", group_uuid), **changes)
    return get_group(group_uuid)


def delete_group(actor: CurrentUser, group_uuid: uuid.UUID, versions: Versions) -> None:
    """Delete a group; the people stay.

    Raises:
        NotFoundError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    group = _lock(group_uuid, versions)
    mark_lists_of_group(group.id)
    db.session.delete(group)
    db.session.flush()
    hand_on_lists(actor)
    record(actor, "group.deleted", ("group", group_uuid), name=group.name)


def put_member(actor: CurrentUser, group_uuid: uuid.UUID, user_uuid: uuid.UUID) -> None:
    """Put a user into a group; nothing happens where they are in it.

    Raises:
        NotFoundError: the tenant has no such group or user.
    """
    group_id, user_id = _lock_both(group_uuid, user_uuid)
    added = db.session.execute(
        insert(GroupMember)
        .values(group_id=group_id, user_id=user_id)
        .on_conflict_do_nothing()
        .returning(GroupMember.user_id)
    )
    if added.first() is not None:
        mark_lists_of_group(group_id)
        record(actor, "group.member_added", ("group", group_uuid), user=str(user_uuid))


def delete_member(actor: CurrentUser, group_uuid: uuid.UUID, user_uuid: uuid.UUID) -> None:
    """Take a user out of a group; nothing happens where they are not in it.

    Raises:
        NotFoundError: the tenant has no such group or user.
    """
    group_id, user_id = _lock_both(group_uuid, user_uuid)
    removed = db.session.execute(
        sa.delete(GroupMember)
        .where(GroupMember.group_id == group_id, GroupMember.user_id == user_id)
        .returning(GroupMember.user_id)
    )
    if removed.first() is not None:
        mark_lists_of_group(group_id)
        hand_on_lists(actor)
        record(actor, "group.member_removed", ("group", group_uuid), user=str(user_uuid))


def _lock(group_uuid: uuid.UUID, versions: Versions) -> Group:
    statement = sa.select(Group).where(Group.uuid == group_uuid).with_for_update()
    group = db.session.scalars(statement).one_or_none()
    if group is None:
        raise NotFoundError("There is no such group.")
    if versions is not None and group.version not in versions:
        raise PreconditionFailedError
    return group


def _lock_both(group_uuid: uuid.UUID, user_uuid: uuid.UUID) -> tuple[int, int]:
    """Group and user, who both stay until the transaction ends."""
    group = sa.select(Group.id).where(Group.uuid == group_uuid)
    user = sa.select(User.id).where(User.uuid == user_uuid, User.deleted_at.is_(None))
    keys = [db.session.scalar(found.with_for_update(read=True)) for found in (group, user)]
    for key, missing in zip(keys, ("group", "user"), strict=True):
        if key is None:
            raise NotFoundError(f"There is no such {missing}.")
    return keys[0], keys[1]  # type: ignore[return-value]


def _flush_unique_name() -> None:
    try:
        db.session.flush()
    except sa.exc.IntegrityError as error:
        if "uq_groups_name" in str(error.orig):
            raise GroupExistsError from None
        raise
