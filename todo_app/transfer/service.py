"""Users in bulk: added from a file, all or nobody, and written into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from todo_app import mails
from todo_app.accounts.models import User
from todo_app.accounts.passwords import UNUSABLE
from todo_app.accounts.service import PRESENT, STATES, WRITE, EmailTakenError, count_users
from todo_app.audit.service import record
from todo_app.database import db
from todo_app.permissions.models import Role
from todo_app.permissions.service import check_may_hand_out, use_powers
from todo_app.registration.limit import check_room
from todo_app.settings.service import defaults
from todo_app.tenancy import CurrentUser, current_tenant
from todo_app.transfer.csv_files import Line, Report

MAX_LINES = 10_000
MAX_BYTES = 5 * 1024 * 1024
ROWS_AT_ONCE = 500

USER_COLUMNS = ("first_name", "last_name", "email", "phone", "role", "language", "timezone")

_WRITTEN = (
    "first_name",
    "last_name",
    "email",
    "phone",
    "language",
    "timezone",
    "password_hash",
    "role_id",
)
_TYPES = {"role_id": sa.BigInteger()}


def import_users(
    actor: CurrentUser,
    lines: Sequence[Line],
    report: Report,
    *,
    dry_run: bool = False,
    notify_at: str | None = None,
) -> int:
    """Add users, all of them or none. They have no password yet: a mailed code sets one.

    Args:
        actor: on whose behalf.
        lines: with the values of USER_COLUMNS; where the report has something to say, it is
            completed and nobody is added.
        report: what is wrong with the file already.
        dry_run: whether this only checks.
        notify_at: where they find the service, if they are to get a mail.

    Returns:
        How many were added.

    Raises:
        InvalidInputError: the report, where there is anything in it.
        ForbiddenError: a role is above the actor's.
        StepUpNeededError, ScopeMissingError: as in `check_may_hand_out`.
        AccountLimitError, EmailTakenError
    """
    actor = use_powers(actor, WRITE)
    roles = _roles({line.values["role"] for line in lines if _is_text(line.values["role"])})
    for role in roles.values():
        check_may_hand_out(actor, role)
    _check_roles(lines, roles, report)
    _check_addresses(lines, report)
    report.raise_if_any()
    check_room(len(lines))
    if dry_run:
        return 0
    people = _people(lines, roles)
    try:
        with db.session.begin_nested():
            _insert(people)
    except sa.exc.IntegrityError as error:
        if "uq_users_email" not in str(error.orig):
            raise
        # Somebody has added one of them just now.
        _check_addresses(lines, report)
        report.raise_if_any()
        raise EmailTakenError from None
    if notify_at is not None:
        _notify(people, notify_at)
    names = Counter(line.values["role"] for line in lines)
    record(
        actor,
        "user.imported",
        users=len(people),
        roles=dict(names),
        notified=notify_at is not None,
    )
    return len(people)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _roles(names: set[str]) -> dict[str, Role]:
    """Roles by name; nobody deletes or changes them until the transaction ends."""
    statement = sa.select(Role).where(Role.name.in_(names)).order_by(Role.id)
    return {role.name: role for role in db.session.scalars(statement.with_for_update(read=True))}


def _check_roles(lines: Sequence[Line], roles: dict[str, Role], report: Report) -> None:
    for line in lines:
        name = line.values["role"]
        if _is_text(name) and name not in roles:
            report.add(line.number, "role", "There is no such role.")


def _check_addresses(lines: Sequence[Line], report: Report) -> None:
    """Report the addresses that stand there twice, and those that somebody has."""
    first: dict[str, int] = {}
    for line in lines:
        email = line.values["email"]
        if not _is_text(email):
            continue
        if email in first:
            problem = f"Stands in line {first[email]}, too."
            report.add(line.number, "email", problem)
        else:
            first[email] = line.number
    address = sa.func.lower(User.email)
    wanted = sa.bindparam("emails", list(first), type_=ARRAY(sa.Text))
    taken = sa.select(address).where(address == sa.any_(wanted), User.deleted_at.is_(None))
    for email in db.session.scalars(taken):
        report.add(first[email], "email", EmailTakenError.detail)


def _people(lines: Sequence[Line], roles: dict[str, Role]) -> list[dict[str, Any]]:
    """Rows of the users, in order of their addresses.

    So two who import the same people wait for each other, and never each for the other.
    """
    usual = defaults()
    people = [
        {
            **{name: line.values.get(name) for name in USER_COLUMNS},
            "language": line.values.get("language") or usual.language,
            "timezone": line.values.get("timezone") or usual.timezone,
            "password_hash": UNUSABLE,
            "role_id": roles[line.values["role"]].id,
        }
        for line in lines
    ]
    return sorted(people, key=lambda person: str(person["email"]))


def _insert(people: Sequence[dict[str, Any]]) -> None:
    """Write users, all in one statement."""
    arrays = [
        sa.bindparam(
            name,
            [person[name] for person in people],
            type_=ARRAY(_TYPES.get(name, sa.Text())),
        )
        for name in _WRITTEN
    ]
    rows = sa.func.unnest(*arrays).table_valued(*_WRITTEN).render_derived()
    statement = sa.insert(User).from_select(
        _WRITTEN,
        sa.select(*(rows.c[name] for name in _WRITTEN)),
        # A default that is made here would be one and the same for all.
        include_defaults=False,
    )
    db.session.execute(statement)


def _notify(people: Sequence[dict[str, Any]], url: str) -> None:
    tenant = current_tenant()
    about = {"company": tenant.name, "tenant": tenant.slug, "url": url}
    mails.send_all(
        mails.Recipient(
            "account_made",
            person["email"],
            person["language"],
            person["timezone"],
            {**about, "name": person["first_name"]},
        )
        for person in people
    )


def begin_export(actor: CurrentUser) -> None:
    """Note that somebody is about to read all users.

    Raises:
        ForbiddenError, UnauthenticatedError: they have lost the permission meanwhile.
    """
    actor = use_powers(actor, WRITE)
    record(actor, "user.exported", users=count_users())


def next_users(after: int) -> Sequence[Any]:
    """Some users of the current tenant who are not deleted, in order of their ids.

    Args:
        after: id of the last user that was read; 0 for none.

    Returns:
        Rows with USER_COLUMNS and `id`; the last ones are fewer than ROWS_AT_ONCE.
    """
    return db.session.execute(_BATCH, {"after": after}).all()


_BATCH = (
    sa.select(
        User.id,
        User.first_name,
        User.last_name,
        User.email,
        User.phone,
        Role.name.label("role"),
        User.language,
        User.timezone,
    )
    .join(Role, Role.id == User.role_id)
    .where(User.id > sa.bindparam("after"), STATES[PRESENT])
    .order_by(User.id)
    .limit(ROWS_AT_ONCE)
)
