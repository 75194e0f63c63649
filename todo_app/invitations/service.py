"""Invitations: how people join a company that exists.

An invitation hands out a role, so whoever makes, resends or revokes one must be allowed to hand
that role out, and must still be when it is accepted.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from todo_app import mails
from todo_app.accounts.models import User
from todo_app.accounts.passwords import check_password, hash_password
from todo_app.accounts.service import EmailTakenError, add_user_with_role
from todo_app.audit.service import record
from todo_app.database import Versions, db
from todo_app.errors import AppError, ConflictError, NotFoundError, PreconditionFailedError
from todo_app.hashing import in_turn
from todo_app.invitations.models import ACCEPTED, EXPIRED, PENDING, REVOKED, Invitation
from todo_app.pagination import Page, PageQuery, PageRequest, contains
from todo_app.permissions.models import ADMINISTRATIVE, Role
from todo_app.permissions.service import (
    POWERS_LOCK,
    check_may_hand_out,
    check_may_manage,
    get_role,
    use_powers,
)
from todo_app.registration.limit import check_room
from todo_app.registration.one_time import InvalidTokenError, MailedSecret, new_mailed_secret
from todo_app.settings.models import CompanySettings
from todo_app.tenancy import CurrentUser, current_tenant

WRITE = "users:write"

LASTS = timedelta(days=7)
RESENT_AFTER = timedelta(minutes=1)
"""No second mail goes out before this time is over."""

_IS_OPEN = Invitation.accepted_at.is_(None) & Invitation.revoked_at.is_(None)
_IS_FOR = sa.func.lower(Invitation.email) == sa.bindparam("address", type_=sa.Text)
_STATE = sa.case(
    (Invitation.accepted_at.is_not(None), ACCEPTED),
    (Invitation.revoked_at.is_not(None), REVOKED),
    (Invitation.expires_at <= sa.func.now(), EXPIRED),
    else_=PENDING,
)
_ROWS: sa.Select[*tuple[Any, ...]] = (
    sa.select(
        Invitation.uuid,
        Invitation.email,
        Invitation.language,
        Invitation.sent_at,
        Invitation.expires_at,
        Invitation.accepted_at,
        Invitation.revoked_at,
        Invitation.created_at,
        Invitation.updated_at,
        Invitation.version,
        _STATE.label("state"),
        sa.func.jsonb_build_object("uuid", Role.uuid, "name", Role.name, "title", Role.title).label(
            "role"
        ),
        sa.func.jsonb_build_object(
            "uuid", User.uuid, "first_name", User.first_name, "last_name", User.last_name
        ).label("invited_by"),
    )
    .join(Role, Role.id == Invitation.role_id)
    .join(User, User.id == Invitation.invited_by_id)
)
_WANTED_STATE = sa.bindparam("state", type_=sa.Text)
ORDER_BY = {
    "created_at": Invitation.created_at,
    "expires_at": Invitation.expires_at,
    "email": Invitation.email,
}
_PAGES = PageQuery(
    _ROWS.where(
        sa.or_(_WANTED_STATE.is_(None), _STATE == _WANTED_STATE),
        Invitation.email.ilike(sa.bindparam("pattern", type_=sa.Text)),
    ),
    ORDER_BY,
    Invitation.id,
)


class InvitationPendingError(ConflictError):
    """Somebody has invited this address already."""

    code = "invitation-pending"
    detail = "There is a pending invitation for this address: resend or revoke it."


class InvitationClosedError(ConflictError):
    """The invitation has been accepted or revoked."""

    code = "invitation-closed"
    detail = "This invitation has been accepted or revoked."


class ResentTooSoonError(AppError):
    """The last mail went out a moment ago."""

    status = 429
    code = "too-soon"
    detail = "This invitation was mailed a moment ago; wait a minute."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(int(RESENT_AFTER.total_seconds()))})


def page(request: PageRequest, state: str | None) -> Page:
    """A page of the tenant's invitations; `search` looks into the address.

    Args:
        request: which page.
        state: only those in this state.
    """
    return _PAGES.fetch(request, state=state, pattern=contains(request.search))


def get(invitation_uuid: uuid.UUID) -> sa.Row[*tuple[Any, ...]]:
    """One invitation, as clients see it.

    Raises:
        NotFoundError: the tenant has no such invitation.
    """
    row = db.session.execute(_ROWS.where(Invitation.uuid == invitation_uuid)).one_or_none()
    if row is None:
        raise NotFoundError("There is no such invitation.")
    return row


def invite(
    actor: CurrentUser, email: str, role_uuid: uuid.UUID, language: str | None, public_url: str
) -> sa.Row[*tuple[Any, ...]]:
    """Invite an address to join the company with a role.

    Args:
        actor: who invites.
        email: the address.
        role_uuid: what the person may do then.
        language: of the mail; None for the company's.
        public_url: how clients reach the API, for the mail.

    Raises:
        InvalidInputError (no such role), ForbiddenError (the role is above the actor's)
        StepUpNeededError, ScopeMissingError: as in `check_may_hand_out`.
        EmailTakenError: a user has this address.
        InvitationPendingError, AccountLimitError
    """
    actor = use_powers(actor, WRITE)
    role = get_role(role_uuid)
    check_may_hand_out(actor, role)
    if db.session.scalar(sa.select(_is_user(email))):
        raise EmailTakenError
    check_room()
    now = datetime.now(UTC)
    db.session.execute(
        sa.update(Invitation)
        .where(_IS_OPEN, _IS_FOR, Invitation.expires_at <= sa.func.now())
        .values(revoked_at=now, version=Invitation.version + 1)
        .execution_options(synchronize_session=False),
        {"address": email.lower()},
    )
    mailed, token_digest = new_mailed_secret(LASTS)
    invitation = Invitation(
        email=email,
        role_id=role.id,
        invited_by_id=actor.id,
        language=language or _company().language,
        digest=token_digest,
        sent_at=now,
        expires_at=mailed.expires_at,
    )
    db.session.add(invitation)
    try:
        db.session.flush()
    except sa.exc.IntegrityError as error:
        if "uq_invitations_email" in str(error.orig):
            raise InvitationPendingError from None
        raise
    _mail(actor, invitation, mailed, public_url)
    record(actor, "invitation.made", ("invitation", invitation.uuid), role=role.name)
    return get(invitation.uuid)


def resend(
    actor: CurrentUser, invitation_uuid: uuid.UUID, public_url: str
) -> sa.Row[*tuple[Any, ...]]:
    """Mail a fresh token, in the actor's name; the former one is worth nothing any more.

    Raises:
        NotFoundError, ForbiddenError, InvitationClosedError
        ResentTooSoonError: the last mail went out a moment ago.
    """
    actor, invitation = _lock(actor, invitation_uuid, None)
    now = datetime.now(UTC)
    if now - invitation.sent_at < RESENT_AFTER:
        raise ResentTooSoonError
    mailed, invitation.digest = new_mailed_secret(LASTS)
    invitation.invited_by_id = actor.id
    invitation.sent_at = now
    invitation.expires_at = mailed.expires_at
    db.session.flush()
    _mail(actor, invitation, mailed, public_url)
    record(actor, "invitation.resent", ("invitation", invitation_uuid))
    return get(invitation_uuid)


def revoke(actor: CurrentUser, invitation_uuid: uuid.UUID, versions: Versions) -> None:
    """Make an invitation's token worth nothing; the row stays.

    Raises:
        NotFoundError, ForbiddenError, InvitationClosedError
        PreconditionFailedError: `versions` are given and the current one is not among them.
    """
    actor, invitation = _lock(actor, invitation_uuid, versions)
    invitation.revoked_at = datetime.now(UTC)
    db.session.flush()
    record(actor, "invitation.revoked", ("invitation", invitation_uuid))


def accept(token_digest: bytes, person: dict[str, Any]) -> User:
    """Join the company. Of two who accept at one instant one does.

    Args:
        token_digest: of the mailed token.
        person: columns of the user, and `password`.

    Raises:
        InvalidTokenError: the invitation is not good any more, or its maker may not hand out that
            role any more.
        InvalidInputError: the password is not good enough.
        EmailTakenError: a user has the address by now.
        AccountLimitError, BusyError
    """
    email = _open(token_digest).email
    words = (email, person["first_name"], person["last_name"], current_tenant().name)
    # The transaction ends before the slow part, so that hashing holds no connection.
    db.session.rollback()
    check_password(person["password"], words)
    password_hash = in_turn(hash_password, person["password"])
    # As those who use a power: what the inviter may do does not change meanwhile.
    here = sa.func.hashtext(sa.func.current_schema())
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(POWERS_LOCK, here)))
    invitation = _open(token_digest, for_update=True)
    role = db.session.get_one(Role, invitation.role_id)
    if not _may_hand_out(db.session.get_one(User, invitation.invited_by_id), role):
        raise InvalidTokenError
    check_room()
    defaults = {"language": invitation.language, "timezone": _company().timezone}
    known = {"email": invitation.email, "password_hash": password_hash, "is_verified": True}
    columns = {name: value for name, value in person.items() if name != "password"}
    user = add_user_with_role({**defaults, **columns, **known}, role.name)
    invitation.accepted_at = datetime.now(UTC)
    db.session.flush()
    record(None, "invitation.accepted", ("user", user.uuid), invitation=str(invitation.uuid))
    return user


def _open(token_digest: bytes, *, for_update: bool = False) -> Invitation:
    statement = sa.select(Invitation).where(
        Invitation.digest == token_digest, _IS_OPEN, Invitation.expires_at > sa.func.now()
    )
    if for_update:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    invitation = db.session.scalars(statement).one_or_none()
    if invitation is None:
        raise InvalidTokenError
    return invitation


def _lock(
    actor: CurrentUser, invitation_uuid: uuid.UUID, versions: Versions
) -> tuple[CurrentUser, Invitation]:
    """An open invitation that `actor`, who is returned as they are now, may change."""
    actor = use_powers(actor, WRITE)
    statement = sa.select(Invitation).where(Invitation.uuid == invitation_uuid).with_for_update()
    invitation = db.session.scalars(statement).one_or_none()
    if invitation is None:
        raise NotFoundError("There is no such invitation.")
    if versions is not None and invitation.version not in versions:
        raise PreconditionFailedError
    check_may_manage(actor, db.session.get_one(Role, invitation.role_id))
    if invitation.accepted_at is not None or invitation.revoked_at is not None:
        raise InvitationClosedError
    return actor, invitation


def _may_hand_out(inviter: User, role: Role) -> bool:
    """Whether somebody who has made an invitation may still do so."""
    held, given = set(inviter.role.permissions), set(role.permissions)
    is_above = bool(ADMINISTRATIVE & given) and "admins:write" not in held
    return (
        inviter.is_active
        and inviter.deleted_at is None
        and {WRITE, *given} <= held
        and not is_above
    )


def _is_user(email: str) -> sa.ColumnElement[bool]:
    return sa.exists().where(sa.func.lower(User.email) == email.lower(), User.deleted_at.is_(None))


def _company() -> CompanySettings:
    return db.session.get_one(CompanySettings, 1)


def _mail(
    actor: CurrentUser, invitation: Invitation, mailed: MailedSecret, public_url: str
) -> None:
    mails.send(
        "invitation",
        invitation.email,
        invitation.language,
        inviter=f"{actor.first_name} {actor.last_name}",
        company=current_tenant().name,
        url=public_url,
        token=mailed.token,
        until=mailed.until,
    )
