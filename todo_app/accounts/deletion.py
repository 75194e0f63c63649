"""How people leave, are forgotten, and come back."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from todo_app.accounts.models import Avatar, User
from todo_app.accounts.passwords import UNUSABLE
from todo_app.accounts.service import (
    WRITE,
    check_not_last_master_admin,
    flush_unique_email,
    get_managed_user,
    get_user,
)
from todo_app.audit.service import record
from todo_app.auth import check_fresh
from todo_app.database import Versions, db
from todo_app.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from todo_app.feeds.models import end_feeds
from todo_app.groups.models import GroupMember
from todo_app.idempotency import IdempotencyKey
from todo_app.invitations.models import Invitation
from todo_app.permissions.service import change_powers, revoke_invitations
from todo_app.registration import members
from todo_app.registration.limit import check_room
from todo_app.registration.models import OneTimeToken
from todo_app.sessions.models import end_all_tokens
from todo_app.shares.heirs import hand_on_lists
from todo_app.tenancy import CurrentUser
from todo_app.todos.service import release_tasks
from todo_app.two_factor.models import RecoveryCode, TwoFactor

KEEP = "keep"
UNASSIGN = "unassign"
WRITE_TASKS = "tasks:write"

ERASED = {
    "first_name": "Deleted",
    "last_name": "user",
    "phone": None,
    "password_hash": UNUSABLE,
    "is_verified": False,
    "language": "en-US",
    "timezone": "UTC",
    "notification_level": "none",
}
"""What is left of a person who is erased."""


class UserErasedError(ConflictError):
    """Nobody comes back from being erased."""

    code = "user-erased"
    detail = "This user has been erased."


def delete_user(
    actor: CurrentUser,
    user_uuid: uuid.UUID,
    versions: Versions,
    *,
    tasks: str = KEEP,
    reassign_to: uuid.UUID | None = None,
    force: bool = False,
) -> None:
    """Delete a user and end all sessions; the row stays, without a way to sign in.

    Args:
        actor: who does it.
        user_uuid: whom.
        versions: the versions that this may start from; None for any.
        tasks: KEEP leaves open tasks assigned to the user, UNASSIGN to nobody.
        reassign_to: who gets the open tasks instead.
        force: whether everything that says who it was is wiped, too; also of one who is deleted.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError, LastMasterAdminError
        ConflictError: users cannot delete themselves.
        InvalidInputError: there is nobody who could get the tasks.
        StepUpNeededError, ScopeMissingError: erasing asks for the actor's password first.
    """
    if force:
        check_fresh(actor)
    actor = change_powers(actor, WRITE)
    user = get_managed_user(actor, user_uuid, versions, even_deleted=force)
    if user.id == actor.id:
        raise ConflictError("You cannot delete yourself.")
    if user.erased_at is not None:
        raise NotFoundError("There is no such user.")
    check_not_last_master_admin(user)
    if reassign_to is not None or tasks == UNASSIGN:
        _release_tasks(actor, user, reassign_to)
    if force:
        _forget_invitations(user)
    if user.deleted_at is None:
        _leave(user)
        db.session.flush()
        hand_on_lists(actor)
        record(actor, "user.deleted", ("user", user.uuid))
    if force:
        _erase(user)
        record(actor, "user.erased", ("user", user.uuid))
    db.session.flush()


def reactivate_user(actor: CurrentUser, user_uuid: uuid.UUID, versions: Versions) -> User:
    """Let a user who was deleted or deactivated sign in again; others stay as they are.

    Raises:
        NotFoundError, ForbiddenError, PreconditionFailedError
        EmailTakenError: somebody else has the address by now.
        UserErasedError: there is nobody left to come back.
        AccountLimitError: the company has as many people as it may have.
    """
    actor = change_powers(actor, WRITE)
    user = get_managed_user(actor, user_uuid, versions, even_deleted=True)
    if user.erased_at is not None:
        raise UserErasedError
    if user.is_active and user.deleted_at is None:
        return user
    if user.deleted_at is not None:
        check_room()
    user.deleted_at = None
    user.is_active = True
    flush_unique_email()
    if user.is_verified:
        members.note(user.email)
    record(actor, "user.reactivated", ("user", user.uuid))
    db.session.refresh(user)
    return user


def _release_tasks(actor: CurrentUser, user: User, reassign_to: uuid.UUID | None) -> None:
    if WRITE_TASKS not in actor.permissions:
        raise ForbiddenError(f"Your role lacks the permission {WRITE_TASKS}.")
    heir = None
    if reassign_to is not None:
        try:
            heir = get_user(reassign_to)
        except NotFoundError:
            heir = None
        if heir is None or heir.id == user.id or not heir.is_active:
            problem = "There is no such user who is active and stays."
            raise InvalidInputError(errors={"query": {"reassign_to": [problem]}})
    release_tasks(actor, user.id, heir.id if heir else None)


def _leave(user: User) -> None:
    user.deleted_at = datetime.now(UTC)
    user.is_active = False
    end_all_tokens(user.id)
    end_feeds(user.id)
    revoke_invitations(User.id == user.id)
    for table in (GroupMember, OneTimeToken):
        db.session.execute(sa.delete(table).where(table.user_id == user.id))
    members.forget(user.email)


def _forget_invitations(user: User) -> None:
    """Delete invitations to the user's address, but not one by which somebody may come now."""
    is_closed = Invitation.accepted_at.is_not(None) | Invitation.revoked_at.is_not(None)
    is_theirs = sa.func.lower(Invitation.email) == user.email.lower()
    was_here = sa.literal(user.deleted_at is None)
    db.session.execute(sa.delete(Invitation).where(is_theirs, is_closed | was_here))


def _erase(user: User) -> None:
    for table in (Avatar, TwoFactor, RecoveryCode):
        db.session.execute(sa.delete(table).where(table.user_id == user.id))
    db.session.execute(sa.delete(IdempotencyKey).where(IdempotencyKey.caller == str(user.uuid)))
    erased: dict[str, Any] = {**ERASED, "email": f"{user.uuid}@deleted.invalid"}
    for column, value in erased.items():
        setattr(user, column, value)
    user.erased_at = datetime.now(UTC)
