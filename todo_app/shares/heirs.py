"""Who gets the private lists of people who leave.

A private list whose creator has been deleted, and that nobody else is an admin of, is shared with
the company's master administrators, so that no work is lost. They can share it further, make it the
company's, or delete it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from todo_app.accounts.models import User
from todo_app.activity.changes import changed
from todo_app.activity.service import record
from todo_app.database import db
from todo_app.groups.models import GroupMember
from todo_app.permissions.models import MASTER_ADMIN, Role
from todo_app.tenancy import CurrentUser
from todo_app.todos.marks import mark_contents
from todo_app.todos.models import ADMIN, PRIVATE, ListMember, TodoList


def hand_on_lists(actor: CurrentUser) -> None:
    """Share the private lists that nobody is an admin of any more, those in the trash included.

    Args:
        actor: who has deleted somebody, or has taken a share away.
    """
    left = (
        sa.select(TodoList.id, TodoList.uuid, TodoList.deleted_at)
        .where(TodoList.visibility == PRIVATE, ~_has_admin())
        .order_by(TodoList.id)
    )
    lists = db.session.execute(left.with_for_update(of=TodoList)).all()
    heirs = _master_admins()
    for todo_list in lists:
        rows = [{"list_id": todo_list.id, "user_id": key, "access": ADMIN} for key in heirs]
        db.session.execute(
            insert(ListMember)
            .values(rows)
            .on_conflict_do_update(
                index_elements=[ListMember.list_id, ListMember.user_id], set_={"access": ADMIN}
            )
        )
        told = {f"user:{uuid}": (None, ADMIN) for uuid in heirs.values()}
        record(actor, "list.shared", list_id=todo_list.id, changes=told)
        is_gone = todo_list.deleted_at is not None
        changed("list", todo_list.uuid, list_id=todo_list.id, deleted=is_gone)
    if lists:
        mark_contents([todo_list.id for todo_list in lists])


def _has_admin() -> sa.ColumnElement[bool]:
    """Whether somebody is left who may do anything in a list, even if not active just now."""
    groups = sa.select(GroupMember.group_id).where(GroupMember.user_id == User.id).correlate(User)
    is_member = (
        sa.exists()
        .where(
            ListMember.list_id == TodoList.id,
            ListMember.access == ADMIN,
            sa.or_(ListMember.user_id == User.id, ListMember.group_id.in_(groups)),
        )
        .correlate(TodoList, User)
    )
    is_admin = sa.or_(User.id == TodoList.created_by_id, is_member)
    return sa.exists().where(User.deleted_at.is_(None), is_admin).correlate(TodoList)


def _master_admins() -> dict[int, Any]:
    """Keys and UUIDs of those who can sign in; there is always one."""
    found = sa.select(User.id, User.uuid).join(Role, Role.id == User.role_id)
    are_there = (Role.name == MASTER_ADMIN, User.is_active, User.deleted_at.is_(None))
    return dict(db.session.execute(found.where(*are_there).order_by(User.id)).all())
